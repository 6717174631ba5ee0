"""A client of `crs.v1`, written from docs/protocol.md alone.

Needs Python 3.11 and `websockets`; nothing here knows the server's code. Blocking calls, one connection a
`Client`, one UDP socket a `Leg`. Bodies, offers and answers are opaque bytes here; crs_e2e.py gives them content.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import ssl
import struct
import time
import uuid
import zlib

from websockets.sync.client import connect

PATH = "/crs/v1"
SUBPROTOCOL = "crs.v1"
FRAME_LIMIT = 98_304
TIMEOUT = 30.0


class RequestError(Exception):
    """A reply with `ok: false` (protocol.md, section 10)."""

    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.reason = error.get("reason")
        self.retry_ms = error.get("retry_ms")
        self.text = error["text"]


def uuid7(at_ms=None):
    """A UUID of version 7 (RFC 9562 section 5.7), in the hyphenated form."""
    millis = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    value = (millis << 80) | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def b64(data):
    """Binary values are base64 with padding."""
    return base64.b64encode(data).decode()


def tls_context(ca=None, certificate=None, key=None):
    """TLS 1.3, the server verified against the pool CA, the client's certificate presented."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


class Client:
    """One connection: requests with replies, and the events that come between them."""

    def __init__(self, host, port, context, *, hostname=None, timeout=TIMEOUT, path=PATH, subprotocol=SUBPROTOCOL):
        self.timeout = timeout
        self.socket = connect(
            f"wss://{host}:{port}{path}",
            ssl=context,
            server_hostname=hostname or host,
            subprotocols=[subprotocol],
            compression=None,
            open_timeout=timeout,
            ping_interval=None,
            max_size=4 * FRAME_LIMIT,
        )
        self.next_id = 0
        self.next_seq = 1
        self.replies = {}
        self.events = []
        # The handshake alone proves nothing: the server's refusal of a certificate comes after it.
        self.welcome = self.event("welcome")
        if self.welcome["protocol"] != SUBPROTOCOL:
            raise ValueError(f"the server speaks {self.welcome['protocol']}")

    # -- frames -------------------------------------------------------------------------------------

    def send(self, op, **fields):
        """Sends a request and returns its id; `reply` waits for the answer."""
        self.next_id += 1
        present = {name: value for name, value in fields.items() if value is not None}
        self.socket.send(json.dumps({"id": self.next_id, "op": op, **present}))
        return self.next_id

    def reply(self, number, timeout=None):
        """The reply to a request; replies may come in any order."""
        self._read_until(lambda: number in self.replies, timeout)
        reply = self.replies.pop(number)
        if not reply["ok"]:
            raise RequestError(reply["err"])
        return reply

    def request(self, op, **fields):
        """Sends a request and waits for its reply."""
        return self.reply(self.send(op, **fields))

    def event(self, name, timeout=None, **match):
        """The oldest event of that name whose fields are as in `match`; others stay."""

        def index():
            for at, event in enumerate(self.events):
                if event["ev"] == name and all(event.get(k) == v for k, v in match.items()):
                    return at
            return None

        self._read_until(lambda: index() is not None, timeout)
        return self.events.pop(index())

    def _read_until(self, done, timeout):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not done():
            self.take(self.socket.recv(timeout=max(0.0, deadline - time.monotonic())))

    def take(self, text):
        """Sorts one frame of the server."""
        frame = json.loads(text)
        if "ev" in frame:
            if frame["seq"] != self.next_seq:
                raise ValueError(f"event {frame['seq']} came, {self.next_seq} was next")
            self.next_seq += 1
            self.events.append(frame)
        elif "re" in frame:
            if frame["re"] in self.replies:
                raise ValueError(f"a second reply to {frame['re']}")
            self.replies[frame["re"]] = frame
        else:
            raise ValueError(f"neither reply nor event: {text[:200]}")

    def close(self):
        """Ends the connection."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- life cycle, users and keys -----------------------------------------------------------------

    def attach(self, device, role="primary", resume=None, client_info=None):
        """Registers the certificate's user here."""
        return self.request("attach", role=role, device=device, resume=resume, client_info=client_info)

    def lookup(self, uri):
        """A user's keys."""
        return self.request("lookup", uri=uri)

    def update_get(self, period):
        """The key package of a month: the reply with `package` decoded."""
        reply = self.request("upd.get", period=period)
        reply["package"] = base64.b64decode(reply["package"], validate=True)
        return reply

    def update_confirm(self, period, serial):
        """The package is on our disk."""
        return self.request("upd.confirm", period=period, serial=serial)

    # -- messages -----------------------------------------------------------------------------------

    def post(self, to, body, mid=None, expires_ms=None):
        """Posts; the reply means durable. Returns the reply."""
        return self.request("msg.post", mid=mid or uuid7(), to=to, body=b64(body), expires_ms=expires_ms)

    def fetch(self, after=0, max_bytes=None):
        """One page: (items, more). Bodies are decoded."""
        reply = self.request("msg.fetch", after=after, max_bytes=max_bytes)
        for item in reply["items"]:
            if "body" in item:
                item["body"] = base64.b64decode(item["body"], validate=True)
        return reply["items"], reply["more"]

    def fetch_all(self):
        """Every waiting item, oldest first."""
        items, after, more = [], 0, True
        while more:
            page, more = self.fetch(after)
            items += page
            after = page[-1]["n"] if page else after
        return items

    def ack(self, *numbers):
        """The items are safe with us. Returns how many were removed."""
        return self.request("msg.ack", n=list(numbers))["removed"]

    # -- calls --------------------------------------------------------------------------------------

    def invite(self, to, offer, session=None, media=None):
        """Calls; returns the CallState."""
        return self.request("call.invite", session=session or uuid7(), to=to, offer=b64(offer), media=media)

    def ringing(self, session):
        """This device rings."""
        return self.request("call.ringing", session=session)

    def answer(self, session, answer):
        """Takes the call."""
        return self.request("call.answer", session=session, answer=b64(answer))

    def hangup(self, session, reason=None, detail=None):
        """Ends, declines or cancels."""
        return self.request("call.hangup", session=session, reason=reason, detail=detail)

    def call_state(self, session, state, timeout=None):
        """Waits for the event that a call has reached a state."""
        return self.event("call.state", timeout, session=session, state=state)

    def leg(self, session):
        """Our leg of the call, not yet bound."""
        return Leg(self.request("relay.alloc", session=session))


