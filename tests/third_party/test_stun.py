"""The relay answers nobody it does not know, sends media only to addresses that proved themselves, and amplifies nothing."""

import asyncio
import base64
import os
import random
import socket
import struct
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from crs_client import (BINDING_REQUEST, BINDING_SUCCESS, COOKIE, FINGERPRINT, INTEGRITY_SHA256, USERNAME,
                        XOR_MAPPED_ADDRESS, Leg, attribute, rtp_header, stun, stun_attributes, uuid7, xor_address)

SILENT = 0.3


@asynccontextmanager
async def talk(user):
    """Two users in a call, both legs allocated: (their connections, their allocations)."""
    alice, bob = user(), user()
    async with alice.connect() as caller, bob.connect() as callee:
        await caller.attach()
        await callee.attach()
        session, text = uuid7(), base64.b64encode(b"x").decode()
        await caller.request("call.invite", session=session, to=bob.uri, offer=text)
        await callee.event("call.state", session=session)
        await callee.request("call.answer", session=session, answer=text)
        yield [await who.request("relay.alloc", session=session) for who in (caller, callee)]
        await caller.request("call.hangup", session=session)


class Socket:
    """A UDP socket that counts bytes."""

    def __init__(self, allocated):
        self.leg = allocated
        host, port = allocated["addresses"][0]["addr"].rsplit(":", 1)
        self.relay = host, int(port)
        self.key = allocated["password"].encode()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.sent = self.received = 0

    def send(self, packet):
        self.sent += len(packet)
        self.udp.sendto(packet, self.relay)

    async def receive(self, within=10):
        loop = asyncio.get_running_loop()
        packet = await asyncio.wait_for(loop.sock_recv(self.udp, 2048), within)
        self.received += len(packet)
        return packet

    async def all(self):
        """Everything that comes until it is silent."""
        packets = []
        try:
            while True:
                packets.append(await self.receive(SILENT))
        except TimeoutError:
            return packets

    def request(self, tid=None, key=None, ufrag=None, sha1=False, kind=BINDING_REQUEST, extra=()):
        """A Binding request, right unless told otherwise."""
        ufrag = (ufrag or self.leg["ufrag"]).encode()
        return stun(kind, tid or os.urandom(12), [(USERNAME, ufrag), *extra], key or self.key, sha1)

    def answer(self, check):
        """Our answer to the relay's check."""
        tid = check[8:20]
        return stun(BINDING_SUCCESS, tid, [(XOR_MAPPED_ADDRESS, xor_address(*self.relay, tid))], self.key)

    async def bind(self):
        """Binds the leg to this socket."""
        tid = os.urandom(12)
        self.send(self.request(tid))
        while True:
            packet = await self.receive()
            if packet[:2] == struct.pack("!H", BINDING_REQUEST):
                self.send(self.answer(packet))
            elif packet[8:20] == tid:
                return packet

    async def media(self, within=10):
        """The next media packet, checks answered meanwhile."""
        while True:
            packet = await self.receive(within)
            if packet[0] >= 128:
                return packet
            if packet[:2] == struct.pack("!H", BINDING_REQUEST):
                self.send(self.answer(packet))


def unsigned(leg, *, fingerprint=False, username=True):
    """A Binding request without integrity."""
    tid = os.urandom(12)
    body = attribute(USERNAME, leg["ufrag"].encode()) if username else b""
    packet = struct.pack("!HH", BINDING_REQUEST, len(body)) + COOKIE + tid + body
    return packet


def without_username(key):
    return stun(BINDING_REQUEST, os.urandom(12), [], key)


