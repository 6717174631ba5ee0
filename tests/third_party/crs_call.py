"""Calls end to end (docs/protocol-e2e.md, section 7): offer, answer, SRTP. See crs_e2e.py."""

import json
import os
import struct
import uuid

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crs_e2e import Hpke, XWing, decode, encode, good_for_everything, must, read_identity, sha256, sign, verify

PROFILES = {8: 32, 7: 16}


def sign_call(person, purpose, body, now_ms):
    """Offer or answer."""
    month, body = person.newest(now_ms), encode(body)
    signed = encode([purpose, sha256(month.sign_cert), body])
    return encode({"v": 1, "sig": sign(month.sign_key, signed), "body": body, "cert": month.sign_cert}), body


def read_call(person, purpose, data, account, uri, now_ms):
    """A verified offer or answer: (content, its bytes)."""
    must(len(data) <= 16_384, "at most 16 KiB")
    outer = decode(data)
    identity = read_identity(outer["cert"], person.trust.of(account))
    must((identity.account.lower(), identity.uri) == (account.lower(), uri), "whose certificate it is")
    must(good_for_everything(identity.period, now_ms), "the certificate's time")
    verify(identity.certificate, outer["sig"], encode([purpose, sha256(outer["cert"]), outer["body"]]))
    body = decode(outer["body"])
    must(body["account"].lower() == account.lower(), "account")
    must(abs(body["time"] - now_ms) <= 600_000, "time within 10 minutes")
    return body, outer["body"]


def media_description(ssrc, seq, packets):
    """PCMU, 20 ms a packet."""
    return json.dumps({"audio": {"pt": 0, "codec": "PCMU", "rate": 8000, "channels": 1, "receive": [0],
                                 "ssrc": ssrc, "seq": seq, "packets": packets}}).encode()


class Caller:
    """Makes an offer and reads its answer."""

    def __init__(self, person, session, to, media, now_ms):
        self.person, self.session, self.to = person, session, to
        self.ephemeral = XWing(os.urandom(32))
        self.offer, _ = sign_call(person, "crs-offer-v1", {
            "v": 1, "to": to, "key": self.ephemeral.public, "from": person.uri, "time": now_ms, "media": media,
            "account": person.account, "session": uuid.UUID(session).bytes, "profiles": [8, 7]}, now_ms)

    def accept(self, answer, account, now_ms):
        """(SRTP to send with, SRTP to receive with, the callee's media description)."""
        body, raw = read_call(self.person, "crs-answer-v1", answer, account, self.to, now_ms)
        must(body["session"] == uuid.UUID(self.session).bytes, "session")
        must((body["from"], body["to"]) == (self.person.uri, self.to), "users")
        must(body["offer"] == sha256(self.offer), "the answer is to our offer")
        must(body["profile"] in PROFILES, "a profile we offered")
        hpke = Hpke(self.ephemeral.decapsulate(body["enc"]), b"crs-call-v1")
        caller, callee = media_keys(hpke, self.offer, raw, body["profile"])
        return caller, callee, json.loads(body["media"])


def answer_call(person, state, offer, media, now_ms):
    """(answer, SRTP to send with, SRTP to receive with, the caller's media description)."""
    body, _ = read_call(person, "crs-offer-v1", offer, state["from_account"], state["from"], now_ms)
    must(body["session"] == uuid.UUID(state["session"]).bytes, "session")
    must((body["from"], body["to"]) == (state["from"], person.uri), "users")
    profile = next(p for p in body["profiles"] if p in PROFILES)
    shared, enc = XWing.encapsulate(body["key"])
    answer, raw = sign_call(person, "crs-answer-v1", {
        "v": 1, "to": person.uri, "enc": enc, "from": body["from"], "time": now_ms, "media": media,
        "offer": sha256(offer), "account": person.account, "profile": profile, "session": body["session"]}, now_ms)
    caller, callee = media_keys(Hpke(shared, b"crs-call-v1"), offer, raw, profile)
    return answer, callee, caller, json.loads(body["media"])


def media_keys(hpke, offer, answer_body, profile):
    """(caller's SRTP, callee's SRTP)."""
    out = hpke.export(encode(["crs-srtp-v1", sha256(offer), sha256(answer_body)]), 88)
    size = PROFILES[profile]
    return Srtp(out[:size], out[64:76]), Srtp(out[32:32 + size], out[76:88])


class Srtp:
    """One direction of RFC 7714: AEAD_AES_GCM, no MKI. Packets must come within half a turn of the sequence."""

    def __init__(self, master, salt):
        self.key = AESGCM(self._derive(master, salt, 0, len(master)))
        self.salt = self._derive(master, salt, 2, 12)
        self.highest = {}

    @staticmethod
    def _derive(master, salt, label, length):
        # RFC 3711 section 4.3 with a 96-bit salt (RFC 7714 section 11): AES in counter mode, 112-bit salt padded right
        x = bytearray(salt + bytes(2))
        x[7] ^= label
        counter = Cipher(algorithms.AES(master), modes.CTR(bytes(x) + bytes(2))).encryptor()
        return counter.update(bytes(length))

    def _iv(self, ssrc, index):
        raw = struct.pack("!HIIH", 0, ssrc, index >> 16, index & 0xFFFF)
        return bytes(a ^ b for a, b in zip(raw, self.salt))

    def _index(self, ssrc, seq):
        if ssrc not in self.highest:
            return seq
        highest = self.highest[ssrc]
        candidates = [(highest & ~0xFFFF) + seq + turn for turn in (-0x10000, 0, 0x10000)]
        return min((c for c in candidates if c >= 0), key=lambda c: abs(c - highest))

    def protect(self, packet):
        """RTP with a header of 12 bytes to SRTP."""
        seq, ssrc = struct.unpack("!H", packet[2:4])[0], struct.unpack("!I", packet[8:12])[0]
        index = self._index(ssrc, seq)
        self.highest[ssrc] = max(index, self.highest.get(ssrc, 0))
        return packet[:12] + self.key.encrypt(self._iv(ssrc, index), packet[12:], packet[:12])

    def unprotect(self, packet):
        """SRTP to (sequence number, payload)."""
        must(len(packet) >= 28 and packet[0] == 0x80, "a plain RTP header")
        seq, ssrc = struct.unpack("!H", packet[2:4])[0], struct.unpack("!I", packet[8:12])[0]
        index = self._index(ssrc, seq)
        payload = self.key.decrypt(self._iv(ssrc, index), packet[12:], packet[:12])
        self.highest[ssrc] = max(index, self.highest.get(ssrc, 0))
        return seq, payload
