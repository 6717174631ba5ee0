"""Opens an update file with other people's libraries (pycose, cbor2, cryptography).

Shows that docs/protocol-e2e.md is enough to read the file: nothing here knows our code.

    python3 test_update_cose.py --file 2026-11.upd --secret BASE64 --account acme
                                [--cms-key BASE64] [--users N]

Exit 0 when every check holds; otherwise a traceback names the one that does not.
"""

import argparse
import base64
import io

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pycose.algorithms import A128GCM, A256GCM
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey, SymmetricKey
from pycose.keys.curves import Ed25519
from pycose.messages import CoseMessage, Enc0Message, Sign1Message


def check(condition, text):
    """Unlike assert, stays on under -O."""
    if not condition:
        raise SystemExit(f"FAILED: {text}")


def one_item(data):
    """Exactly one CBOR item."""
    stream = io.BytesIO(data)
    item = cbor2.load(stream)
    check(stream.read() == b"", "bytes follow the CBOR item")
    return item


def open_file(data, secret, account):
    """Outer layer: COSE_Encrypt0 under a key from the account secret."""
    message = CoseMessage.decode(data)
    check(isinstance(message, Enc0Message), "outside is COSE_Encrypt0")
    length, algorithm = (32, A256GCM) if len(secret) >= 32 else (16, A128GCM)
    check(message.phdr[Algorithm] == algorithm, "algorithm by the secret's length")
    check(message.phdr[KID].decode().lower() == account.lower(), "kid names the account")
    key = HKDF(SHA256(), length, salt=None, info=b"crs-upd-v1").derive(secret)
    message.key = SymmetricKey(k=key)
    return message.decrypt()


def verify(signed, account, pinned):
    """Inner layer: COSE_Sign1 by the CMS key."""
    message = CoseMessage.decode(signed)
    check(isinstance(message, Sign1Message), "inside is COSE_Sign1")
    headers = cbor2.loads(cbor2.loads(signed).value[0])
    check(headers[1] == -8, "algorithm EdDSA")
    check(headers[4].decode().lower() == account.lower(), "kid names the account")
    key = headers["cms-key"]
    check(len(key) == 32, "cms-key has 32 bytes")
    check(pinned is None or key == pinned, "signed by the pinned CMS key")
    message.key = OKPKey(crv=Ed25519, x=key)
    check(message.verify_signature(), "pycose verifies the CMS signature")
    # And once more without any COSE library: the structure of RFC 9052 section 4.4.
    protected, _, payload, signature = cbor2.loads(signed).value
    tbs = cbor2.dumps(["Signature1", protected, b"", payload])
    Ed25519PublicKey.from_public_bytes(key).verify(signature, tbs)
    return message.payload


def verify_es256(cose, purpose, ca):
    """A COSE_Sign1 by an account CA: encapsulation certificates and trust lists."""
    protected, _, payload, signature = one_item(cose)
    check(cbor2.loads(protected) == {1: -7}, "algorithm ES256")
    tbs = cbor2.dumps(["Signature1", protected, purpose, payload])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    ca.public_key().verify(encode_dss_signature(r, s), tbs, ec.ECDSA(SHA256()))
    return one_item(payload)


def check_user(user, update, ca):
    """A user's certificates, by the account's CA."""
    certificate = x509.load_der_x509_certificate(user["sign_cert"])
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uri = user["uri"].replace(":", "%3A").replace("+", "%2B")
    check([name.value for name in names] == [f"urn:crs:user:{update['account']}:{uri}"], "SAN")
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    check([oid.dotted_string for oid in usage] == ["1.3.6.1.5.5.7.3.2"], "clientAuth only")
    oid = x509.ObjectIdentifier("2.25.2224539050557275826")
    extension = certificate.extensions.get_extension_for_oid(oid).value.value
    check(extension[7:14] == update["period"].encode(), "period extension")
    kem = verify_es256(user["kem_cert"], b"crs-kem-cert-v1", ca)
    check(kem["uri"] == user["uri"] and kem["period"] == update["period"], "kem_cert's user")
    check(len(kem["key"]) == 1216, "X-Wing public key")
    check(len(user["package"]) > 1120 + 16, "sealed package")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--account", required=True)
    parser.add_argument("--cms-key")
    parser.add_argument("--users", type=int)
    args = parser.parse_args()
    with open(args.file, "rb") as file:
        data = file.read()
    secret = base64.b64decode(args.secret)
    pinned = base64.b64decode(args.cms_key) if args.cms_key else None

    signed = open_file(data, secret, args.account)
    update = one_item(verify(signed, args.account, pinned))
    check(update["v"] == 1, "version 1")
    check(update["account"].lower() == args.account.lower(), "account")
    check(args.users is None or len(update["users"]) == args.users, "number of users")
    check(cbor2.dumps(update, canonical=True) == verify(signed, args.account, pinned),
          "the content is deterministic CBOR")
    ca = x509.load_der_x509_certificate(update["cas"][0])
    trust = verify_es256(update["trust"], b"crs-trust-v1", ca)
    check(trust["serial"] == update["serial"] and trust["cas"] == update["cas"], "trust list")
    for user in update["users"]:
        check_user(user, update, ca)

    # The checks can fail: a changed byte must be noticed by both layers.
    for index in (40, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[index] ^= 1
        try:
            open_file(bytes(damaged), secret, args.account)
        except BaseException:
            continue
        raise SystemExit(f"FAILED: changed byte {index} was not noticed")
    print(f"ok: {update['account']} {update['period']} serial {update['serial']},"
          f" {len(update['users'])} users")


if __name__ == "__main__":
    main()
