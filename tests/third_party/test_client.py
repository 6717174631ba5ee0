"""Two clients written from docs/protocol.md against a node, and certificates that are refused."""

import asyncio
import base64
import datetime
import os
import random
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from crs_client import Client, Leg, ProtocolError, tls_context, uuid7
from node import Node

ALICE, BOB, CAROL, DAVE = "+46700000001", "+46700000002", "+46700000003", "+46700000004"


@pytest.fixture(scope="module")
def node():
    node = Node()
    try:
        yield node.start()
    finally:
        node.stop()


@pytest.fixture(scope="module")
def domain(node):
    return node.domain("police", [ALICE, BOB, CAROL, DAVE])


@pytest.fixture(scope="module")
def pems(domain):
    return {number: domain.enrol(number) for number in (ALICE, BOB, CAROL, DAVE)}


def client(node, pem):
    context = tls_context(pem / "ca.pem", pem / "cert.pem", pem / "key.pem")
    return Client(node.server, context)


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_welcome_says_who_we_are(node, pems):
    async def go():
        async with client(node, pems[ALICE]) as alice:
            assert alice.welcome["protocol"] == "crs.v1"
            assert (alice.welcome["account"], alice.welcome["uri"]) == ("police", f"tel:{ALICE}")
            assert (await alice.request("time"))["period"]
            with pytest.raises(ProtocolError) as refused:
                await alice.request("msg.fetch", after=0)
            assert refused.value.code == "not-attached"
            with pytest.raises(ProtocolError) as unknown:
                await alice.request("no.such.op")
            assert unknown.value.code == "unknown-op"
    run(go())


def test_message_to_someone_offline_then_ack_and_receipt(node, pems):
    async def go():
        mid, body = uuid7(), os.urandom(300)
        async with client(node, pems[ALICE]) as alice:
            await alice.attach()
            posted = await alice.post(f"tel:{BOB}", body, mid)
            assert (posted["mid"], posted["copies"], posted["duplicate"]) == (mid, 1, False)
            assert (await alice.post(f"tel:{BOB}", body, mid))["duplicate"] is True
            with pytest.raises(ProtocolError) as conflict:
                await alice.post(f"tel:{BOB}", b"other", mid)
            assert conflict.value.code == "id-conflict"
            async with client(node, pems[BOB]) as bob:
                assert (await bob.attach())["waiting"] == 1
                [item] = await bob.fetch_all()
                assert (item["kind"], item["mid"], item["from"]) == ("content", mid, f"tel:{ALICE}")
                assert base64.b64decode(item["body"]) == body
                assert (await bob.ack([item["n"]]))["removed"] == 1
                assert (await bob.ack([item["n"]]))["removed"] == 0
                assert await bob.fetch_all() == []
            await alice.event("msg.acked", mid=mid)
            [receipt] = await alice.fetch_all()
            assert (receipt["kind"], receipt["mid"], receipt["by"]) == ("receipt", mid, f"tel:{BOB}")
            await alice.ack([receipt["n"]])
    run(go())


def test_order_and_paging(node, pems):
    async def go():
        async with client(node, pems[ALICE]) as alice, client(node, pems[CAROL]) as carol:
            await alice.attach()
            await carol.attach()
            bodies = [bytes([n]) * 5000 for n in range(40)]
            await asyncio.gather(*(alice.post(f"tel:{CAROL}", body) for body in bodies[:30]))
            for body in bodies[30:]:
                await alice.post(f"tel:{CAROL}", body)
            await carol.event("msg.new")
            items = await carol.fetch_all()
            assert [base64.b64decode(item["body"]) for item in items] == bodies
            assert (await carol.ack(item["n"] for item in items))["removed"] == 40
    run(go())


