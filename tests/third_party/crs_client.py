"""A client of crs.v1 written from docs/protocol.md alone: ssl, websockets and the standard library.

Bodies, offers and answers are opaque to the server, so this client sends plain bytes in them; the
end-to-end formats (docs/protocol-e2e.md) are in crs_e2e.py and crs_call.py.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import random
import socket
import ssl
import struct
import time
import uuid
import zlib
from dataclasses import dataclass, field

import websockets

COOKIE = b"\x21\x12\xa4\x42"
BINDING_REQUEST, BINDING_SUCCESS = 0x0001, 0x0101
USERNAME, XOR_MAPPED_ADDRESS, INTEGRITY_SHA1, INTEGRITY_SHA256, FINGERPRINT = (
    0x0006, 0x0020, 0x0008, 0x001C, 0x8028)


class ProtocolError(Exception):
    """The server answered with an error; `code` is from the closed list of section 10."""

    def __init__(self, err):
        super().__init__(f"{err['code']}: {err.get('text', '')}")
        self.code, self.reason, self.err = err["code"], err.get("reason"), err


def uuid7(at_ms=None):
    """RFC 9562 section 5.7; `at_ms` is the server's clock where it differs from ours."""
    value = (at_ms or int(time.time() * 1000)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=value))


def tls_context(ca, cert=None, key=None):
    """TLS 1.3 with the client's certificate; the server is verified against the pool's CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(ca)
    if cert:
        context.load_cert_chain(cert, key)
    return context


class Client:
    """One connection. `async with Client(...) as c:` connects and reads `welcome`."""

    def __init__(self, server, context):
        self.host, port = server.rsplit(":", 1)
        self.port, self.context = int(port), context
        self.next_id, self.waiting, self.last_seq = 0, {}, 0
        self.events, self.came = [], asyncio.Event()
        self.welcome = self.socket = self.reader = None

    async def __aenter__(self):
        self.socket = await websockets.connect(
            f"wss://{self.host}:{self.port}/crs/v1", ssl=self.context, subprotocols=["crs.v1"],
            compression=None, max_size=200_000, open_timeout=10, proxy=None)
        assert self.socket.subprotocol == "crs.v1"
        # In TLS 1.3 a refusal of our certificate comes after the handshake: only `welcome` proves it.
        try:
            first = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
        except BaseException:
            await self.socket.close()
            raise
        assert first["ev"] == "welcome" and first["seq"] == 1, first
        self.welcome, self.last_seq = first, 1
        self.reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_):
        if self.reader:
            await self.socket.close()
            await self.reader

    async def _read(self):
        try:
            async for text in self.socket:
                frame = json.loads(text)
                if "ev" in frame:
                    assert frame["seq"] == self.last_seq + 1, frame
                    self.last_seq = frame["seq"]
                    self.events.append(frame)
                    self.came.set()
                else:
                    # A KeyError here is a reply that nobody asked for, or a second one.
                    reply = self.waiting.pop(frame["re"])
                    if not reply.done():
                        reply.set_result(frame)
        except websockets.ConnectionClosed:
            pass
        finally:
            for reply in self.waiting.values():
                if not reply.done():
                    reply.set_exception(ConnectionError("the connection ended"))

    async def request(self, op, **fields):
        self.next_id += 1
        reply = asyncio.get_running_loop().create_future()
        self.waiting[self.next_id] = reply
        await self.socket.send(json.dumps({"id": self.next_id, "op": op, **fields}))
        frame = await asyncio.wait_for(reply, 30)
        assert "ok" in frame, frame
        if not frame["ok"]:
            raise ProtocolError(frame["err"])
        return frame

    async def event(self, name, within=15, **match):
        """The oldest event of this name whose fields are as given; others stay for later."""
        async def wait():
            while True:
                for at, frame in enumerate(self.events):
                    if frame["ev"] == name and all(frame.get(k) == v for k, v in match.items()):
                        return self.events.pop(at)
                self.came.clear()
                await self.came.wait()
        return await asyncio.wait_for(wait(), within)

    async def closed(self, within=15):
        """Waits until the server has closed: (code, reason)."""
        await asyncio.wait_for(asyncio.shield(self.reader), within)
        return self.socket.close_code, self.socket.close_reason

    async def attach(self, role="primary", device="python-1", **fields):
        return await self.request("attach", role=role, device=device, **fields)

    async def post(self, to, body, mid=None):
        encoded = base64.b64encode(body).decode()
        return await self.request("msg.post", mid=mid or uuid7(), to=to, body=encoded)

    async def fetch_all(self):
        """Everything in the mailbox; nothing is deleted before `ack`."""
        items, after = [], 0
        while True:
            page = await self.request("msg.fetch", after=after)
            items += page["items"]
            if not page["more"]:
                return items
            after = page["items"][-1]["n"]

    async def fetch_until(self, kind, mid, within=15):
        """Fetches, after each `msg.new`, until an item of this kind with this id is there."""
        while True:
            for item in await self.fetch_all():
                if (item["kind"], item["mid"]) == (kind, mid):
                    return item
            await self.event("msg.new", within)

    async def update(self, period):
        """The package of a month, with `package` decoded. To be verified, stored, confirmed."""
        reply = await self.request("upd.get", period=period)
        return {**reply, "package": base64.b64decode(reply["package"], validate=True)}

    async def ack(self, numbers):
        return await self.request("msg.ack", n=list(numbers))

    async def leg(self, session):
        return Leg(await self.request("relay.alloc", session=session))


# ---- STUN (section 7, RFC 8489) ----

def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def stun(kind, tid, attributes, key, sha1=False):
    """A message with integrity and fingerprint."""
    body = b"".join(attribute(t, v) for t, v in attributes)

    def head(more):
        return struct.pack("!HH", kind, len(body) + more) + COOKIE + tid

    name, digest, size = (INTEGRITY_SHA1, "sha1", 20) if sha1 else (INTEGRITY_SHA256, "sha256", 32)
    body += attribute(name, hmac.digest(key, head(size + 4) + body, digest))
    crc = zlib.crc32(head(8) + body) ^ 0x5354554E
    return head(8) + body + struct.pack("!HHI", FINGERPRINT, 4, crc)


def stun_attributes(packet):
    at = 20
    while at + 4 <= len(packet):
        kind, length = struct.unpack_from("!HH", packet, at)
        yield kind, packet[at + 4:at + 4 + length], at
        at += 4 + length + -length % 4


def integrity_of(packet, key):
    """"sha1", "sha256" or None when it is not authentic."""
    for kind, value, at in stun_attributes(packet):
        for name, digest, size in ((INTEGRITY_SHA256, "sha256", 32), (INTEGRITY_SHA1, "sha1", 20)):
            if kind == name:
                signed = packet[:2] + struct.pack("!H", at - 20 + 4 + size) + packet[4:at]
                good = hmac.compare_digest(hmac.digest(key, signed, digest), value)
                return digest if good else None
    return None


def xor_address(ip, port, tid):
    """XOR-MAPPED-ADDRESS for IPv4, its own inverse on the port and address bytes."""
    pad = COOKIE + tid
    raw = struct.pack("!H", port) + socket.inet_aton(ip)
    return b"\0\1" + bytes(a ^ b for a, b in zip(raw, pad[:2] + pad[:4]))


@dataclass
class Heard:
    """What arrived on a leg."""
    payloads: dict = field(default_factory=dict)
    packets: list = field(default_factory=list)
    duplicates: int = 0

    @property
    def lost(self):
        """By sequence gaps between the first and the last."""
        if not self.payloads:
            return 0
        return max(self.payloads) - min(self.payloads) + 1 - len(self.payloads)


class Leg(asyncio.DatagramProtocol):
    """A relay leg on one UDP socket: binds it, answers checks, sends and receives RTP."""

    def __init__(self, allocated, sha1=False):
        addr = next(a["addr"] for a in allocated["addresses"] if a["transport"] == "udp")
        host, port = addr.rsplit(":", 1)
        self.relay = (host.strip("[]"), int(port))
        self.ufrag = allocated["ufrag"].encode()
        self.key = allocated["password"].encode()
        self.id, self.sha1, self.heard, self.checks = allocated["leg"], sha1, Heard(), 0
        self.bound = asyncio.get_running_loop().create_future()
        self.tid, self.transport, self.changed = os.urandom(12), None, asyncio.Event()

    async def bind(self, within=10):
        """Proves our address; again, with a new transaction, as often as wanted."""
        loop = asyncio.get_running_loop()
        if self.transport is None:
            self.transport, _ = await loop.create_datagram_endpoint(
                lambda: self, local_addr=("0.0.0.0", 0))
        else:
            self.tid, self.bound = os.urandom(12), loop.create_future()
        request = stun(BINDING_REQUEST, self.tid, [(USERNAME, self.ufrag)], self.key, self.sha1)
        pause, end = 0.5, time.monotonic() + within
        while not self.bound.done() and time.monotonic() < end:
            self.transport.sendto(request, self.relay)
            await asyncio.wait([self.bound], timeout=pause)
            pause *= 2
        assert self.bound.done(), "the relay did not answer"
        return self.bound.result()

    def datagram_received(self, data, addr):
        if addr != self.relay or not data:
            return
        if data[0] < 4:
            self._stun(data)
        elif 128 <= data[0] < 192 and len(data) >= 12:
            sequence = struct.unpack_from("!H", data, 2)[0]
            if sequence in self.heard.payloads:
                self.heard.duplicates += 1
            self.heard.payloads[sequence] = data[12:]
            self.heard.packets.append(data)
            self.changed.set()

    def _stun(self, packet):
        kind, tid = struct.unpack_from("!H", packet)[0], packet[8:20]
        integrity = integrity_of(packet, self.key)
        if integrity is None:
            return
        names = {k: v for k, v, _ in stun_attributes(packet)}
        if kind == BINDING_REQUEST and names.get(USERNAME) == self.ufrag:
            self.checks += 1
            answer = [(XOR_MAPPED_ADDRESS, xor_address(*self.relay, tid))]
            reply = stun(BINDING_SUCCESS, tid, answer, self.key, integrity == "sha1")
            self.transport.sendto(reply, self.relay)
        elif kind == BINDING_SUCCESS and tid == self.tid and not self.bound.done():
            self.bound.set_result(names[XOR_MAPPED_ADDRESS])

    async def hear(self, count, within=15):
        """Waits until that many different packets have come."""
        async def wait():
            while len(self.heard.payloads) < count:
                self.changed.clear()
                await self.changed.wait()
        await asyncio.wait_for(wait(), within)

    async def send_rtp(self, payloads, every=0.02, payload_type=0):
        """Sends one packet for each payload, at the packet time."""
        sequence, timestamp = random.randrange(0x4000), random.randrange(2**32)
        ssrc = random.randrange(2**32)
        start = time.monotonic()
        for n, payload in enumerate(payloads):
            header = rtp_header(sequence + n, timestamp + 160 * n, ssrc, payload_type)
            self.transport.sendto(header + payload, self.relay)
            await asyncio.sleep(max(0, start + every * (n + 1) - time.monotonic()))

    def close(self):
        if self.transport:
            self.transport.close()


def rtp_header(sequence, timestamp, ssrc, payload_type=0):
    """RFC 3550 section 5.1."""
    return struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)


def digest(payloads):
    """One number for a list of payloads."""
    return hashlib.sha256(b"".join(payloads)).hexdigest()
