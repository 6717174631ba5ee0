"""What a hostile or unlucky client tries: each ends in a named error or a clean close, and nothing is half taken."""

import asyncio
import base64
import contextlib
import json
import random
import ssl
import struct
import time

import pytest

from crs_client import ProtocolError, uuid7
from node import Node, first_answer, until
from raw import CLOSE, TEXT, Raw, frame, upgrade_request
from wire import Wire, first_records


@pytest.fixture(scope="module")
def person(domain):
    return domain.user()


def text(**fields):
    return frame(json.dumps(fields).encode())


# ---- TLS ----

def test_tls_1_2_is_refused(node, person):
    """PR-13: nothing older than 1.3 is spoken, whatever is offered."""
    context = person.context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "PROTOCOL_VERSION" in first_answer(node.server, context)


def test_a_recorded_connection_is_worth_nothing(node, person):
    """PR-12: the very bytes of a connection that attached, sent again: an alert, and nobody is attached by them."""
    with Wire(node.server, person.context()) as wire:
        wire.handshake().send(upgrade_request() + text(id=1, op="attach", role="primary", device="recorded"))
        wire.receive_until(b'"state":"attached"')
        recorded = wire.sent
    for _ in range(3):
        kinds, answer = first_records(node.server, recorded)
        # Its hello is answered like any other; then the server cannot decrypt what follows.
        assert set(kinds) <= {20, 21, 22, 23} and b"attached" not in answer
        assert len(answer) < 8_192, "no more than the server's own flight and an alert"
    with Raw(node.server, person.context()) as raw:
        raw.upgrade().send(frame(b'{"id":1,"op":"time"}'))
        assert json.loads(raw.frame()[1])["ok"] is True
    assert "recorded" not in json.dumps(node.cli("show", "attach"))


async def test_half_a_post_is_never_taken_as_whole(node, domain):
    """PR-08: cut within the record, between records and within the frame; with and without a TLS end."""
    alice, bob = domain.user(), domain.user()
    mids = []
    for number, part in enumerate([0.0, 0.1, 0.5, 0.9, 0.99, 0.5, 0.99]):
        with Wire(node.server, alice.context()) as wire:
            wire.handshake().send(upgrade_request() + text(id=1, op="attach", role="primary", device=f"d{number % 2}"))
            wire.receive_until(b'"state":"attached"')
            mids.append(uuid7())
            body = base64.b64encode(bytes(40_000)).decode()
            post = text(id=2, op="msg.post", mid=mids[-1], to=bob.uri, body=body)
            if number < 5:
                wire.tls.write(post)
                records = wire.records()
                wire.tcp.sendall(records[:min(int(len(records) * part), len(records) - 1)])
            else:
                # Whole records with half a frame, then an orderly end of TLS.
                wire.send(post[:int(len(post) * part)])
                with contextlib.suppress(ssl.SSLWantReadError):
                    wire.tls.unwrap()
                wire.flush()
    async with bob.connect() as client:
        assert (await client.attach())["waiting"] == 0
    # The same ids are as good as new.
    async with alice.connect() as client:
        await client.attach()
        assert not (await client.post(bob.uri, b"x", mid=mids[0]))["duplicate"]


# ---- The upgrade ----

@pytest.mark.parametrize("extra, status", [
    (b"X-Long: " + b"x" * 20_000_000, 431),
    (b"".join(b"X-%d: y\r\n" % n for n in range(10_000)), 431),
    (b"Host: other", 400),
    (b"Content-Length: 0\r\nContent-Length: 44", 400),
    (b"Transfer-Encoding: chunked", 400),
    (b"X-Split: a\r\n b", 400),
    (b"X-Nul: \0", 400),
    (b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", 400),
], ids=["20MB", "10000-headers", "two-hosts", "two-lengths", "chunked", "folded", "nul", "two-keys"])
def test_hostile_heads(node, person, extra, status):
    """PR-05: refused at once, at little cost, and nothing behind the head is ever run."""
    smuggled = b"GET /crs/v1 HTTP/1.1\r\nHost: x\r\n\r\n"
    request = upgrade_request()[:-2] + extra + b"\r\n\r\n" + smuggled
    memory, began = node.resident_bytes(), time.monotonic()
    with Raw(node.server, person.context()) as raw:
        raw.send(request)
        assert raw.head()[0] == status
        answer = raw.rest()
    assert b"HTTP/1.1" not in answer, "one answer"
    assert time.monotonic() - began < 5
    assert node.resident_bytes() < memory + 16 * 2**20


# ---- Frames ----

@pytest.mark.parametrize("payload, code", [
    (struct.pack("!H", 1000) + b"\xff\xfe", 1007),
    (struct.pack("!H", 1000) + b"\xc0\xaf", 1007),
    *((struct.pack("!H", wrong), 1002) for wrong in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)),
    (struct.pack("!H", 1000) + b"x" * 124, 1002),
], ids=str)
def test_bad_close_frames(node, person, payload, code):
    """PR-03, PR-04."""
    with Raw(node.server, person.context()) as raw:
        raw.upgrade().send(frame(payload, opcode=CLOSE))
        assert raw.close_frame()[0] == code


