"""A small voice application, and a simulated phone that calls it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.sim.clock import Clock
from bridge.sim.phone import Phone
from tests.stage.voice_server import TOKEN, VoiceServer


@pytest.fixture
async def server(aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]) -> VoiceServer:
    server = VoiceServer()
    server.http = await aiohttp_server(server.app())
    return server


@pytest.fixture
async def phone(server: VoiceServer) -> AsyncIterator[Phone]:
    async with Phone(server.voice, auth_token=TOKEN, clock=Clock(20)) as phone:
        yield phone
