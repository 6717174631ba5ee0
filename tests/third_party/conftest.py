"""What the tests of this folder share: one node with one account, and `async def` tests."""

import asyncio
import inspect

import pytest

from node import BIN, PROGRAMS, Node

TEST_SECONDS = 60


def pytest_sessionstart():
    """Nothing is skipped for want of a program."""
    missing = [program for program in PROGRAMS if not (BIN / program).exists()]
    if missing:
        pytest.exit(f"{BIN} lacks {', '.join(missing)}: run scripts/third-party, or set CRS_BIN_DIR", returncode=2)


def pytest_pyfunc_call(pyfuncitem):
    """Runs `async def` tests, bounded in time."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), TEST_SECONDS))
    return True


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A node that all tests share which do not move its clock."""
    node = Node(tmp_path_factory.mktemp("node"))
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def domain(node):
    """An account made by crs-cms."""
    return node.domain("police")


@pytest.fixture
def user(domain):
    """Makes users that no other test has."""
    return domain.user
