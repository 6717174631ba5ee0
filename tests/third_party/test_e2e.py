"""The Python client and crs-client understand one another: sealed messages and calls with SRTP, in both directions."""

import asyncio
import base64
import random
import struct

import crs_call
import crs_e2e as e2e
from crs_client import Leg, rtp_header, uuid7
from node import until

SSRC, FIRST, PACKETS, SAMPLES = 0x50795079, 100, 50, 160


def opened(user, item):
    """The content of a fetched item, verified."""
    return e2e.open_message(user.person, {**item, "body": base64.b64decode(item["body"])}, item["time"])


async def sealed_post(user, client, uri, body):
    """Looks up, seals and posts; returns the message's id."""
    now = client.welcome["time"]
    found = await client.request("lookup", uri=uri)
    mid = uuid7(now)
    kem = e2e.newest_key(user.person, found, now)
    await client.post(uri, e2e.seal_message(user.person, kem, mid, body, now), mid)
    return mid


async def test_messages_between_two_strangers(user):
    alice, bob = user(), user()
    await alice.keys()
    await bob.keys()
    async with alice.connect() as client, bob.connect() as other:
        await client.attach()
        await other.attach()
        for body in (b"short", b"", bytes(60 * 1024)):
            mid = await sealed_post(alice, client, bob.uri, body)
            item = await other.fetch_until("content", mid)
            assert opened(bob, item) == body
            await other.ack([item["n"]])


async def test_python_to_the_program_and_back(user, domain):
    alice, bob = user(), domain.program()
    await alice.keys()
    await asyncio.to_thread(bob.run, "update")
    async with alice.connect() as client:
        await client.attach()
        mid = await sealed_post(alice, client, bob.uri, "Grüße aus Python".encode())
        [message] = [line for line in await asyncio.to_thread(bob.run, "receive", "--count", 1, "--for", "20s")
                     if line["event"] == "message"]
        assert (message["text"], message["mid"], message["from"]) == (
            "Grüße aus Python", mid, alice.uri.removeprefix("tel:"))
        receipt = await client.fetch_until("receipt", mid)
        await client.ack([receipt["n"]])
        [posted] = await asyncio.to_thread(bob.run, "send", alice.uri, "Hälsningar från Rust")
        item = await client.fetch_until("content", posted["mid"])
        assert opened(alice, item).decode() == "Hälsningar från Rust"
        await client.ack([item["n"]])


def test_a_changed_envelope_is_refused_by_the_program_and_the_next_one_is_read(user, domain):
    """A flipped bit, and an envelope posted by somebody else than its sender."""
    alice, eve, bob = user(), user(), domain.program()
    bob.run("update")

    async def post():
        await alice.keys()
        await eve.keys()
        async with alice.connect() as client, eve.connect() as other:
            await client.attach()
            await other.attach()
            now = client.welcome["time"]
            kem = e2e.newest_key(alice.person, await client.request("lookup", uri=bob.uri), now)
            mid = uuid7(now)
            good = e2e.seal_message(alice.person, kem, mid, b"good", now)
            await client.post(bob.uri, good[:-30] + bytes([good[-30] ^ 1]) + good[-29:], mid)
            await other.post(bob.uri, good, mid)
            await sealed_post(alice, client, bob.uri, b"and then")
    asyncio.run(post())
    lines = [line for line in bob.run("receive", "--count", 3, "--for", "20s") if line["event"] == "message"]
    assert ["unreadable" in line for line in lines] == [True, True, False]
    assert lines[2]["text"] == "and then"


def tone():
    """Random µ-law codes: no packet is like another, so a mix-up shows."""
    return random.randbytes(PACKETS * SAMPLES)


def write_wav(path, codes):
    """µ-law, mono, 8000 Hz (format tag 7)."""
    form = struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0)
    chunks = [(b"fmt ", form), (b"fact", struct.pack("<I", len(codes))), (b"data", codes)]
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