def test_a_million_empty_fragments_and_claims_cost_nothing(node, person):
    """PR-02: many times over, so that a leak of a kilobyte each would show."""
    def attack():
        for data in (frame(b"", fin=False) + frame(b"", opcode=0, fin=False) * 100_000,
                     frame(claim=2**62), frame(claim=2**30), frame(b"x" * 98_305)):
            with Raw(node.server, person.context()) as raw:
                raw.upgrade().send(data)
                assert raw.close_frame()[0] in (1002, 1008, 1009)

    attack()
    before = node.resident_bytes()
    for _ in range(10):
        attack()
    assert node.resident_bytes() < before + 8 * 2**20


BAD_TEXT = [rb"\ud800", rb"\udc00\ud800", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", rb"\u0000", b"\x1f"]


@pytest.mark.parametrize("field", ["op", "device", "version", "to", "mid", "uri", "body", "offer", "session", "period"])
def test_bad_text_in_every_field(node, person, field):
    """PR-03: in every field that is a text: refused by name or, when it is no UTF-8, by 1007; never stored."""
    requests = {
        "op": b'{"id":9,"op":"time@"}',
        "device": b'{"id":9,"op":"attach","role":"primary","device":"d@"}',
        "version": b'{"id":9,"op":"attach","role":"primary","device":"d","client_info":{"version":"v@"}}',
        "to": b'{"id":9,"op":"msg.post","mid":"01932c2e-8f00-7abc-8def-0123456789ab","to":"tel:+4670@","body":""}',
        "mid": b'{"id":9,"op":"msg.post","mid":"01932c2e-8f00-7abc-8def-01234567@","to":"tel:+46700","body":""}',
        "uri": b'{"id":9,"op":"lookup","uri":"tel:+46700@"}',
        "body": b'{"id":9,"op":"msg.post","mid":"01932c2e-8f00-7abc-8def-0123456789ab","to":"tel:+46700","body":"AA@"}',
        "offer": b'{"id":9,"op":"call.invite","session":"01932c2e-8f00-7abc-8def-0123456789ab","to":"tel:+46700","offer":"AA@"}',
        "session": b'{"id":9,"op":"relay.alloc","session":"01932c2e-8f00-7abc-8def-0123456789a@"}',
        "period": b'{"id":9,"op":"upd.get","period":"2026-1@"}',
    }
    for bad in BAD_TEXT:
        with Raw(node.server, person.context()) as raw:
            raw.upgrade().send(frame(requests[field].replace(b"@", bad)) + frame(b'{"id":10,"op":"time"}'))
            opcode, payload = raw.frame()
            if opcode == CLOSE:
                assert payload == struct.pack("!H", 1007) + b"not-utf-8", (bad, payload)
                continue
            reply = json.loads(payload)
            assert reply["ok"] is False and reply["err"]["code"] in ("malformed", "bad-argument", "unknown-op"), (bad, reply)
            assert json.loads(raw.frame()[1])["re"] == 10
    assert "d\\u0000" not in json.dumps(node.cli("show", "attach"))


# ---- What a stranger may learn ----

async def test_blocked_and_unknown_users_look_the_same(node, domain):
    """PR-17: to a lookup, a post and a call: the same answer, but for the number that was asked for."""
    alice, blocked = domain.user(), domain.user()
    number, nobody = blocked.uri.removeprefix("tel:"), "+46999999999"
    node.cli("blacklist", "add", "police", number)
    async with alice.connect() as client:
        await client.attach()
        for op, fields in (("lookup", "uri"), ("msg.post", "to")):
            answers = []
            for who in (number, nobody):
                extra = {"mid": uuid7(), "body": "AAAA"} if op == "msg.post" else {}
                with pytest.raises(ProtocolError) as error:
                    await client.request(op, **{fields: f"tel:{who}"}, **extra)
                answers.append(json.dumps(error.value.err).replace(who, "?"))
            assert answers[0] == answers[1]
        states = []
        for who in (number, nobody):
            call = await client.request("call.invite", session=uuid7(), to=f"tel:{who}", offer="AAAA")
            states.append({k: v for k, v in call.items() if k not in ("re", "session", "to")})
        assert states[0] == states[1] and states[0]["state"] == "responder-not-found"


# ---- Silence, cuts and those who do not read ----

async def test_a_dead_client_is_noticed_and_what_was_posted_is_kept(tmp_path):
    """PR-19: its machine is gone without a word: off within two keep-alive periods, and no message is lost."""
    node = Node(tmp_path)
    try:
        node.start().configure("keep-alive 127.0.0.0/8 ws 2000 1000")
        domain = node.domain("silence")
        alice, bob = domain.user(), domain.user()
        with Raw(node.server, bob.context()) as raw:
            raw.upgrade().send(text(id=1, op="attach", role="primary", device="dead"))
            assert json.loads(raw.frame()[1])["ok"] is True
            async with alice.connect() as client:
                await client.attach()
                mids = [uuid7() for _ in range(20)]
                for mid in mids:
                    await client.post(bob.uri, b"while you were dead", mid=mid)
                    await asyncio.sleep(0.1)
                await until(lambda: bob.uri.removeprefix("tel:") not in json.dumps(node.cli("show", "attach")), 8)
        async with bob.connect() as client:
            assert (await client.attach())["waiting"] == len(mids)
            assert [item["mid"] for item in await client.fetch_all()] == mids
    finally:
        node.stop()


async def test_cut_at_random_points_exactly_the_unacked_come_again(domain):
    """PR-20: without a close, while pages and acks are under way: once each, in order, nothing twice after its ack."""
    alice, bob = domain.user(), domain.user()
    generator = random.Random(20)
    mids = [uuid7() for _ in range(60)]
    async with alice.connect() as client:
        await client.attach()
        for mid in mids:
            await client.post(bob.uri, b"x" * 3_000, mid=mid)
    acked, got = [], []
    for _ in range(9):
        client = await bob.connect().__aenter__()
        await client.attach()
        items = await client.fetch_all()
        # What is there is what was not acknowledged, in the order of the posts.
        assert [item["mid"] for item in items] == mids[len(acked):]
        share = items[:generator.randrange(1, 12)]
        got += [item["mid"] for item in share if item["mid"] not in got]
        if generator.random() < 0.5:
            await client.ack([item["n"] for item in share])
            acked += [item["mid"] for item in share]
            asyncio.ensure_future(client.request("msg.fetch", after=0)).add_done_callback(lambda done: done.exception())
            await asyncio.sleep(generator.random() / 50)
        client.socket.transport.abort()
        await asyncio.wait_for(client.reader, 10)
    assert got == mids[:len(got)] and acked == mids[:len(acked)] and acked
    async with alice.connect() as client:
        await client.attach()
        receipts = [item["mid"] for item in await client.fetch_all() if item["kind"] == "receipt"]
        assert receipts == acked


async def test_those_who_do_not_read_hold_up_nobody(node, domain):
    """OV-03: each asks for two megabytes and takes none of it: bounded memory, and others are served meanwhile."""
    alice, victims = domain.user(), [domain.user() for _ in range(6)]
    async with alice.connect() as client:
        await client.attach()
        for victim in victims:
            await client.post(victim.uri, bytes(60_000))
        before, held = node.resident_bytes(), []
        try:
            for victim in victims:
                for number in range(5):
                    held.append(Raw(node.server, victim.context(), receive_buffer=4_096))
                    held[-1].upgrade().send(text(id=0, op="attach", role="secondary", device=f"d{number}"))
                    held[-1].send(b"".join(text(id=n, op="msg.fetch", after=0) for n in range(1, 31)))
            for _ in range(20):
                began = time.monotonic()
                await client.request("time")
                assert time.monotonic() - began < 2
            # One page of 64 KiB at a time and connection, whatever was asked for.
            assert node.resident_bytes() < before + len(held) * 2**20
        finally:
            for raw in held:
                raw.tls.close()