# -- media ------------------------------------------------------------------------------------------

COOKIE = b"\x21\x12\xa4\x42"
REQUEST, SUCCESS = 0x0001, 0x0101
USERNAME, INTEGRITY, INTEGRITY_SHA256, XOR_MAPPED, FINGERPRINT = 0x06, 0x08, 0x1C, 0x20, 0x8028
DIGESTS = {INTEGRITY: ("sha1", 20), INTEGRITY_SHA256: ("sha256", 32)}


def stun(kind, tid, attributes, key, integrity=INTEGRITY_SHA256, fingerprint=True):
    """A STUN message (RFC 8489) with an integrity attribute and FINGERPRINT."""
    body = b"".join(struct.pack("!HH", t, len(v)) + v + bytes(-len(v) % 4) for t, v in attributes)

    def head(more):
        return struct.pack("!HH", kind, len(body) + more) + COOKIE + tid

    if integrity is not None:
        digest, size = DIGESTS[integrity]
        mac = hmac.digest(key, head(4 + size) + body, digest)
        body += struct.pack("!HH", integrity, size) + mac
    if fingerprint:
        body += struct.pack("!HHI", FINGERPRINT, 4, zlib.crc32(head(8) + body) ^ 0x5354554E)
    return head(0) + body


def stun_attributes(packet):
    """(type, value, offset) of each attribute."""
    at = 20
    while at + 4 <= len(packet):
        kind, length = struct.unpack_from("!HH", packet, at)
        yield kind, packet[at + 4:at + 4 + length], at
        at += 4 + length + -length % 4


def stun_integrity(packet, key):
    """The integrity attribute that holds for this packet, or None."""
    found = {kind: (value, at) for kind, value, at in stun_attributes(packet) if kind in DIGESTS}
    for kind in (INTEGRITY_SHA256, INTEGRITY):
        if kind in found:
            (value, at), (digest, size) = found[kind], DIGESTS[kind]
            signed = packet[:2] + struct.pack("!H", at - 20 + 4 + size) + packet[4:at]
            return kind if hmac.compare_digest(hmac.digest(key, signed, digest), value) else None
    return None


