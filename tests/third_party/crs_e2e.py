"""Keys and messages end to end, written from docs/protocol-e2e.md alone.

Needs `cryptography` (with ML-KEM) and `cbor2`; nothing here knows the server's code. The server needs none of
this: to it bodies, offers and answers are opaque bytes, which crs_client.py carries.
"""

import base64
import datetime
import hashlib
import hmac
import io
import struct
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

DAY_MS = 86_400_000


class Refused(Exception):
    """Something that was received must not be believed."""


def must(condition, text):
    """Unlike assert, stays on under -O."""
    if not condition:
        raise Refused(text)


# ---- section 1: conventions ----

def encode(value):
    """Deterministic CBOR."""
    return cbor2.dumps(value, canonical=True)


def decode(data, version=True):
    """Exactly one CBOR item, of version 1 if it is a map with a version."""
    stream = io.BytesIO(data)
    item = cbor2.load(stream)
    must(stream.read() == b"", "bytes follow the CBOR item")
    must(not version or item["v"] == 1, "version 1")
    return item


def sha256(data):
    """32 bytes."""
    return hashlib.sha256(data).digest()


def sign(key, data):
    """ECDSA with SHA-256 as r, s."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(certificate, signature, data):
    """Raises when the signature is not by this certificate's key."""
    must(len(signature) == 64, "a signature has 64 bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    certificate.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))


def hkdf_extract(salt, ikm):
    """RFC 5869 section 2.2."""
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def hkdf_expand(prk, info, length):
    """RFC 5869 section 2.3."""
    out, block = b"", b""
    for n in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([n]), "sha256")
        out += block
    return out[:length]


class XWing:
    """draft-connolly-cfrg-xwing-kem: ML-KEM-768 and X25519 joined by SHA3-256."""

    LABEL = b"\\.//^\\"

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.m = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.x = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public = self.m.public_key().public_bytes_raw() + self.x.public_key().public_bytes_raw()

    @staticmethod
    def combine(ss_m, ss_x, ct_x, pk_x):
        """The shared secret."""
        return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + XWing.LABEL).digest()

    @staticmethod
    def encapsulate(public):
        """(shared secret, encapsulation of 1120 bytes)."""
        must(len(public) == 1216, "an X-Wing public key has 1216 bytes")
        ss_m, ct_m = mlkem.MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
        ephemeral = x25519.X25519PrivateKey.generate()
        ct_x = ephemeral.public_key().public_bytes_raw()
        ss_x = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(public[1184:]))
        return XWing.combine(ss_m, ss_x, ct_x, public[1184:]), ct_m + ct_x

    def decapsulate(self, enc):
        """The shared secret."""
        must(len(enc) == 1120, "an encapsulation has 1120 bytes")
        ss_m = self.m.decapsulate(enc[:1088])
        ss_x = self.x.exchange(x25519.X25519PublicKey.from_public_bytes(enc[1088:]))
        return XWing.combine(ss_m, ss_x, enc[1088:], self.public[1184:])


class Hpke:
    """A context of RFC 9180, base mode, good for one message and for exporting."""

    SUITE = b"HPKE" + struct.pack("!HHH", 0x647A, 0x0001, 0x0002)

    def __init__(self, shared, info):
        context = b"\0" + self._extract(b"", b"psk_id_hash", b"") + self._extract(b"", b"info_hash", info)
        secret = self._extract(shared, b"secret", b"")
        self.key = self._expand(secret, b"key", context, 32)
        self.nonce = self._expand(secret, b"base_nonce", context, 12)
        self.exporter = self._expand(secret, b"exp", context, 32)

    def seal(self, aad, plain):
        """The first message of the context."""
        return AESGCM(self.key).encrypt(self.nonce, plain, aad)

    def open(self, aad, sealed):
        """The first message of the context."""
        return AESGCM(self.key).decrypt(self.nonce, sealed, aad)

    def export(self, context, length):
        """RFC 9180 section 5.3."""
        return self._expand(self.exporter, b"sec", context, length)

    def _extract(self, salt, label, ikm):
        return hkdf_extract(salt, b"HPKE-v1" + self.SUITE + label + ikm)

    def _expand(self, prk, label, info, length):
        return hkdf_expand(prk, struct.pack("!H", length) + b"HPKE-v1" + self.SUITE + label + info, length)


