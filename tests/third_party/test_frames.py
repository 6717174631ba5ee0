"""Bad upgrades, bad frames and floods: a clear error or a clean close, and the node goes on."""

import collections
import json

import pytest

from crs_client import uuid7
from raw import BINARY, CLOSE, PING, PONG, TEXT, Raw, frame, upgrade_request

FRAME_LIMIT = 98_304
TIME = b'{"id":1,"op":"time"}'


@pytest.fixture(scope="module")
def person(domain):
    return domain.user()


@pytest.fixture
def raw(node, person):
    """A TLS connection; afterwards the node must still serve."""
    with Raw(node.server, person.context()) as connection:
        yield connection
    with Raw(node.server, person.context()) as another:
        another.upgrade().send(frame(TIME))
        assert b'"re":1,"ok":true' in another.frame()[1].replace(b" ", b"")


@pytest.mark.parametrize("wrong, status", [
    (dict(path="/"), 404),
    (dict(path="/crs/v2"), 404),
    (dict(path="/crs/v1/../v1"), 404),
    (dict(method="POST"), 405),
    (dict(Sec_WebSocket_Version="8"), 426),
    (dict(remove=["Upgrade"]), 426),
    (dict(remove=["Sec-WebSocket-Protocol"]), 400),
    (dict(Sec_WebSocket_Protocol="crs.v9"), 400),
    (dict(remove=["Sec-WebSocket-Key"]), 400),
    (dict(Content_Length="2", body=b"{}"), 400),
    (dict(X_Large="x" * 9000), 431),
    ({f"X_{n}": "y" for n in range(70)}, 431),
], ids=str)
def test_wrong_upgrades(raw, wrong, status):
    raw.send(upgrade_request(**wrong))
    assert raw.head()[0] == status