def xor_address(ip, port, tid):
    """The value of XOR-MAPPED-ADDRESS; its own inverse on the address part. IPv4."""
    raw = struct.pack("!H", port) + socket.inet_aton(ip)
    mask = COOKIE[:2] + COOKIE
    return b"\0\1" + bytes(a ^ b for a, b in zip(raw, mask))


def xor_mapped(packet):
    """(ip, port) in XOR-MAPPED-ADDRESS, or None. IPv4."""
    for kind, value, _ in stun_attributes(packet):
        if kind == XOR_MAPPED and value[1] == 1:
            raw = bytes(a ^ b for a, b in zip(value[2:8], COOKIE[:2] + COOKIE))
            return socket.inet_ntoa(raw[2:]), struct.unpack("!H", raw[:2])[0]
    return None


def address_of(text):
    """`192.0.2.1:146` as (ip, port)."""
    ip, port = text.rsplit(":", 1)
    return ip.strip("[]"), int(port)


class Leg:
    """Our side of a call's media: one UDP socket for STUN and RTP."""

    def __init__(self, allocation, integrity=INTEGRITY_SHA256):
        self.allocation = allocation
        self.integrity = integrity
        self.ufrag = allocation["ufrag"]
        self.key = allocation["password"].encode()
        self.relay = next(address_of(a["addr"]) for a in allocation["addresses"] if a["transport"] == "udp")
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1" if self.relay[0].startswith("127.") else "0.0.0.0", 0))
        self.media = []
        self.checks = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def bind(self, timeout=TIMEOUT):
        """Proves our address; returns it as the relay sees it."""
        tid = os.urandom(12)
        request = stun(REQUEST, tid, [(USERNAME, self.ufrag.encode())], self.key, self.integrity)
        deadline, wait = time.monotonic() + timeout, 0.5
        while time.monotonic() < deadline:
            self.send(request)
            again = time.monotonic() + wait
            while (left := again - time.monotonic()) > 0:
                packet = self.raw(left)
                if packet is None:
                    break
                if self.is_stun(packet, SUCCESS) and packet[8:20] == tid:
                    if stun_integrity(packet, self.key):
                        return xor_mapped(packet)
                else:
                    self.handle(packet)
            wait *= 2
        raise TimeoutError("the relay did not confirm our address")

    def send(self, packet):
        """Sends a datagram to the relay."""
        self.sent_bytes += len(packet)
        self.udp.sendto(packet, self.relay)

    def raw(self, timeout):
        """One datagram from the relay, or None."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self.udp.settimeout(left)
            try:
                packet, sender = self.udp.recvfrom(2048)
            except TimeoutError:
                return None
            if sender == self.relay:
                self.received_bytes += len(packet)
                return packet
        return None

    def receive(self, timeout=TIMEOUT):
        """The next media packet, checks answered meanwhile; None when none comes in time."""
        deadline = time.monotonic() + timeout
        while not self.media:
            left = deadline - time.monotonic()
            packet = self.raw(left) if left > 0 else None
            if packet is None:
                return None
            self.handle(packet)
        return self.media.pop(0)

    def handle(self, packet):
        """Answers the relay's check, keeps media, drops the rest."""
        if self.is_stun(packet, REQUEST):
            kind = stun_integrity(packet, self.key)
            if kind is not None:
                self.checks += 1
                tid = packet[8:20]
                printed = any(t == FINGERPRINT for t, _, _ in stun_attributes(packet))
                mapped = [(XOR_MAPPED, xor_address(*self.relay, tid))]
                self.send(stun(SUCCESS, tid, mapped, self.key, kind, printed))
        elif packet and 128 <= packet[0] <= 191:
            self.media.append(packet)

    @staticmethod
    def is_stun(packet, kind):
        """A STUN message of this type."""
        return len(packet) >= 20 and packet[:2] == struct.pack("!H", kind) and packet[4:8] == COOKIE

    def close(self):
        """Gives the socket back."""
        self.udp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def rtp(payload, seq, timestamp, ssrc, pt=0, marker=False):
    """A bare RTP packet (RFC 3550 section 5.1)."""
    return struct.pack("!BBHII", 0x80, marker << 7 | pt, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def digest(data):
    """SHA-256, for comparing what was sent with what arrived."""
    return hashlib.sha256(data).hexdigest()
