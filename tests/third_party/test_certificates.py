"""Which certificates the server refuses, and how: by a TLS alert before any application byte, or by `denied`.

The account's CA is ours (crs_cms.py), so each certificate is wrong in one thing only.
"""

import base64
import time
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

import crs_e2e as e2e
from crs_client import Client, ProtocolError
from crs_cms import Cms, make_ca, user_certificate
from node import PIN, Program, User, context_of, first_answer, refused_with_alert

ALICE, BOB, REVOKED = "tel:+46710000001", "tel:+46710000002", "tel:+46710000003"
NOW_MS = time.time_ns() // 1_000_000
MONTH = e2e.period_of(NOW_MS)


def past(least_days):
    """The newest month that ended at least so many days ago."""
    period = MONTH
    while e2e.period_bounds(period)[1] + least_days * e2e.DAY_MS > NOW_MS:
        period = e2e.period_shifted(period, -1)
    return period


@dataclass
class Account:
    """An account whose CMS is written in Python."""
    node: object
    cms: Cms

    def apply(self, period=MONTH):
        """Makes this month's update file and applies it."""
        path = self.node.path / f"{self.cms.account}-{self.cms.serial}.upd"
        path.write_bytes(self.cms.update(period))
        return self.node.cli("apply", path, "--confirm-fingerprint", self.cms.fingerprint())


def account(node, name):
    """Made with crs-cli, its domain with crs_cms.py."""
    ca = x509.load_pem_x509_certificate((node.path / "node/data/pool-ca.pem").read_bytes())
    server = {"pool-ca": ca.public_bytes(serialization.Encoding.DER)}
    made = Account(node, Cms(name, node.create_account(name), server))
    for uri in (ALICE, BOB):
        made.cms.add(uri)
    made.cms.add(REVOKED, generation=2)
    made.apply()
    return made


@pytest.fixture(scope="module")
def acme(node):
    return account(node, "acme")


@pytest.fixture(scope="module")
def other(node):
    return account(node, "other")


@pytest.fixture
def present(node, acme, tmp_path):
    """Makes a TLS context that presents this key and certificate."""
    def make(made):
        key, certificate = made
        acme.cms.person(ALICE, MONTH).write_pems(tmp_path, certificate, key)
        return context_of(tmp_path)
    return make


@pytest.fixture
def refused(node, present):
    """The server must refuse this key and certificate with this alert: for this reason and no other."""
    def judge(made, alert):
        assert refused_with_alert(node.server, present(made)) == alert
    return judge


def test_a_good_certificate_is_answered(node, acme, present):
    answer = first_answer(node.server, present(acme.cms.certificate(ALICE, MONTH)))
    assert answer.startswith(b"HTTP/1.1 101"), answer


def test_no_certificate(node, acme, tmp_path):
    acme.cms.person(ALICE, MONTH).write_pems(tmp_path)
    assert refused_with_alert(node.server, context_of(tmp_path, certificate=False)) == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_another_accounts_ca_for_this_accounts_user(node, acme, other, present, refused):
    """The server knows the other account's CA, but not for this user."""
    good = user_certificate(other.cms.ca, "other", ALICE, MONTH, 1)
    assert first_answer(node.server, present(good)).startswith(b"HTTP/1.1 101")
    crossed = user_certificate(other.cms.ca, "acme", ALICE, MONTH, 1)
    refused(crossed, "TLSV1_ALERT_UNKNOWN_CA")


def test_unknown_ca_and_self_signed(acme, refused):
    refused(user_certificate(make_ca(), "acme", ALICE, MONTH, 1), "TLSV1_ALERT_UNKNOWN_CA")
    refused(acme.cms.certificate(ALICE, MONTH, self_signed=True), "TLSV1_ALERT_UNKNOWN_CA")


def test_unknown_account(acme, refused):
    refused(user_certificate(acme.cms.ca, "nobody", ALICE, MONTH, 1), "TLSV1_ALERT_UNKNOWN_CA")