@pytest.mark.parametrize("sha1", [False, True], ids=["sha256", "sha1"])
def test_call_with_media_both_ways(node, pems, sha1):
    async def go():
        async with client(node, pems[ALICE]) as alice, client(node, pems[BOB]) as bob:
            await alice.attach()
            await bob.attach()
            session = uuid7()
            offer = base64.b64encode(b"an offer only Bob reads").decode()
            invited = await alice.request(
                "call.invite", session=session, to=f"tel:{BOB}", offer=offer, media="rtp")
            assert invited["state"] in ("invite", "ringing")
            rings = await bob.event("call.state", session=session)
            assert (rings["offer"], rings["from"]) == (offer, f"tel:{ALICE}")
            await bob.request("call.ringing", session=session)
            await alice.event("call.state", session=session, state="ringing")
            legs = [Leg(await who.request("relay.alloc", session=session), sha1)
                    for who in (alice, bob)]
            for leg in legs:
                await leg.bind()
                assert leg.checks >= 1, "the relay must prove an address before it answers"
            answer = base64.b64encode(b"an answer").decode()
            assert (await bob.request("call.answer", session=session, answer=answer))["state"] == "talk"
            talk = await alice.event("call.state", session=session, state="talk")
            assert (talk["answer"], talk["device"]) == (answer, "python-1")
            sounds = [[random.randbytes(160) for _ in range(50)] for _ in legs]
            await asyncio.gather(*(leg.send_rtp(sound) for leg, sound in zip(legs, sounds)))
            await asyncio.sleep(0.3)
            for leg, sound in zip(legs, reversed(sounds)):
                heard = [leg.heard.payloads[n] for n in sorted(leg.heard.payloads)]
                assert leg.heard.lost == 0 and heard == sound
            ended = await alice.request("call.hangup", session=session, reason="normal")
            assert (ended["state"], ended["who"], ended["stage"]) == ("hangup", "caller", "after-answer")
            end = await bob.event("call.state", session=session, state="hangup")
            assert (end["reason"], end["who"]) == ("normal", "caller")
            for leg in legs:
                leg.close()
    run(go())


def test_a_call_to_nobody(node, pems):
    async def go():
        async with client(node, pems[ALICE]) as alice:
            await alice.attach()
            offer = base64.b64encode(b"offer").decode()
            for number, state in (("+46799999999", "responder-not-found"),
                                  (CAROL, "responder-not-connected")):
                session = uuid7()
                reply = await alice.request(
                    "call.invite", session=session, to=f"tel:{number}", offer=offer)
                if reply["state"] != state:
                    await alice.event("call.state", session=session, state=state, within=60)
    run(go())


def test_blacklisted_is_denied_and_nothing_else(node, pems):
    node.cli("blacklist", "add", "client", "police", DAVE)

    async def go():
        async with client(node, pems[DAVE]) as dave:
            with pytest.raises(ProtocolError) as denied:
                await dave.attach()
            assert (denied.value.code, denied.value.reason) == ("denied", "blacklisted")
    run(go())
    node.cli("blacklist", "remove", "client", "police", DAVE)


# ---- certificates that are refused in the handshake ----

