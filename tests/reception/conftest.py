"""A server for Twilio to ask, and a model behind it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.app import create_app
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


@pytest.fixture
async def model() -> AsyncIterator[SilentModel]:
    silent, app = SilentModel(), web.Application()
    app.router.add_get("/v1/realtime", silent.take)
    async with TestServer(app) as server:
        silent.url = str(server.make_url("/v1/realtime").with_scheme("ws"))
        yield silent
