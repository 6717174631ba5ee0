"""What a client written from docs/protocol.md does all day: attach, messages, calls with media."""

import asyncio
import base64
import os
import random

import pytest

from crs_client import Leg, ProtocolError, uuid7
from node import client_period, until


def b64(data):
    return base64.b64encode(data).decode()


async def refused(awaitable):
    """The error of a request that the server must refuse."""
    with pytest.raises(ProtocolError) as error:
        await awaitable
    return error.value


async def test_welcome_says_who_we_are(user):
    alice = user()
    async with alice.connect() as client:
        assert client.welcome["protocol"] == "crs.v1"
        assert (client.welcome["account"], client.welcome["uri"]) == ("police", alice.uri)
        assert set(client.welcome["features"]) >= {"call", "lookup", "message", "relay", "update"}
        assert client.welcome["limits"]["frame"] == 98_304
        assert "update_only" not in client.welcome
        assert (await client.request("time"))["period"] == (await client.request("time"))["period"]
        assert (await refused(client.request("msg.fetch", after=0))).code == "not-attached"
        assert (await refused(client.request("no.such.op"))).code == "unknown-op"


async def test_attach_replace_detach_bye(user):
    alice = user()
    async with alice.connect() as first, alice.connect() as second:
        info = {"version": "python/1", "os": "Linux", "os_version": "6"}
        reply = await first.attach(device="phone-1", client_info=info)
        assert (reply["state"], reply["role"], reply["waiting"], reply["sessions"]) == ("attached", "primary", 0, [])
        assert [update["confirmed"] for update in reply["updates"]] == [False]
        await second.attach(device="phone-2")
        assert (await first.event("unregistered"))["reason"] == "replaced"
        assert (await refused(first.request("msg.fetch", after=0))).code == "not-attached"
        await first.attach(role="secondary", device="tablet")
        assert (await refused(first.ack([1]))).code == "not-allowed"
        await second.request("detach")
        assert (await refused(second.request("lookup", uri=alice.uri))).code == "not-attached"
        await second.request("bye")
        assert await second.closed() == (1000, "bye")


async def test_keys_of_the_month_and_lookup(user):
    alice, bob = user(), user()
    await alice.keys()
    month = await bob.keys()
    async with alice.connect() as client:
        assert [update["confirmed"] for update in (await client.attach())["updates"]] == [True]
        found = await client.request("lookup", uri=bob.uri)
        assert (found["uri"], found["account"], found["attached"]) == (bob.uri, "police", False)
        assert base64.b64decode(found["keys"][0]["sign_cert"]) == month.sign_cert
        assert (await client.request("lookup", uri=bob.uri.removeprefix("tel:")))["uri"] == bob.uri
        assert (await refused(client.request("lookup", uri="tel:+46999999999"))).code == "not-found"
        assert (await refused(client.request("upd.get", period="2001-01"))).code in ("not-found", "gone")


async def test_message_to_someone_offline_then_ack_and_receipt(user):
    alice, bob = user(), user()
    mid, body = uuid7(), os.urandom(300)
    async with alice.connect() as client:
        await client.attach()
        posted = await client.post(bob.uri, body, mid)
        assert (posted["mid"], posted["copies"], posted["duplicate"]) == (mid, 1, False)
        assert (await client.post(bob.uri, body, mid))["duplicate"] is True
        assert (await refused(client.post(bob.uri, b"other", mid))).code == "id-conflict"
        async with bob.connect() as other:
            assert (await other.attach())["waiting"] == 1
            [item] = await other.fetch_all()
            assert (item["kind"], item["mid"], item["from"], item["account"]) == ("content", mid, alice.uri, "police")
            assert base64.b64decode(item["body"]) == body
            assert (await other.ack([item["n"]]))["removed"] == 1
            assert (await other.ack([item["n"]]))["removed"] == 0
            assert await other.fetch_all() == []
        receipt = await client.fetch_until("receipt", mid)
        assert receipt["by"] == bob.uri
        assert (await client.event("msg.acked"))["mid"] == mid
        await client.ack([receipt["n"]])
        assert await client.fetch_all() == []


async def test_an_id_stands_for_one_receiver(user):
    alice, others = user(), [user() for _ in range(8)]
    mid, body = uuid7(), os.urandom(300)
    async with alice.connect() as client:
        await client.attach()
        assert (await client.post(others[0].uri, body, mid))["duplicate"] is False
        for other in others[1:]:
            assert (await refused(client.post(other.uri, body, mid))).code == "id-conflict"
        assert (await client.post(others[0].uri, body, mid))["duplicate"] is True


