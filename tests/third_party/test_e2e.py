"""The Python client and crs-client understand one another: sealed messages and calls with SRTP, in both directions."""

import asyncio
import base64
import math
import struct
import wave

import crs_e2e as e2e
from crs_client import Leg, rtp_header, uuid7
from node import until

SSRC, FIRST, PACKETS, SAMPLES = 0x50795079, 100, 50, 160


def opened(user, item):
    """The content of a fetched item, verified."""
    return e2e.open_message(user.person, {**item, "body": base64.b64decode(item["body"])})


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
        assert (message["text"], message["mid"], message["from"]) == ("Grüße aus Python", mid, alice.uri)
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


def linear(ulaw):
    """G.711 µ-law to 16 bit, as ITU-T G.711 table 2a."""
    ulaw = ~ulaw & 0xFF
    value = ((ulaw & 0x0F) << 3 | 0x84) << (ulaw >> 4 & 7)
    return 0x84 - value if ulaw & 0x80 else value - 0x84


LINEAR = [linear(code) for code in range(256)]


def ulaw_of(sample):
    """The code nearest to a sample."""
    return min(range(256), key=lambda code: abs(LINEAR[code] - sample))


def tone(hertz):
    """µ-law codes of a tone, so many packets of 20 ms."""
    codes = {}
    samples = [int(6000 * math.sin(2 * math.pi * hertz * n / 8000)) for n in range(PACKETS * SAMPLES)]
    for sample in set(samples):
        codes[sample] = ulaw_of(sample)
    return bytes(codes[sample] for sample in samples)


def write_wav(path, codes):
    """16 bit mono at 8000 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(codes)}h", *(LINEAR[code] for code in codes)))


async def stream(leg, srtp, codes):
    """Sends 20 ms a packet."""
    start = asyncio.get_running_loop().time()
    for n in range(PACKETS):
        payload = codes[n * SAMPLES:(n + 1) * SAMPLES]
        leg.transport.sendto(srtp.protect(rtp_header(FIRST + n, SAMPLES * n, SSRC) + payload), leg.relay)
        await asyncio.sleep(max(0, start + 0.02 * (n + 1) - asyncio.get_running_loop().time()))


def decrypted(leg, srtp):
    """Payloads in order of their numbers."""
    heard = dict(srtp.unprotect(packet) for packet in leg.heard.packets)
    return b"".join(heard[number] for number in sorted(heard))


async def test_the_program_calls_python(user, domain, tmp_path):
    alice, bob = user(), domain.program()
    await alice.keys()
    await asyncio.to_thread(bob.run, "update")
    ours, theirs = tone(440), tone(660)
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
            answer, sending, receiving, media = e2e.answer_call(
                alice.person, state, base64.b64decode(state["offer"]), e2e.media_description(SSRC, FIRST, PACKETS),
                (await client.request("time"))["time"])
            await client.request(
                "call.answer", session=state["session"], answer=base64.b64encode(answer).decode())
            await judge_call(client, state["session"], leg, sending, receiving, media, running, ours, theirs)


async def test_python_calls_the_program(user, domain, tmp_path):
    alice, bob = user(), domain.program()
    await alice.keys()
    await asyncio.to_thread(bob.run, "update")
    ours, theirs = tone(440), tone(660)
    write_wav(tmp_path / "ours.wav", ours)
    write_wav(tmp_path / "theirs.wav", theirs)
    async with alice.connect() as client:
        await client.attach()
        arguments = ("answer", "--once", "--for", "40s", "--play", tmp_path / "theirs.wav", "--expect",
                     tmp_path / "ours.wav", "--record", tmp_path / "heard.wav")
        async with await bob.start(*arguments) as running:
            await until(bob.attached)
            session, now = uuid7(), (await client.request("time"))["time"]
            call = e2e.Caller(alice.person, session, bob.uri, e2e.media_description(SSRC, FIRST, PACKETS), now)
            await client.request(
                "call.invite", session=session, to=bob.uri, offer=base64.b64encode(call.offer).decode())
            leg = Leg(await client.request("relay.alloc", session=session))
            await leg.bind()
            state = await client.event("call.state", session=session, state="talk", within=30)
            sending, receiving, media = call.accept(
                base64.b64decode(state["answer"]), "police", (await client.request("time"))["time"])
            await judge_call(client, session, leg, sending, receiving, media, running, ours, theirs)


async def judge_call(client, session, leg, sending, receiving, media, running, ours, theirs):
    """Sound goes both ways; each side has heard what the other played, sample for sample."""
    assert media["audio"]["pt"] == 0 and media["audio"]["codec"] == "PCMU", media
    await stream(leg, sending, ours)
    await leg.hear(PACKETS)
    # crs-client ends the call when both have played their files, or we do: the first is as good.
    report_line = asyncio.create_task(running.event("call"))
    ended = asyncio.create_task(client.event("call.state", session=session, state="hangup", within=20))
    await asyncio.wait({report_line, ended}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    report = await report_line
    assert (await ended)["reason"] == "normal"
    heard = decrypted(leg, receiving)
    assert heard[:len(theirs)] == theirs
    media = report["media"] if "media" in report else report
    assert (media["received"], media["lost"], media["different"]) == (PACKETS, 0, 0), report
    assert media["identical"] == PACKETS, report
    leg.close()