async def test_nothing_unauthenticated_is_answered(user):
    async with talk(user) as (leg, _):
        here = Socket(leg)
        good = here.request()
        damaged = bytearray(good)
        damaged[-50] ^= 1
        for packet in (
            unsigned(leg),
            unsigned(leg, username=False),
            without_username(here.key),
            here.request(key=b"wrong" * 8),
            here.request(key=b"wrong" * 8, sha1=True),
            here.request(ufrag="A" * 24),
            here.request(kind=0x0003),                                   # Allocate (TURN)
            here.request(kind=0x0011),                                   # Binding indication
            here.request(kind=BINDING_SUCCESS),
            here.request(extra=[(0x7FFF, b"????")]),                      # unknown, comprehension-required
            bytes(damaged),
            good[:-1], good + b"\0\0\0\0", good[:19], good[:20], b"", b"\0",
            good[:4] + b"\x21\x12\xa4\x43" + good[8:],
            good[:2] + b"\xff\xff" + good[4:],
            b"\x40\x00\x00\x04abcd", b"\x16\xfe\xff", b"\x80" * 11, random.randbytes(1500), bytes(1472),
        ):
            here.send(packet)
        assert await here.all() == []
        # The same socket with a right request is heard at once: it was the packets, not the way.
        here.send(good)
        check = await here.receive()
        assert check[:2] == struct.pack("!H", BINDING_REQUEST) and check[8:20] != good[8:20]
        names = {kind for kind, _, _ in stun_attributes(check)}
        assert {USERNAME, INTEGRITY_SHA256, FINGERPRINT} <= names


async def test_the_relay_does_not_amplify(user):
    """Right requests from an address that never answers its checks: bytes out / bytes in at most 1."""
    async with talk(user) as (leg, _):
        here = Socket(leg)
        here.send(here.request())
        checks = await here.all()
        assert checks and here.received <= here.sent
        for _ in range(200):
            here.send(here.request())
        await here.all()
        assert here.received <= here.sent


@pytest.mark.parametrize("sha1", [False, True], ids=["sha256", "sha1"])
async def test_a_forged_answer_does_not_bind(user, sha1):
    async with talk(user) as (leg, _):
        here = Socket(leg)
        tid = os.urandom(12)
        here.send(here.request(tid, sha1=sha1))
        check = await here.receive()
        mapped = [(XOR_MAPPED_ADDRESS, xor_address(*here.relay, check[8:20]))]
        here.send(stun(BINDING_SUCCESS, os.urandom(12), mapped, here.key, sha1))
        here.send(stun(BINDING_SUCCESS, check[8:20], mapped, b"wrong" * 8, sha1))
        if not sha1:                                                       # bidding down
            here.send(stun(BINDING_SUCCESS, check[8:20], mapped, here.key, sha1=True))
        assert [packet for packet in await here.all() if packet[8:20] == tid] == []
        here.send(here.request(tid, sha1=sha1))
        here.send(stun(BINDING_SUCCESS, check[8:20], mapped, here.key, sha1))
        while (packet := await here.receive())[8:20] != tid:
            if packet[:2] == struct.pack("!H", BINDING_REQUEST):
                tid_of_check = packet[8:20]
                mapped = [(XOR_MAPPED_ADDRESS, xor_address(*here.relay, tid_of_check))]
                here.send(stun(BINDING_SUCCESS, tid_of_check, mapped, here.key, sha1))
        assert packet[:2] == struct.pack("!H", BINDING_SUCCESS)
        mapped = dict((kind, value) for kind, value, _ in stun_attributes(packet))[XOR_MAPPED_ADDRESS]
        assert mapped == xor_address(*here.udp.getsockname(), tid)