async def test_order_and_paging(user):
    alice, carol = user(), user()
    async with alice.connect() as client, carol.connect() as other:
        await client.attach()
        await other.attach()
        bodies = [bytes([n]) * 5000 for n in range(40)]
        await asyncio.gather(*(client.post(carol.uri, body) for body in bodies[:30]))
        for body in bodies[30:]:
            await client.post(carol.uri, body)
        await other.event("msg.new")
        items = await other.fetch_all()
        assert [base64.b64decode(item["body"]) for item in items] == bodies
        assert (await other.ack(item["n"] for item in items))["removed"] == 40


async def test_bodies_at_and_over_the_limit(user):
    alice, bob = user(), user()
    async with alice.connect() as client:
        await client.attach()
        assert (await client.post(bob.uri, bytes(65_536)))["copies"] == 1
        assert (await refused(client.post(bob.uri, bytes(65_537)))).code == "too-large"
        assert (await refused(client.post("tel:+46999999999", b"x"))).code == "not-found"
        assert (await refused(client.post(bob.uri, b"x", uuid7(1_000_000)))).code == "id-too-old"
        assert (await refused(client.post(bob.uri, b"x", "01932c2e-8f00-4abc-8def-0123456789ab"))).code in (
            "bad-argument", "malformed")


@pytest.mark.parametrize("sha1", [False, True], ids=["sha256", "sha1"])
async def test_call_with_media_both_ways(user, sha1):
    alice, bob = user(), user()
    async with alice.connect() as caller, bob.connect() as callee:
        await caller.attach()
        await callee.attach()
        session, offer, answer = uuid7(), b64(b"an offer only Bob reads"), b64(b"an answer")
        invited = await caller.request("call.invite", session=session, to=bob.uri, offer=offer, media="rtp")
        assert invited["state"] in ("invite", "ringing")
        rings = await callee.event("call.state", session=session)
        assert (rings["offer"], rings["from"], rings["from_account"]) == (offer, alice.uri, "police")
        await callee.request("call.ringing", session=session)
        await caller.event("call.state", session=session, state="ringing")
        legs = [Leg(await who.request("relay.alloc", session=session), sha1) for who in (caller, callee)]
        for leg in legs:
            await leg.bind()
            assert leg.checks >= 1, "the relay must prove an address before it answers"
        again = await caller.request("relay.alloc", session=session)
        assert (again["leg"], again["ufrag"]) == (legs[0].id, legs[0].ufrag.decode())
        assert (await caller.request("relay.refresh", leg=legs[0].id))["lifetime_ms"] > 0
        assert (await callee.request("call.answer", session=session, answer=answer))["state"] == "talk"
        talk = await caller.event("call.state", session=session, state="talk")
        assert (talk["answer"], talk["device"]) == (answer, "python-1")
        sounds = [[random.randbytes(160) for _ in range(50)] for _ in legs]
        await asyncio.gather(*(leg.send_rtp(sound) for leg, sound in zip(legs, sounds)))
        for leg, sound in zip(legs, reversed(sounds)):
            await leg.hear(len(sound))
            assert [leg.heard.payloads[n] for n in sorted(leg.heard.payloads)] == sound
            assert (leg.heard.lost, leg.heard.duplicates) == (0, 0)
        ended = await caller.request("call.hangup", session=session, reason="normal", detail="user")
        assert (ended["state"], ended["who"], ended["stage"]) == ("hangup", "caller", "after-answer")
        end = await callee.event("call.state", session=session, state="hangup")
        assert (end["reason"], end["who"], end["detail"]) == ("normal", "caller", "user")
        for leg in legs:
            leg.close()


async def test_declined_and_cancelled(user):
    alice, bob = user(), user()
    async with alice.connect() as caller, bob.connect() as callee:
        await caller.attach()
        await callee.attach()
        session = uuid7()
        await caller.request("call.invite", session=session, to=bob.uri, offer=b64(b"1"))
        await callee.event("call.state", session=session, state="invite")
        await callee.request("call.hangup", session=session)
        end = await caller.event("call.state", session=session, state="hangup")
        assert (end["reason"], end["who"], end["stage"]) == ("declined", "callee", "before-answer")
        session = uuid7()
        await caller.request("call.invite", session=session, to=bob.uri, offer=b64(b"2"))
        await callee.event("call.state", session=session, state="invite")
        assert (await caller.request("call.hangup", session=session))["reason"] == "cancelled"
        end = await callee.event("call.state", session=session, state="hangup")
        assert (end["reason"], end["who"]) == ("cancelled", "caller")