def answer_of(server, context):
    """What the server does with a certificate: "alert" and no application byte, or what it sent."""
    host, port = server.rsplit(":", 1)
    raw = socket.create_connection((host, int(port)), 10)
    try:
        with context.wrap_socket(raw, server_hostname=host) as tls:
            tls.settimeout(10)
            # In TLS 1.3 our handshake ends first: the refusal comes with the first read.
            tls.sendall(
                b"GET /crs/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                b"Sec-WebSocket-Protocol: crs.v1\r\n\r\n")
            return tls.recv(100)
    except ssl.SSLError as error:
        return "alert" if "ALERT" in str(error).upper() else str(error)
    except (ConnectionError, TimeoutError) as error:
        return str(error)
    finally:
        raw.close()


def forged(folder, pem, usage, days=30):
    """A certificate with the names and extensions of a real one, from a CA of our own."""
    real = x509.load_pem_x509_certificate((pem / "cert.pem").read_bytes())
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(real.subject).issuer_name(real.issuer)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1))
               .not_valid_after(now + datetime.timedelta(days=days)))
    for extension in real.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), extension.critical)
        elif not isinstance(extension.value, (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier)):
            builder = builder.add_extension(extension.value, extension.critical)
    cert = builder.sign(ca_key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return tls_context(pem / "ca.pem", folder / "cert.pem", folder / "key.pem")


def test_a_good_certificate_is_answered(node, pems):
    pem = pems[ALICE]
    context = tls_context(pem / "ca.pem", pem / "cert.pem", pem / "key.pem")
    assert b"101" in answer_of(node.server, context)


def test_no_certificate(node, pems):
    assert answer_of(node.server, tls_context(pems[ALICE] / "ca.pem")) == "alert"


def test_own_ca_for_a_real_user(node, pems, tmp_path):
    usage = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
    assert answer_of(node.server, forged(tmp_path, pems[ALICE], usage)) == "alert"


def test_wrong_usage(node, pems, tmp_path):
    usage = x509.oid.ExtendedKeyUsageOID.SERVER_AUTH
    assert answer_of(node.server, forged(tmp_path, pems[ALICE], usage)) == "alert"


def test_another_accounts_ca_for_this_accounts_user(node, pems, tmp_path):
    """The other account is hosted on the same node, so its CA is known, but not for this user."""
    other = node.domain("other", [ALICE])
    pem = other.enrol(ALICE)
    context = tls_context(pem / "ca.pem", pem / "cert.pem", pem / "key.pem")
    assert b"101" in answer_of(node.server, context), "the other account's own user is welcome"
    export = node.path / "other.jsonl"
    other.cms("loadtest-export", "-o", export)
    context = crossed(tmp_path, other, pems[ALICE])
    assert answer_of(node.server, context) == "alert"


def crossed(folder, other, pem):
    """The other domain's CA signs a certificate that names a user of this account."""
    stored = ca_of(other)
    if stored is None:
        pytest.skip("the domain keeps its CA where this test does not find it")
    ca_key, ca_cert = stored
    real = x509.load_pem_x509_certificate((pem / "cert.pem").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (x509.CertificateBuilder().subject_name(real.subject).issuer_name(ca_cert.subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(real.not_valid_before_utc).not_valid_after(real.not_valid_after_utc))
    for extension in real.extensions:
        if not isinstance(extension.value, (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier)):
            builder = builder.add_extension(extension.value, extension.critical)
    cert = builder.sign(ca_key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return tls_context(pem / "ca.pem", folder / "cert.pem", folder / "key.pem")


def ca_of(domain):
    """The CA of a domain, from its key file: the scalar and the certificate as JSON numbers."""
    import json
    for path in domain.path.iterdir():
        try:
            stored = json.loads(path.read_text())
        except (ValueError, OSError, UnicodeDecodeError):
            continue
        for ca in stored.get("cas", []) if isinstance(stored, dict) else []:
            if isinstance(ca, dict) and "key" in ca:
                scalar = int.from_bytes(bytes(ca["key"]), "big")
                cert = x509.load_der_x509_certificate(bytes(ca["certificate"]))
                return ec.derive_private_key(scalar, ec.SECP256R1()), cert
    return None


def test_revoked(node, domain, pems):
    domain.cms("user", "revoke", CAROL)
    domain.apply()
    pem = pems[CAROL]
    context = tls_context(pem / "ca.pem", pem / "cert.pem", pem / "key.pem")
    assert answer_of(node.server, context) == "alert"


def test_an_expired_certificate_only_fetches_updates(node, domain, pems):
    """DAVE's certificate is of the month before last: its month plus 7 days is over."""
    today = datetime.datetime.now(datetime.timezone.utc)
    first = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    past = first - datetime.timedelta(days=20)
    if (today - first).days < 7:
        past = (first - datetime.timedelta(days=1)).replace(day=1) - datetime.timedelta(days=5)
    now = past.strftime("%Y-%m-%dT12:00:00Z")
    bundle, profile = node.path / "old.crsenrol", node.path / "old"
    from node import PIN, run as program
    domain.cms("enrol", DAVE, "--pin", PIN, "-o", bundle, now=now)
    offset = int((past - today).total_seconds() * 1000)
    program("crs-client", "--profile", profile, "--clock-offset-ms", offset,
            "enrol", bundle, "--pin", PIN)
    pem = node.path / "old.pem"
    program("crs-client", "--profile", profile, "export", "--pem", pem)

    async def go():
        async with client(node, pem) as dave:
            assert dave.welcome["update_only"] is True
            with pytest.raises(ProtocolError) as denied:
                await dave.attach()
            assert (denied.value.code, denied.value.reason) == ("denied", "update-required")
            period = (await dave.request("time"))["period"]
            package = await dave.request("upd.get", period=period)
            assert len(base64.b64decode(package["package"])) > 1000
            await dave.request("upd.confirm", period=period, serial=package["serial"])
    run(go())