def key_id(public):
    """Names an X-Wing public key."""
    return sha256(public)[:16]


# ---- section 2: certificates and trust ----

EXTENSION = x509.ObjectIdentifier("2.25.2224539050557275826")
CLIENT_AUTH = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH


def period_bounds(period):
    """(first, end) of a month in milliseconds."""
    starts = (datetime.datetime.fromisoformat(f"{p}-01T00:00:00+00:00") for p in (period, period_shifted(period, 1)))
    first, end = (int(start.timestamp() * 1000) for start in starts)
    return first, end


def period_of(now_ms):
    """The month of a time."""
    return datetime.datetime.fromtimestamp(now_ms / 1000, datetime.timezone.utc).strftime("%Y-%m")


def period_shifted(period, months):
    """A month so many months later."""
    index = int(period[:4]) * 12 + int(period[5:]) - 1 + months
    return f"{index // 12:04}-{index % 12 + 1:02}"


def good_for_everything(period, now_ms):
    """The month and seven days more."""
    first, end = period_bounds(period)
    return first <= now_ms < end + 7 * DAY_MS


def percent_encoded(uri):
    """Every byte but the unreserved of RFC 3986 as %XX."""
    return quote(uri, safe="-._~")


@dataclass
class Identity:
    """What a user's signing certificate says."""
    account: str
    uri: str
    period: str
    generation: int
    certificate: x509.Certificate


def read_identity(der, cas):
    """Checks a user's certificate against the CAs of its account."""
    certificate = x509.load_der_x509_certificate(der)
    for ca in cas:
        try:
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(ca))
            break
        except Exception:  # noqa: BLE001 - any failure means another CA
            continue
    else:
        raise Refused("no CA of the account signed this certificate")
    extension = certificate.extensions.get_extension_for_class
    must(CLIENT_AUTH in extension(x509.ExtendedKeyUsage).value, "clientAuth")
    names = list(extension(x509.SubjectAlternativeName).value)
    must(len(names) == 1 and isinstance(names[0], x509.UniformResourceIdentifier), "one SAN, a URI")
    parts = names[0].value.split(":")
    must(parts[:3] == ["urn", "crs", "user"] and len(parts) == 5, "urn:crs:user:account:uri")
    raw = certificate.extensions.get_extension_for_oid(EXTENSION).value.value
    # SEQUENCE { INTEGER 1, PrintableString period, INTEGER generation }, all lengths short
    must(raw[:5] == bytes([0x30, len(raw) - 2, 2, 1, 1]) and raw[5:7] == b"\x13\x07", "period extension")
    must(raw[14] == 2 and len(raw) == 16 + raw[15], "generation")
    period = raw[7:14].decode()
    first, end = period_bounds(period)
    must(certificate.not_valid_before_utc.timestamp() * 1000 >= first, "not before its month")
    must(certificate.not_valid_after_utc.timestamp() * 1000 <= end + 60 * DAY_MS, "not longer than 60 days after")
    return Identity(parts[3], unquote(parts[4]), period, int.from_bytes(raw[16:], "big"), certificate)


def cose_sign1(data, aad, cas):
    """Opens an untagged COSE_Sign1 by one of these CAs; returns its payload."""
    protected, _, payload, signature = decode(data, version=False)
    must(decode(protected, version=False) == {1: -7}, "ES256")
    tbs = encode(["Signature1", protected, aad, payload])
    for ca in cas:
        try:
            verify(x509.load_der_x509_certificate(ca), signature, tbs)
            return decode(payload)
        except Refused:
            raise
        except Exception:  # noqa: BLE001 - any failure means another CA
            continue
    raise Refused("no CA of the account signed this")