async def test_forking_first_answer_wins_and_resume(user):
    alice, bob = user(), user()
    async with alice.connect() as caller, bob.connect() as phone, bob.connect() as tablet:
        await caller.attach()
        await phone.attach(device="phone")
        await tablet.attach(device="tablet", role="secondary")
        session = uuid7()
        await caller.request("call.invite", session=session, to=bob.uri, offer=b64(b"offer"))
        for device in (phone, tablet):
            await device.event("call.state", session=session, state="invite")
        await tablet.request("call.answer", session=session, answer=b64(b"tablet"))
        end = await phone.event("call.state", session=session, state="hangup")
        assert end["reason"] == "answered-elsewhere"
        late = await refused(phone.request("call.answer", session=session, answer=b64(b"phone")))
        assert late.code == "gone"
        assert (await caller.event("call.state", session=session, state="talk"))["device"] == "tablet"
        caller.socket.transport.abort()
        async with alice.connect() as back:
            [state] = (await back.attach(resume=[session, uuid7()]))["sessions"]
            assert (state["session"], state["state"], state["device"]) == (session, "talk", "tablet")
            await back.request("call.hangup", session=session)
        assert (await tablet.event("call.state", session=session, state="hangup"))["who"] == "caller"


async def test_a_call_to_nobody(user):
    alice, carol = user(), user()
    async with alice.connect() as caller:
        await caller.attach()
        for number, state in (("tel:+46799999999", "responder-not-found"), (carol.uri, "responder-not-connected")):
            session = uuid7()
            reply = await caller.request("call.invite", session=session, to=number, offer=b64(b"offer"))
            if reply["state"] != state:
                await caller.event("call.state", session=session, state=state, within=40)


async def test_blacklisted_is_denied_and_cut(node, user):
    dave = user()
    number = dave.uri.removeprefix("tel:")
    async with dave.connect() as client:
        await client.attach()
        node.cli("blacklist", "add", "police", number)
        assert (await client.event("unregistered"))["reason"] == "blacklisted"
        assert await client.closed() == (1008, "denied")
    async with dave.connect() as client:
        denied = await refused(client.attach())
        assert (denied.code, denied.reason) == ("denied", "blacklisted")
        assert (await refused(client.request("msg.fetch", after=0))).code == "not-attached"
    node.cli("blacklist", "remove", "police", number)
    async with dave.connect() as client:
        await client.attach()


async def test_a_block_reaches_connections_that_never_attached(node, user):
    eve = user()
    number = eve.uri.removeprefix("tel:")
    async with eve.connect() as client:
        period = client_period(client)
        serial = (await client.update(period))["serial"]
        node.cli("blacklist", "add", "police", number)
        assert await client.closed() == (1008, "denied")
    async with eve.connect() as client:
        for op, fields in (("upd.get", {}), ("upd.confirm", {"serial": serial})):
            denied = await refused(client.request(op, period=period, **fields))
            assert (denied.code, denied.reason) == ("denied", "blacklisted"), op
    node.cli("blacklist", "remove", "police", number)
    async with eve.connect() as client:
        await client.update(period)


async def test_a_block_ends_the_call_of_a_user_who_is_away(node, user):
    """Whose connection was lost, and who could otherwise come back to the call."""
    frank, bob = user(), user()
    number, session = frank.uri.removeprefix("tel:"), uuid7()
    async with bob.connect() as callee:
        await callee.attach()
        async with frank.connect() as caller:
            await caller.attach()
            await caller.request("call.invite", session=session, to=bob.uri, offer=b64(b"offer"))
            await callee.event("call.state", session=session, state="invite")
            await callee.request("call.answer", session=session, answer=b64(b"answer"))
        node.cli("blacklist", "add", "police", number)
        ended = await callee.event("call.state", session=session, state="hangup")
        assert (ended["reason"], ended["who"], ended["detail"]) == ("not-allowed", "crs", "blacklisted")
    async with frank.connect() as caller:
        denied = await refused(caller.attach(resume=[session]))
        assert (denied.code, denied.reason) == ("denied", "blacklisted")
    node.cli("blacklist", "remove", "police", number)


async def test_purged_may_come_back(node, user):
    erin = user()
    async with erin.connect() as client:
        await client.attach()
        await until(lambda: erin.uri.removeprefix("tel:") in str(node.cli("show", "attach")))
        node.cli("purge", "client", "police", erin.uri.removeprefix("tel:"))
        assert await client.closed() == (4001, "purged")
    async with erin.connect() as client:
        await client.attach()
