"""Month change, end to end: the clocks of node, CMS and clients are moved, everybody carries on with new keys."""

import asyncio
import time

import pytest

import crs_e2e as e2e
from crs_client import ProtocolError
from node import Node, client_period, refused_with_alert, until
from test_e2e import opened, sealed_post

THIS = e2e.period_of(time.time_ns() // 1_000_000)
NEXT = e2e.period_shifted(THIS, 1)


def day(period, number, hour=12):
    """A time in a month."""
    return e2e.period_bounds(period)[0] + (number - 1) * e2e.DAY_MS + hour * 3_600_000


@pytest.fixture
def moved(tmp_path):
    """A node whose clock stands at the middle of this month, with a domain."""
    node = Node(tmp_path)
    try:
        node.start(day(THIS, 15) - time.time_ns() // 1_000_000)
        yield node, node.domain("months")
    finally:
        node.stop()


def texts(lines):
    """What `crs-client receive` printed."""
    return [line.get("text", line) for line in lines if line["event"] == "message"]


def periods_of(program):
    """The months of which a crs-client has keys."""
    [status] = program.run("status")
    return sorted({keys["period"] for keys in status["keys"] if keys["complete"]})


async def test_a_month_passes(moved):
    node, domain = moved
    alice, bob, carol, dave = domain.user(), domain.program(), domain.program(), domain.program()
    await alice.keys()
    for program in (bob, carol, dave):
        await asyncio.to_thread(program.run, "update")
        assert periods_of(program) == [THIS]

    # Messages wait, sealed to this month's keys, for two who are off-line; the next month's file is applied.
    node.restart(day(THIS, 27))
    async with alice.connect() as client, await dave.start("receive") as running:
        await client.attach()
        for program in (bob, carol):
            found = await client.request("lookup", uri=program.uri)
            assert e2e.newest_key(alice.person, found, client.welcome["time"])["period"] == THIS
            await sealed_post(alice, client, program.uri, b"sealed last month")
        await until(dave.attached)
        await asyncio.to_thread(domain.apply, NEXT)
        assert (await running.event("updated"))["period"] == NEXT
        offer = await client.event("upd.offer")
        assert {update["period"]: update["confirmed"] for update in offer["updates"]}[NEXT] is False
        month = await alice.update(client, NEXT)
        listed = (await client.attach())["updates"]
        assert {update["period"]: update["confirmed"] for update in listed} == {THIS: True, NEXT: True}
        # Its month has not begun: the new certificate is no good yet, the old one still is.
    async with alice.connect() as client:
        await client.attach()

    # The first days: Bob's old certificate still attaches; his waiting message is read, new keys come by themselves.
    node.restart(day(NEXT, 3))
    alice.use(month)
    assert texts(await asyncio.to_thread(bob.run, "receive", "--count", 1, "--for", "20s")) == ["sealed last month"]
    await asyncio.to_thread(bob.run, "update")
    assert periods_of(bob) == [THIS, NEXT]
    async with alice.connect() as client:
        await client.attach()
        found = await client.request("lookup", uri=bob.uri)
        assert e2e.newest_key(alice.person, found, client.welcome["time"])["period"] == NEXT
        await sealed_post(alice, client, bob.uri, b"sealed this month")
        assert texts(await asyncio.to_thread(bob.run, "receive", "--count", 1, "--for", "20s")) == ["sealed this month"]
        [posted] = await asyncio.to_thread(bob.run, "send", alice.uri, "answered this month")
        item = await client.fetch_until("content", posted["mid"])
        assert opened(alice, item) == b"answered this month"

    # After the seven days: Carol's old certificate only fetches updates; crs-client does that and comes back.
    node.restart(day(NEXT, 12))
    assert texts(await asyncio.to_thread(carol.run, "receive", "--count", 1, "--for", "30s")) == ["sealed last month"]
    assert periods_of(carol) == [THIS, NEXT]
    alice.use(alice.person.months[(THIS, 1)])
    async with alice.connect() as client:
        assert client.welcome["update_only"] is True
        with pytest.raises(ProtocolError) as denied:
            await client.attach()
        assert (denied.value.code, denied.value.reason) == ("denied", "update-required")
        assert (await client.update(NEXT))["period"] == NEXT

    # Dave had his new keys before the month began, and goes on with them.
    [posted] = await asyncio.to_thread(dave.run, "send", alice.uri, "the first from Dave")
    assert posted["event"] == "posted"

    # 61 days after the end of the month: enrol again.
    node.restart(e2e.period_bounds(THIS)[1] + 61 * e2e.DAY_MS)
    refused_with_alert(node.server, alice.context(), check_time=False)


async def test_a_revoked_generation_is_out_at_once(moved):
    node, domain = moved
    alice, bob = domain.user(), domain.user()
    await alice.keys()
    await bob.keys()
    async with alice.connect() as client, bob.connect() as other:
        await client.attach()
        await other.attach()
        mid = await sealed_post(bob, other, alice.uri, b"before")
        number = alice.uri.removeprefix("tel:")
        await asyncio.to_thread(domain.cms, "user", "revoke", number)
        await asyncio.to_thread(domain.apply)
        assert (await client.event("unregistered"))["reason"] == "update-required"
        assert await client.closed() == (1008, "denied")
        await asyncio.to_thread(refused_with_alert, node.server, alice.context(), check_time=False)
        # Bob is not touched, and his clients encrypt to no revoked key.
        found = await other.request("lookup", uri=alice.uri)
        assert {key["generation"] for key in found["keys"]} == {2}, found
        again = await asyncio.to_thread(domain.enrol, number)
        await again.keys()
        again.person.months.update(alice.person.months)
        async with again.connect() as client:
            await client.attach()
            after = await sealed_post(bob, other, alice.uri, b"after")
            item = await client.fetch_until("content", after)
            assert opened(again, item) == b"after"
            assert mid in {item["mid"] for item in await client.fetch_all()}


async def test_a_removed_user_is_told_so(moved):
    """On the connection, and afterwards: never to fetch an update that is not there."""
    node, domain = moved
    alice = domain.user()
    async with alice.connect() as client:
        await client.attach()
        await asyncio.to_thread(domain.cms, "user", "remove", alice.uri.removeprefix("tel:"))
        await asyncio.to_thread(domain.apply)
        assert (await client.event("unregistered"))["reason"] == "not-listed"
        assert await client.closed() == (1008, "denied")
    # Now, and when the certificate is good for updates only.
    for day_of_next in (None, 12):
        if day_of_next:
            node.restart(day(NEXT, day_of_next))
            await asyncio.to_thread(domain.apply)
        async with alice.connect() as client:
            for asked in (client.attach(), client.request("upd.get", period=client_period(client))):
                with pytest.raises(ProtocolError) as denied:
                    await asked
                assert (denied.value.code, denied.value.reason) == ("denied", "not-listed")


async def test_a_retired_ca_is_out_at_once(moved):
    """Whoever has keys of another CA by then goes on, through the end of the month as well."""
    node, domain = moved
    alice, bob = domain.user(), domain.user()
    for user in (alice, bob):
        await user.keys()
    [[old]] = await asyncio.to_thread(domain.cms, "ca", "list")
    await asyncio.to_thread(domain.cms, "rotate", "ca")
    await asyncio.to_thread(domain.apply)
    await alice.keys()
    async with alice.connect() as client, bob.connect() as other, bob.connect() as idle:
        await client.attach()
        await other.attach()
        mid = await sealed_post(alice, client, bob.uri, b"by the new CA")
        named = old["fingerprint"].split()[:3]
        await asyncio.to_thread(domain.cms, "ca", "remove", *named, "--compromised")
        await asyncio.to_thread(domain.apply)
        assert (await other.event("unregistered"))["reason"] == "update-required"
        for gone in (other, idle):
            assert await gone.closed() == (1008, "denied")
        alert = await asyncio.to_thread(refused_with_alert, node.server, bob.context(), check_time=False)
        assert alert == "TLSV1_ALERT_UNKNOWN_CA"
        await alice.update(client, THIS)
    again = await asyncio.to_thread(domain.enrol, bob.uri.removeprefix("tel:"))
    await again.keys()
    async with again.connect() as client:
        await client.attach()
        item = await client.fetch_until("content", mid)
        assert opened(again, item) == b"by the new CA"
    await asyncio.to_thread(domain.apply, NEXT)
    async with alice.connect() as client:
        month = await alice.update(client, NEXT)
    node.restart(day(NEXT, 3))
    async with alice.connect() as client:
        await client.attach()
    alice.use(month)
    async with alice.connect() as client:
        await client.attach()