@dataclass
class Trust:
    """The CAs a client believes, by folded account."""
    account: str
    serial: int
    cas: list
    connected: dict = field(default_factory=dict)

    def replaced_by(self, data):
        """The list to use after a new one has come."""
        new = cose_sign1(data, b"crs-trust-v1", self.cas)
        must(new["account"].lower() == self.account.lower(), "the list is for our account")
        if new["serial"] < self.serial:
            return self
        connected = {entry["account"].lower(): entry["cas"] for entry in new["connected"]}
        return Trust(self.account, new["serial"], new["cas"], connected)

    def of(self, account):
        """The CAs of an account."""
        if account.lower() == self.account.lower():
            return self.cas
        must(account.lower() in self.connected, f"{account} is not connected")
        return self.connected[account.lower()]


def read_kem_cert(data, trust, account, uri):
    """A user's encapsulation certificate."""
    kem = cose_sign1(data, b"crs-kem-cert-v1", trust.of(account))
    must(kem["account"].lower() == account.lower() and kem["uri"] == uri, "whose key it is")
    must(kem["kid"] == key_id(kem["key"]), "kid")
    return kem


# ---- sections 4 and 5: bundle and package ----

@dataclass
class Month:
    """The keys of one month."""
    period: str
    generation: int
    sign_key: ec.EllipticCurvePrivateKey
    sign_cert: bytes
    kem: XWing


@dataclass
class Person:
    """A user with everything that the user's device stores."""
    account: str
    uri: str
    addresses: list
    server: dict
    enrolment: XWing
    first_key: ec.EllipticCurvePrivateKey
    first_cert: bytes
    trust: Trust
    months: dict = field(default_factory=dict)

    def route(self):
        """[folded account, uri]."""
        return [self.account.lower(), self.uri]

    def newest(self, now_ms):
        """The keys to sign with now."""
        good = [m for m in self.months.values() if good_for_everything(m.period, now_ms)]
        must(good, "no keys of this month")
        return max(good, key=lambda m: (m.period, m.generation))

    def take_package(self, data):
        """Verifies and stores what `upd.get` gave. Only then it may be confirmed."""
        package = decode(data)
        self.trust = self.trust.replaced_by(package["trust"])
        cas = self.trust.of(self.account)
        identity = read_identity(package["sign_cert"], cas)
        must(identity.account.lower() == self.account.lower() and identity.uri == self.uri, "our certificate")
        kem = read_kem_cert(package["kem_cert"], self.trust, self.account, self.uri)
        must((kem["period"], kem["generation"]) == (identity.period, identity.generation), "one period and generation")
        aad = encode(["crs-pkg-v1", self.account.lower(), self.uri, identity.period, identity.generation])
        enc, sealed = package["sealed"][:1120], package["sealed"][1120:]
        keys = decode(Hpke(self.enrolment.decapsulate(enc), b"crs-pkg-v1").open(aad, sealed))
        month = Month(identity.period, identity.generation, private_key(keys["sign_key"]),
                      package["sign_cert"], XWing(keys["kem_key"]))
        must(month.sign_key.public_key() == identity.certificate.public_key(), "sign_key belongs to its certificate")
        must(month.kem.public == kem["key"], "kem_key belongs to its certificate")
        self.months[(month.period, month.generation)] = month
        return month

    def write_pems(self, folder, cert=None, key=None):
        """cert.pem, key.pem and ca.pem for a TLS stack."""
        cert, key = cert or self.first_cert, key or self.first_key
        pem = serialization.Encoding.PEM
        (folder / "cert.pem").write_bytes(x509.load_der_x509_certificate(cert).public_bytes(pem))
        (folder / "key.pem").write_bytes(key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        (folder / "ca.pem").write_bytes(
            x509.load_der_x509_certificate(self.server["pool-ca"]).public_bytes(pem))


def private_key(scalar):
    """A P-256 key from its 32 bytes."""
    must(len(scalar) == 32, "a scalar has 32 bytes")
    return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())


def bundle_key(bundle, pin):
    """Argon2id of the PIN without spaces and dashes."""
    secret = pin.replace(" ", "").replace("-", "").encode()
    return Argon2id(salt=bundle["salt"], length=32, iterations=bundle["passes"], lanes=bundle["lanes"],
                    memory_cost=bundle["memory"]).derive(secret)


