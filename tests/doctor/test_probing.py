"""Probes of an address where somebody else may answer, in whatever way."""

import aiohttp
from aiohttp import web

from bridge.doctor import probing
from bridge.reception import probe
from tests.stage.proxy import listening


async def test_whoever_answers_a_probe_with_endless_brackets_is_only_somebody_else() -> None:
    async def nest(request: web.Request) -> web.StreamResponse:
        if request.path == probe.WEBHOOK_PATH:
            return web.Response(text="[" * probing.MAX_ANSWER)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("[" * probing.MAX_ANSWER)
        return socket
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", nest)
    async with listening(app) as port, aiohttp.ClientSession() as http:
        prober = probing.Prober(f"http://127.0.0.1:{port}", ["token"], "AC1")
        # An upgrade is signed for wss and asked for where the origin is.
        answer = await prober.ask(http, prober.origin, 5)
        assert not answer.ours and answer.saw == "" and not (await prober.upgrade(http, 5)).ours