async def stream(leg, srtp, codes):
    """Sends 20 ms a packet."""
    start = asyncio.get_running_loop().time()
    for n in range(PACKETS):
        payload = codes[n * SAMPLES:(n + 1) * SAMPLES]
        leg.transport.sendto(srtp.protect(rtp_header(FIRST + n, SAMPLES * n, SSRC) + payload), leg.relay)
        await asyncio.sleep(max(0, start + 0.02 * (n + 1) - asyncio.get_running_loop().time()))


async def test_the_program_calls_python(user, domain, tmp_path):
    alice, bob = user(), domain.program()
    await alice.keys()
    await asyncio.to_thread(bob.run, "update")
    ours, theirs = tone(), tone()
    write_wav(tmp_path / "ours.wav", ours)
    write_wav(tmp_path / "theirs.wav", theirs)
    async with alice.connect() as client:
        await client.attach()
        arguments = ("call", alice.uri, "--play", tmp_path / "theirs.wav", "--expect", tmp_path / "ours.wav",
                     "--record", tmp_path / "heard.wav")
        async with await bob.start(*arguments) as running:
            state = await client.event("call.state", state="invite")
            assert (state["from"], state["from_account"]) == (bob.uri, "police")
            await client.request("call.ringing", session=state["session"])
            leg = Leg(await client.request("relay.alloc", session=state["session"]))
            await leg.bind()
            answer, sending, receiving, media = crs_call.answer_call(
                alice.person, state, base64.b64decode(state["offer"]), crs_call.media_description(SSRC, FIRST, PACKETS),
                (await client.request("time"))["time"])
            await client.request(
                "call.answer", session=state["session"], answer=base64.b64encode(answer).decode())
            await judge_call(
                client, state["session"], leg, sending, receiving, media, running, ours, theirs, hangup=False)


async def test_python_calls_the_program(user, domain, tmp_path):
    alice, bob = user(), domain.program()
    await alice.keys()
    await asyncio.to_thread(bob.run, "update")
    ours, theirs = tone(), tone()
    write_wav(tmp_path / "ours.wav", ours)
    write_wav(tmp_path / "theirs.wav", theirs)
    async with alice.connect() as client:
        await client.attach()
        arguments = ("answer", "--once", "--for", "40s", "--play", tmp_path / "theirs.wav", "--expect",
                     tmp_path / "ours.wav", "--record", tmp_path / "heard.wav")
        async with await bob.start(*arguments) as running:
            await until(bob.attached)
            session, now = uuid7(), (await client.request("time"))["time"]
            call = crs_call.Caller(alice.person, session, bob.uri, crs_call.media_description(SSRC, FIRST, PACKETS), now)
            await client.request(
                "call.invite", session=session, to=bob.uri, offer=base64.b64encode(call.offer).decode())
            leg = Leg(await client.request("relay.alloc", session=session))
            await leg.bind()
            state = await client.event("call.state", session=session, state="talk", within=30)
            sending, receiving, media = call.accept(
                base64.b64decode(state["answer"]), "police", (await client.request("time"))["time"])
            await judge_call(client, session, leg, sending, receiving, media, running, ours, theirs, hangup=True)


async def judge_call(client, session, leg, sending, receiving, media, running, ours, theirs, hangup):
    """Sound goes both ways; each side has heard what the other played, sample for sample."""
    assert media["audio"]["pt"] == 0 and media["audio"]["codec"] == "PCMU", media
    await stream(leg, sending, ours)
    await leg.hear(PACKETS)
    if hangup:
        # The relay answers a request from a bound address at once: what we sent before it has gone through.
        await leg.bind()
        await client.request("call.hangup", session=session)
    else:
        assert (await client.event("call.state", session=session, state="hangup"))["reason"] == "normal"
    report = await running.event("call")
    heard = dict(receiving.unprotect(packet) for packet in leg.heard.packets)
    assert b"".join(heard[number] for number in sorted(heard)) == theirs
    media = report["media"]
    assert (media["received"], media["lost"], media["identical"], media["different"]) == (PACKETS, 0, PACKETS, 0), report
    leg.close()