def test_malformed_head(raw):
    raw.send(b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n")
    assert raw.head()[0] == 400


def test_no_extension_is_negotiated(raw):
    raw.send(upgrade_request(Sec_WebSocket_Extensions="permessage-deflate", Sec_WebSocket_Protocol="other, crs.v1"))
    status, head = raw.head()
    assert status == 101
    assert "sec-websocket-extensions" not in head.lower()
    assert "sec-websocket-protocol: crs.v1" in head.lower()


@pytest.mark.parametrize("data, code, reason", [
    (frame(b"x" * (FRAME_LIMIT + 1)), 1009, "too-large"),
    (frame(b"x" * FRAME_LIMIT, fin=False) + frame(b"x", opcode=0), 1009, "too-large"),
    (frame(claim=2**32), 1009, "too-large"),
    (frame(b"\xff\xfe"), 1007, "not-utf-8"),
    (frame(b"\xc3", fin=False) + frame(b"(", opcode=0), 1007, "not-utf-8"),
    (frame(b"\xed\xa0\x80"), 1007, "not-utf-8"),
    (frame(TIME, opcode=BINARY), 1003, "text-frames-only"),
    (frame(TIME, mask=False), 1002, "protocol-error"),
    (frame(TIME, reserved=4), 1002, "protocol-error"),
    (frame(TIME, opcode=3), 1002, "protocol-error"),
    (frame(TIME, opcode=11), 1002, "protocol-error"),
    (frame(b"", opcode=PING, fin=False), 1002, "protocol-error"),
    (frame(b"x" * 126, opcode=PING), 1002, "protocol-error"),
    (frame(b"x", opcode=0), 1002, "protocol-error"),
    (frame(b"{", fin=False) + frame(b"{"), 1002, "protocol-error"),
    (frame(b"\x03", opcode=CLOSE), 1002, "protocol-error"),
], ids=["over-limit", "fragments-over-limit", "claims-4GiB", "not-utf8", "not-utf8-across-fragments", "surrogate",
        "binary", "unmasked", "reserved-bit", "reserved-opcode", "reserved-control", "fragmented-ping", "long-ping",
        "continuation-of-nothing", "text-within-fragments", "close-of-one-byte"])
def test_frames_that_close(raw, data, code, reason):
    raw.upgrade().send(data)
    assert raw.close_frame() == (code, reason)


def test_a_length_of_2_to_the_63_closes_and_costs_nothing(node, raw):
    before = node.resident_bytes()
    raw.upgrade().send(frame(claim=2**63))
    assert raw.close_frame()[0] in (1002, 1009)
    assert node.resident_bytes() < before + 64 * 2**20


def test_the_largest_frame_is_read(raw):
    raw.upgrade().send(frame(TIME[:-1] + b',"pad":"' + b"x" * (FRAME_LIMIT - len(TIME) - 9) + b'"}'))
    opcode, payload = raw.frame()
    assert opcode == TEXT and json.loads(payload)["ok"] is True


def test_fragments_are_joined_and_pings_between_them_answered(raw):
    raw.upgrade().send(frame(TIME[:7], fin=False) + frame(b"hello", opcode=PING) + frame(TIME[7:], opcode=0))
    assert raw.frame() == (PONG, b"hello")
    assert json.loads(raw.frame()[1])["re"] == 1


def test_close_is_answered(raw):
    raw.upgrade().send(frame(b"\x03\xe8", opcode=CLOSE))
    assert raw.close_frame()[0] == 1000


@pytest.mark.parametrize("text, re, code", [
    ("", None, "malformed"),
    ("{", None, "malformed"),
    ("[]", None, "malformed"),
    ("nul", None, "malformed"),
    ('{"op":"time"}', None, "malformed"),
    ('{"id":-1,"op":"time"}', None, "malformed"),
    ('{"id":1.5,"op":"time"}', None, "malformed"),
    ('{"id":"1","op":"time"}', None, "malformed"),
    ('{"id":9007199254740993,"op":"time"}', None, "malformed"),
    ('{"id":2}', 2, "malformed"),
    ('{"id":2,"op":7}', 2, "malformed"),
    ('{"id":2,"op":"time","op":"bye"}', None, "malformed"),
    ('{"id":2,"op":"time"} {"id":3,"op":"time"}', None, "malformed"),
    ('{"id":2,"op":"attach"}', 2, "malformed"),
    ('{"id":2,"op":"attach","role":"king","device":"d"}', 2, "malformed"),
    ('{"id":2,"op":"attach","role":"primary","device":"a b"}', 2, "malformed"),
    ('{"id":2,"op":"no.such.op"}', 2, "unknown-op"),
    ('{"id":2,"op":"TIME"}', 2, "unknown-op"),
    ('{"id":2,"op":"time","x":' + "[" * 40 + "]" * 40 + "}", None, "malformed"),
    ('{"id":2,"op":"time","x":' + "[" * 40_000, None, "malformed"),
], ids=range(20))
def test_malformed_requests_get_one_error_and_the_connection_stays(raw, text, re, code):
    raw.upgrade().send(frame(text.encode()) + frame(b'{"id":77,"op":"time"}'))
    error, good = (json.loads(raw.frame()[1]) for _ in range(2))
    assert error["ok"] is False
    assert error["err"]["code"] == code or (code == "malformed" and error["err"]["code"] == "bad-argument"), error
    assert error["re"] == re or (re is None and error["re"] == 2), error
    assert (good["re"], good["ok"]) == (77, True)


def test_more_requests_than_may_be_under_way(raw, domain):
    """Each has exactly one reply; those over the limit are refused by name, and posts in order after them."""
    receiver = f"tel:{domain.spare.pop()}"
    raw.upgrade().send(frame(b'{"id":0,"op":"attach","role":"primary","device":"many"}'))
    assert json.loads(raw.frame()[1])["ok"] is True
    posts = [{"id": n, "op": "msg.post", "mid": uuid7(), "to": receiver, "body": "AAAA"} for n in range(1, 81)]
    raw.send(b"".join(frame(json.dumps(post).encode()) for post in posts))
    replies = {}
    while len(replies) < len(posts):
        opcode, payload = raw.frame()
        assert opcode == TEXT, (payload, collections.Counter(replies.values()))
        reply = json.loads(payload)
        assert reply["re"] not in replies
        replies[reply["re"]] = "ok" if reply["ok"] else reply["err"]["code"]
    codes = collections.Counter(replies.values())
    assert set(codes) <= {"ok", "in-flight", "order-broken"} and codes["ok"] >= 32, codes
    # Nothing is confirmed after the first refusal.
    words = [replies[n] for n in sorted(replies)]
    assert "ok" not in words[codes["ok"]:], words


def test_request_flood(raw):
    """Every request has at most one reply, the refusals are named, then the server closes."""
    raw.upgrade().send(frame(b'{"id":0,"op":"attach","role":"primary","device":"flood"}'))
    assert json.loads(raw.frame()[1])["ok"] is True
    one = '{"id":%d,"op":"lookup","uri":"tel:+46999999999"}'
    raw.send(b"".join(frame((one % number).encode()) for number in range(1, 3001)))
    replies, codes = collections.Counter(), collections.Counter()
    while True:
        opcode, payload = raw.frame()
        if opcode == CLOSE:
            break
        reply = json.loads(payload)
        if "re" in reply:
            replies[reply["re"]] += 1
            codes[reply["err"]["code"]] += 1
    assert payload[2:] == b"flood"
    assert set(replies.values()) == {1}
    assert set(codes) <= {"not-found", "in-flight", "rate-limited"} and codes["not-found"] >= 1
    assert codes["in-flight"] + codes["rate-limited"] >= 60


def test_malformed_flood(raw):
    raw.upgrade().send(frame(b"{") * 200)
    assert raw.close_frame() == (1008, "flood")


def test_ping_flood(node, raw):
    """10 000 pings at once: each is answered or the server closes; either way its memory stays."""
    before = node.resident_bytes()
    raw.upgrade().send(frame(b"0123456789", opcode=PING) * 10_000 + frame(b'{"id":5,"op":"time"}'))
    pongs = 0
    while True:
        opcode, payload = raw.frame()
        if opcode != PONG:
            break
        assert payload == b"0123456789"
        pongs += 1
    assert (opcode == TEXT and json.loads(payload)["re"] == 5) or (opcode == CLOSE and payload[2:] == b"flood")
    assert pongs >= 120
    assert node.resident_bytes() < before + 64 * 2**20


def test_a_half_frame_and_a_cut_leave_nothing_behind(node, person):
    for cut in (1, 5, 20):
        with Raw(node.server, person.context()) as connection:
            connection.upgrade().send(frame(TIME * 10)[:cut])
    with Raw(node.server, person.context()) as connection:
        connection.upgrade()