def open_bundle(data, pin):
    """An enrolment bundle."""
    must(len(data) <= 65_536, "a bundle has at most 64 KiB")
    bundle = decode(data)
    must(bundle["kdf"] == "argon2id", "argon2id")
    must(8 <= bundle["memory"] <= 262_144 and 1 <= bundle["passes"] <= 16 and 1 <= bundle["lanes"] <= 4, "cost")
    aad = encode({**bundle, "sealed": b""})
    plain = decode(AESGCM(bundle_key(bundle, pin)).decrypt(bundle["nonce"], bundle["sealed"], aad))
    identity = read_identity(plain["sign_cert"], plain["cas"])
    must((identity.account, identity.uri) == (plain["account"], plain["uri"]), "our certificate")
    first_key = private_key(plain["sign_key"])
    must(first_key.public_key() == identity.certificate.public_key(), "sign_key belongs to sign_cert")
    trust = Trust(plain["account"], 0, plain["cas"])
    return Person(plain["account"], plain["uri"], plain["addresses"], plain["server"], XWing(plain["enrolment"]),
                  first_key, plain["sign_cert"], trust)


# ---- section 6: messages ----

def message_aad(sender, receiver, mid, period, kid):
    """What binds an envelope to its way."""
    return encode(["crs-msg-v1", sender, receiver, uuid.UUID(mid).bytes, period, kid])


def newest_key(person, looked_up, now_ms):
    """The verified encapsulation key to write to, from a `lookup` reply."""
    kems = [read_kem_cert(base64.b64decode(k["kem_cert"]), person.trust, looked_up["account"], looked_up["uri"])
            for k in looked_up["keys"]]
    good = [kem for kem in kems if good_for_everything(kem["period"], now_ms)]
    must(good, "no key of the receiver is good now")
    return max(good, key=lambda kem: (kem["period"], kem["generation"]))


def seal_message(person, kem, mid, body, now_ms=None):
    """The envelope for the owner of a verified encapsulation key."""
    month = person.newest(now_ms or time.time_ns() // 1_000_000)
    aad = message_aad(person.route(), [kem["account"].lower(), kem["uri"]], mid, kem["period"], kem["kid"])
    shared, enc = XWing.encapsulate(kem["key"])
    signed = encode(["crs-msg-sig-v1", aad, enc, sha256(month.sign_cert), sha256(body)])
    plain = {"pad": b"", "sig": sign(month.sign_key, signed), "body": body, "cert": month.sign_cert}
    plain["pad"] = bytes(max(0, 1000 - len(encode(plain))))
    sealed = Hpke(shared, b"crs-msg-v1").seal(aad, encode(plain))
    return encode({"v": 1, "enc": enc, "kid": kem["kid"], "period": kem["period"], "sealed": sealed})


def open_message(person, item, now_ms=None):
    """The content of a `msg.fetch` item; raises when it must not be shown. `now_ms`: by the server's clock."""
    envelope = decode(item["body"])
    month = next((m for m in person.months.values() if key_id(m.kem.public) == envelope["kid"]), None)
    must(month is not None, "unknown kid")
    sender = [item["account"].lower(), item["from"]]
    aad = message_aad(sender, person.route(), item["mid"], envelope["period"], envelope["kid"])
    shared = month.kem.decapsulate(envelope["enc"])
    plain = decode(Hpke(shared, b"crs-msg-v1").open(aad, envelope["sealed"]), version=False)
    written = uuid.UUID(item["mid"]).int >> 80
    must(written < (now_ms or time.time_ns() // 1_000_000) + DAY_MS, "more than a day ahead")
    identity = read_identity(plain["cert"], person.trust.of(item["account"]))
    must([identity.account.lower(), identity.uri] == sender, "the sender's certificate")
    must(good_for_everything(identity.period, written), "the certificate's time")
    signed = encode(["crs-msg-sig-v1", aad, envelope["enc"], sha256(plain["cert"]), sha256(plain["body"])])
    verify(identity.certificate, plain["sig"], signed)
    return plain["body"]