def test_wrong_usage(acme, refused):
    wrong = acme.cms.certificate(ALICE, MONTH, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    refused(wrong, "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE")


def test_wrong_names(acme, refused):
    urn = f"urn:crs:user:acme:{e2e.percent_encoded(ALICE)}"
    for names in ([urn, urn.replace("01", "02")], ["urn:crs:user:acme"], [f"urn:crs:team:acme:{ALICE}"], ["http://acme/"]):
        refused(acme.cms.certificate(ALICE, MONTH, names=names), "TLSV1_ALERT_ACCESS_DENIED")


def test_valid_for_too_long(acme, refused):
    refused(acme.cms.certificate(ALICE, MONTH, extra_days=61), "TLSV1_ALERT_ACCESS_DENIED")


def test_not_yet_valid(acme, refused):
    refused(acme.cms.certificate(ALICE, e2e.period_shifted(MONTH, 1)), "SSLV3_ALERT_CERTIFICATE_EXPIRED")


def test_expired_beyond_sixty_days(acme, refused):
    refused(acme.cms.certificate(ALICE, past(61)), "SSLV3_ALERT_CERTIFICATE_EXPIRED")


def test_revoked_and_unknown_generations(node, acme, present, refused):
    refused(acme.cms.certificate(REVOKED, MONTH, generation=1), "SSLV3_ALERT_CERTIFICATE_REVOKED")
    good = first_answer(node.server, present(acme.cms.certificate(REVOKED, MONTH, generation=2)))
    assert good.startswith(b"HTTP/1.1 101"), good


async def test_the_month_before_is_good_for_seven_days_then_for_updates_only(node, acme, present):
    period = past(7)
    async with Client(node.server, present(acme.cms.certificate(ALICE, period))) as client:
        assert client.welcome["update_only"] is True
        with pytest.raises(ProtocolError) as denied:
            await client.attach()
        assert (denied.value.code, denied.value.reason) == ("denied", "update-required")
        for op, fields in (("msg.fetch", {"after": 0}), ("lookup", {"uri": BOB})):
            with pytest.raises(ProtocolError) as error:
                await client.request(op, **fields)
            assert error.value.code in ("not-attached", "denied"), op
        assert (await client.request("time"))["period"] == MONTH
        person = acme.cms.person(ALICE, MONTH)
        month = person.take_package((await client.update(MONTH))["package"])
        await client.request("upd.confirm", period=MONTH, serial=acme.cms.serial)
    async with Client(node.server, present((month.sign_key, month.sign_cert))) as client:
        assert "update_only" not in client.welcome
        assert [update["confirmed"] for update in (await client.attach())["updates"]] == [True]


async def test_a_user_who_is_not_in_the_update_file(node, acme, present):
    stranger = acme.cms.certificate("tel:+46719999999", MONTH)
    async with Client(node.server, present(stranger)) as client:
        with pytest.raises(ProtocolError) as denied:
            await client.attach()
        assert (denied.value.code, denied.value.reason) == ("denied", "not-listed")


async def test_the_program_enrols_from_a_strangers_bundle(node, acme, tmp_path):
    """crs-client takes bundle and packages of the Python CMS and writes to the Python client."""
    path = tmp_path / "bob.crsenrol"
    path.write_bytes(acme.cms.bundle(BOB, MONTH, PIN, [node.server]))
    program = Program(node, BOB)
    program.run("enrol", path, "--pin", PIN)
    program.run("update")
    alice = User(node, acme.cms.person(ALICE, MONTH))
    await alice.keys()
    program.run("send", ALICE, "from the program to a stranger's account")
    async with alice.connect() as client:
        await client.attach()
        [item] = await client.fetch_all()
        opened = e2e.open_message(alice.person, {**item, "body": base64.b64decode(item["body"])})
        assert opened == b"from the program to a stranger's account"
        await client.ack([item["n"]])


async def test_a_raised_generation_is_out_at_once(node):
    """While it is connected: cut. Afterwards: an alert. After enrolling again: in."""
    firm = account(node, "firm")
    user = User(node, firm.cms.person(BOB, MONTH))
    async with user.connect() as client:
        await client.attach()
        firm.cms.add(BOB, generation=2)
        firm.apply()
        assert (await client.event("unregistered"))["reason"] == "update-required"
        assert await client.closed() == (1008, "denied")
    assert refused_with_alert(node.server, user.context()) == "SSLV3_ALERT_CERTIFICATE_REVOKED"
    async with User(node, firm.cms.person(BOB, MONTH)).connect() as client:
        await client.attach()


def test_an_update_file_of_another_cms_key_is_refused(node, acme):
    serial, key = acme.cms.serial, acme.cms.key
    try:
        acme.cms.key = ed25519.Ed25519PrivateKey.generate()
        with pytest.raises(RuntimeError, match="(?i)signed|key"):
            acme.apply()
    finally:
        acme.cms.key, acme.cms.serial = key, serial
    with pytest.raises(RuntimeError, match="(?i)serial"):
        acme.cms.serial -= 1
        acme.apply()