async def test_media_goes_only_between_proved_addresses(user):
    async with talk(user) as (first, second):
        alice, bob, stranger = Socket(first), Socket(second), Socket(first)
        early = rtp_header(1, 160, 7) + b"early" * 30
        alice.send(early)                                                 # nothing is bound
        await alice.bind()
        alice.send(early)                                                 # the other leg is not bound
        await bob.bind()
        # A stranger with the leg's credentials who does not answer the check
        stranger.send(stranger.request())
        check = await stranger.receive()
        assert check[:2] == struct.pack("!H", BINDING_REQUEST)
        for number in range(50):
            stranger.send(rtp_header(number, 0, 666) + b"stranger" * 20)
            alice.send(rtp_header(number, 160 * number, 1) + b"alice" * 32)
            bob.send(rtp_header(number, 160 * number, 2) + b"bob.." * 32)
        heard = {who: [await who.media() for _ in range(50)] for who in (alice, bob)}
        assert {packet[12:] for packet in heard[bob]} == {b"alice" * 32}
        assert {packet[12:] for packet in heard[alice]} == {b"bob.." * 32}
        assert all(packet[0] < 128 for packet in await stranger.all()), "media went to an unproved address"


async def test_moving_to_another_address(user):
    async with talk(user) as (first, second):
        alice, bob, moved = Socket(first), Socket(second), Socket(first)
        await alice.bind()
        await bob.bind()
        bob.send(rtp_header(1, 0, 2) + b"before")
        assert (await alice.media())[12:] == b"before"
        await moved.bind()
        bob.send(rtp_header(2, 0, 2) + b"after")
        assert (await moved.media())[12:] == b"after"
        alice.send(rtp_header(3, 0, 1) + b"from the old address")
        moved.send(rtp_header(4, 0, 1) + b"from the new address")
        assert (await bob.media())[12:] == b"from the new address"
        assert all(packet[0] < 128 for packet in await alice.all())


async def test_an_address_bound_to_another_leg_is_refused(user):
    async with talk(user) as (first, second):
        alice = Socket(first)
        await alice.bind()
        tid = os.urandom(12)
        alice.send(stun(BINDING_REQUEST, tid, [(USERNAME, second["ufrag"].encode())], second["password"].encode()))
        assert [packet for packet in await alice.all() if packet[8:20] == tid] == []


async def test_packet_sizes(user):
    async with talk(user) as (first, second):
        alice, bob = Socket(first), Socket(second)
        await alice.bind()
        await bob.bind()
        alice.send(rtp_header(1, 0, 1) + bytes(1501 - 12))                # over the limit: dropped
        alice.send(rtp_header(2, 0, 1) + bytes(1500 - 12))
        alice.send(b"\x16\xfe\xff" + bytes(20))                            # DTLS is not for rtp legs' bare media
        alice.send(rtp_header(3, 0, 1))
        assert [len(await bob.media()) for _ in range(2)] == [1500, 12]


async def test_opaque_legs(user):
    alice, bob = user(), user()
    async with AsyncExitStack() as stack:
        caller = await stack.enter_async_context(alice.connect())
        callee = await stack.enter_async_context(bob.connect())
        await caller.attach()
        await callee.attach()
        session, text = uuid7(), base64.b64encode(b"x").decode()
        await caller.request("call.invite", session=session, to=bob.uri, offer=text, media="opaque")
        await callee.event("call.state", session=session)
        await callee.request("call.answer", session=session, answer=text)
        legs = [await who.request("relay.alloc", session=session) for who in (caller, callee)]
        assert [leg["kind"] for leg in legs] == ["opaque", "opaque"]
        here, there = (Socket(leg) for leg in legs)
        await here.bind()
        await there.bind()
        data = random.randbytes(700)
        here.send(struct.pack("!HH", legs[0]["channel"], len(data)) + data)
        while (packet := await there.receive())[0] < 64:
            there.send(there.answer(packet))
        assert packet == struct.pack("!HH", legs[1]["channel"], len(data)) + data
        await caller.request("call.hangup", session=session)


async def test_a_leg_without_ice_credentials_of_its_own(user):
    """Two legs never share credentials, and asking again gives the same leg."""
    async with talk(user) as (first, second):
        assert len({first["ufrag"], second["ufrag"], first["password"], second["password"]}) == 4
        assert (len(first["ufrag"]), len(first["password"])) == (24, 32)
        leg = Leg(first)
        await leg.bind()
        leg.close()
