"""Rates are a user's: a client that reconnects, or opens more connections, is still refused (section 12)."""

import contextlib

from crs_client import ProtocolError


async def test_rates_survive_a_reconnect(user):
    """Each attach over a connection of its own and as another device; a token comes back every 6 s."""
    alice = user()
    attached = 0
    while True:
        async with alice.connect() as client:
            try:
                await client.attach(role="secondary", device=f"device-{attached}")
            except ProtocolError as error:
                assert error.code == "rate-limited"
                assert 0 < error.err["retry_ms"] <= 6_001
                # The connection is as good as any: only that op has to wait.
                assert (await client.request("time"))["time"] > 0
                break
        attached += 1
        assert attached < 20
    assert attached >= 10


async def test_rates_are_shared_by_all_connections(user):
    """120 posts from four devices in turn; then a new connection may not post either, and another user may."""
    alice, bob = user(), user()
    async with contextlib.AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(alice.connect()) for _ in range(4)]
        for number, device in enumerate(devices):
            await device.attach(role="secondary", device=f"device-{number}")
        assert 120 <= await posts_until_refused(devices, bob.uri) < 180
        late = await stack.enter_async_context(alice.connect())
        await late.attach(role="secondary", device="device-late")
        # Tokens come back while it connects, one each half second.
        assert await posts_until_refused([late], bob.uri) < 20
        other = await stack.enter_async_context(bob.connect())
        await other.attach()
        await other.post(alice.uri, b"y")


async def posts_until_refused(devices, to):
    """How many posts were confirmed, from the devices in turn."""
    for sent in range(200):
        try:
            await devices[sent % len(devices)].post(to, b"x")
        except ProtocolError as error:
            assert error.code == "rate-limited"
            return sent
    raise AssertionError("never refused")
