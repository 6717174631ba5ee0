"""A key management system written from docs/protocol-e2e.md alone: makes an account's CA, users' keys and update files.

Holding the account's CA, the tests can make every certificate that a server must refuse.
"""

import base64
import datetime
import hashlib
import os
import time

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID

import crs_e2e as e2e

NO_NAME = x509.Name([])


def utc(ms):
    """A time for certificates."""
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)


def new_key():
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_ca():
    """(key, certificate) of an account CA."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "third-party CA")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(
        issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=400), not_valid_after=now + datetime.timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return key, builder.add_extension(usage, critical=True).sign(key, SHA256())


def user_certificate(ca, account, uri, period, generation, *, usage=ExtendedKeyUsageOID.CLIENT_AUTH, names=None,
                     extra_days=60, self_signed=False):
    """(key, DER) of a user's signing certificate; the keywords make it wrong."""
    ca_key, ca_certificate = ca
    key = new_key()
    first, end = e2e.period_bounds(period)
    number = generation.to_bytes((generation.bit_length() + 8) // 8, "big")
    inner = b"\2\1\1" + b"\x13\7" + period.encode() + b"\2" + bytes([len(number)]) + number
    urn = f"urn:crs:user:{account}:{e2e.percent_encoded(uri)}"
    names = names or [urn]
    key_usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False)
    builder = x509.CertificateBuilder(
        issuer_name=NO_NAME if self_signed else ca_certificate.subject, subject_name=NO_NAME,
        public_key=key.public_key(), serial_number=x509.random_serial_number(),
        not_valid_before=utc(first), not_valid_after=utc(end + extra_days * e2e.DAY_MS))
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in names])
    extension = x509.UnrecognizedExtension(e2e.EXTENSION, b"\x30" + bytes([len(inner)]) + inner)
    builder = builder.add_extension(san, critical=True).add_extension(key_usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    certificate = builder.add_extension(extension, critical=False).sign(key if self_signed else ca_key, SHA256())
    return key, certificate.public_bytes(serialization.Encoding.DER)


class Cms:
    """The domain of one account."""

    def __init__(self, account, secret, server):
        self.account, self.secret, self.server = account, base64.b64decode(secret), server
        self.ca = make_ca()
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.enrolments, self.generations = {}, {}
        self.serial = 0

    def ca_der(self):
        """The CA's certificate."""
        return self.ca[1].public_bytes(serialization.Encoding.DER)

    def fingerprint(self):
        """Of the CMS key."""
        text = hashlib.sha256(self.key.public_key().public_bytes_raw()).hexdigest().upper()
        return " ".join(text[at:at + 4] for at in range(0, 64, 4))

    def add(self, uri, generation=1):
        """A user, or a new generation of one."""
        self.generations[uri] = generation
        self.enrolments.setdefault(uri, os.urandom(32))

    def certificate(self, uri, period, generation=None, **wrong):
        """(key, DER) by this account's CA."""
        generation = self.generations.get(uri, 1) if generation is None else generation
        return user_certificate(self.ca, self.account, uri, period, generation, **wrong)

    def sign1(self, aad, payload):
        """COSE_Sign1 by the account's CA, untagged."""
        protected, payload = e2e.encode({1: -7}), e2e.encode(payload)
        signature = e2e.sign(self.ca[0], e2e.encode(["Signature1", protected, aad, payload]))
        return e2e.encode([protected, {}, payload, signature])

    def user_entry(self, uri, period):
        """A user's new keys of a month, as they stand in the update file."""
        generation, key = self.generations[uri], e2e.XWing(seed := os.urandom(32))
        sign_key, sign_cert = self.certificate(uri, period)
        kem_cert = self.sign1(b"crs-kem-cert-v1", {
            "v": 1, "key": key.public, "kid": e2e.key_id(key.public), "uri": uri, "period": period,
            "account": self.account, "generation": generation})
        aad = e2e.encode(["crs-pkg-v1", self.account.lower(), uri, period, generation])
        scalar = sign_key.private_numbers().private_value.to_bytes(32, "big")
        shared, enc = e2e.XWing.encapsulate(e2e.XWing(self.enrolments[uri]).public)
        plain = e2e.encode({"v": 1, "kem_key": seed, "sign_key": scalar})
        sealed = enc + e2e.Hpke(shared, b"crs-pkg-v1").seal(aad, plain)
        return {"uri": uri, "listed": True, "package": sealed, "kem_cert": kem_cert, "sign_cert": sign_cert,
                "generation": generation}

    def update(self, period):
        """The bytes of an update file."""
        self.serial += 1
        cas = [self.ca_der()]
        trust = self.sign1(b"crs-trust-v1", {
            "v": 1, "cas": cas, "serial": self.serial, "account": self.account, "connected": []})
        payload = e2e.encode({
            "v": 1, "cas": cas, "trust": trust, "users": [self.user_entry(uri, period) for uri in sorted(self.generations)],
            "period": period, "serial": self.serial, "account": self.account, "created": time.time_ns() // 1_000_000,
            "connected": [], "kms_public": b"", "team_codes": {}, "domain_token": b""})
        kid = self.account.encode()
        protected = e2e.encode({1: -8, 4: kid, "cms-key": self.key.public_key().public_bytes_raw(), "cms-succession": []})
        signature = self.key.sign(e2e.encode(["Signature1", protected, b"", payload]))
        inner = e2e.encode(cbor2.CBORTag(18, [protected, {}, payload, signature]))
        algorithm, size = (3, 32) if len(self.secret) >= 32 else (1, 16)
        protected, iv = e2e.encode({1: algorithm, 4: kid}), os.urandom(12)
        key = HKDF(SHA256(), size, salt=None, info=b"crs-upd-v1").derive(self.secret)
        sealed = AESGCM(key).encrypt(iv, inner, e2e.encode(["Encrypt0", protected, b""]))
        return e2e.encode(cbor2.CBORTag(16, [protected, {5: iv}, sealed]))

    def person(self, uri, period):
        """A user as after enrolment."""
        key, certificate = self.certificate(uri, period)
        trust = e2e.Trust(self.account, 0, [self.ca_der()])
        return e2e.Person(self.account, uri, [], self.server, e2e.XWing(self.enrolments[uri]), key, certificate, trust)

    def bundle(self, uri, period, pin, addresses):
        """The bytes of an enrolment bundle."""
        person = self.person(uri, period)
        plain = e2e.encode({
            "v": 1, "cas": [self.ca_der()], "uri": uri, "server": self.server, "account": self.account,
            "sign_key": person.first_key.private_numbers().private_value.to_bytes(32, "big"), "addresses": addresses,
            "enrolment": self.enrolments[uri], "sign_cert": person.first_cert})
        outer = {"v": 1, "kdf": "argon2id", "salt": os.urandom(16), "lanes": 1, "nonce": os.urandom(12),
                 "memory": 8192, "passes": 1, "sealed": b""}
        sealed = AESGCM(e2e.bundle_key(outer, pin)).encrypt(outer["nonce"], plain, e2e.encode(outer))
        return e2e.encode({**outer, "sealed": sealed})
