"""An outbox's database, its clock, and the owner's receiver."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.records.database import Database
from tests.stage.outbox import Receiver, World


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    built, app = Receiver(), web.Application()
    app.router.add_post("/{path}", built.take)
    async with TestServer(app) as server:
        built.origin = str(server.make_url("/")).rstrip("/")
        yield built
        built.open.set()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
def world(database: Database, http: aiohttp.ClientSession) -> World:
    return World(database, http)
