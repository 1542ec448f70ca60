"""What tests are run on: the event loop that the server uses, a SQLite file, and a real PostgreSQL."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import uvloop
from aiohttp import web_app

from bridge.loop.event_loop import event_loop
from bridge.records.database import Database, open_database, parse_url
from bridge.wire import check
from tests.stage import postgres, sqlite
from tests.stage.postgres import Cluster


# No test fails for being slow: the machine may be busy.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

#: Where a loop's own sockets matter: these run on asyncio's too.
BOTH_LOOPS = {"test_websocket"}


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """`-n auto` is two for each processor: a call's test waits for more than half of its time.

    It is one for the slow ones, of which some keep a processor busy and measure it, and what is said by
    PYTEST_XDIST_AUTO_NUM_WORKERS.
    """
    found = yield
    said = "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ
    return found if said or config.option.markexpr != "not slow" else 2 * found


def pytest_collection_finish() -> None:
    """The tests themselves are there for good: no garbage collection looks at them again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logfinish() -> None:
    """aiohttp remembers the last thousand handlers, and by them their applications with all that these had."""
    if remembered := getattr(web_app, "_cached_build_middleware", None):
        remembered.cache_clear()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The server runs on uvloop, and on asyncio's loop where uvloop cannot be installed."""
    if item.path.stem in BOTH_LOOPS:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    if item.path.stem == "test_tls":                 # with and without what makes TLS faster
        return {"uvloop": uvloop.new_event_loop, "fast": event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["direct", pytest.param("relayed", marks=pytest.mark.slow)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two ways in which a call's websockets are read and written; the second is for another aiohttp than ours."""
    way: str = request.param
    if way == "relayed":
        async def problem() -> str:
            return "this is a test"
        monkeypatch.setattr(check, "problem", problem)
    return way


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if not postgres.installed():
        pytest.skip("PostgreSQL is not installed: its initdb and postgres must be on PATH")
    with postgres.cluster() as running:
        yield running


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> Iterator[str]:
    """The name of a PostgreSQL database with its tables, to be copied."""
    async def upgrade(name: str) -> None:
        async with open_database(parse_url(cluster.url(name))):
            pass
    with cluster.database() as name:
        asyncio.run(upgrade(name))
        yield name


@pytest.fixture
def postgresql_url(cluster: Cluster, template: str) -> Iterator[str]:
    """A PostgreSQL database of a test's own, with its tables and nothing in them."""
    with cluster.database(template) as name:
        yield cluster.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database with its tables, and nothing in them."""
    return sqlite.new_database(tmp_path)


@pytest.fixture(scope="session")
def emptied_url(cluster: Cluster, template: str) -> Iterator[str]:
    """A PostgreSQL database for one test after the other: one for each would take a tenth of a second more."""
    with cluster.database(template) as name:
        yield cluster.url(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each kind of database in turn, with its tables and nothing in them, which a test leaves as they are."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    url: str = request.getfixturevalue("emptied_url")
    yield url
    postgres.empty(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(parse_url(database_url)) as opened:
        yield opened
