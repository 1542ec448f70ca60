"""Whether aiohttp lets us take its connections over is tried, and where it does not, calls go the other way."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, web

from bridge.wire import check, handshake
from bridge.wire.direct import Wire


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(check, "_found", {})
    yield


async def test_with_this_aiohttp_it_does() -> None:
    assert await check.problem() == ""
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_is_looked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    await check.problem()
    monkeypatch.delattr(web.RequestHandler, "set_parser")
    assert await check.problem() == ""


async def test_a_server_that_hands_nothing_over_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake._Accepted, "_post_start", web.WebSocketResponse._post_start)
    assert "as a server: " in await check.problem()


async def test_a_client_that_hands_nothing_over_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake.TakenOver, "__init__", ClientWebSocketResponse.__init__)
    assert "as a client: " in await check.problem()


async def test_a_server_that_loses_what_came_with_the_handshake_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "WITHIN_S", 0.3)
    monkeypatch.setattr(Wire, "feed_data", lambda wire, data: (False, b""))
    assert await check.problem() == "as a server: TimeoutError"


@pytest.mark.parametrize("name", ["set_parser", "connection_lost", "protocol"])
async def test_a_name_that_is_gone_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*given: Any, **more: Any) -> None:
        raise AttributeError(name)
    owner: Any = web.BaseRequest if name == "protocol" else web.RequestHandler
    monkeypatch.setattr(check, "WITHIN_S", 0.3)
    monkeypatch.setattr(owner, name, property(gone) if name == "protocol" else gone)
    assert "as a server: " in await check.problem()


async def test_a_connection_that_is_closed_with_the_handshake_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(handler: web.RequestHandler) -> None:
        handler.force_close()
    monkeypatch.setattr(check, "WITHIN_S", 0.3)
    monkeypatch.setattr(handshake, "_let_go", close)
    assert "as a server: " in await check.problem()
