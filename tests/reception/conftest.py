"""A server for Twilio to ask, and a model behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.app import create_app
from tests.stage import sqlite
from tests.stage.settings import make_settings
from tests.stage.webhooks import Client, Open, SilentModel


@pytest.fixture
def open_bridge(aiohttp_client: Any, sqlite_url: str) -> Open:
    """A function that serves an application with these settings."""
    async def serve(**environ: str) -> Client:
        settings = make_settings(DATABASE_URL=sqlite_url, **environ)
        client: Client = await aiohttp_client(create_app(settings))
        return client
    return serve


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Open]:
    """A function that gives the server with these settings, one for all tests of a file that ask for the same.

    For requests after which the server is what it was. It counts no calls, and the tests run on its loop (`together`).
    """
    async with AsyncExitStack() as stack:
        opened: dict[frozenset[tuple[str, str]], Client] = {}

        async def serve(**environ: str) -> Client:
            asked = frozenset(environ.items())
            if asked not in opened:
                url = sqlite.new_database(tmp_path_factory.mktemp("shared"))
                settings = make_settings(
                    DATABASE_URL=url, MAX_CALLS_PER_CALLER="0", CALLS_PER_HOUR_PER_CALLER="0", MAX_CALLS="1000",
                    **environ)
                opened[asked] = await stack.enter_async_context(TestClient(TestServer(create_app(settings))))
            return opened[asked]
        yield serve


@pytest.fixture
async def model() -> AsyncIterator[SilentModel]:
    silent, app = SilentModel(), web.Application()
    app.router.add_get("/v1/realtime", silent.take)
    async with TestServer(app) as server:
        silent.url = str(server.make_url("/v1/realtime").with_scheme("ws"))
        yield silent
