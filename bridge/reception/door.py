"""The door at work: what a server's connections and answers do to `strangers.Door`, which decides.

`at(app)` puts it up, and a server whose connections are `Visitor`s stands behind it. A connection comes to the door as
it is made. An answer lets it rest, a request that is Twilio's lets it in, and whoever takes too long is closed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from bridge import keys
from bridge.loop.running import running
from bridge.loop.yielding import yield_loop
from bridge.reception.strangers import Door

#: How often it is looked whose first request takes too long, seconds. Short, so that connections are closed one by one:
#: strangers who are closed together come back together.
LOOK_S = 0.1
#: Answers to what is not Twilio's.
TURNED_AWAY = frozenset({400, 403, 408, 413})


def at(app: web.Application) -> None:
    """This application has a door from now on."""
    app[keys.DOOR] = Door()
    app.on_response_prepare.append(_answered)
    app.cleanup_ctx.append(_watch)


class Visitor(web.RequestHandler):
    """A connection that stands at the door until it has shown whose it is. `options`: those of aiohttp's handler."""

    __slots__ = ("_door",)

    def __init__(self, server: web.Server, door: Door[web.RequestHandler], **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        displaced = self._door.came(self, address, asyncio.get_running_loop().time())
        if displaced and displaced.transport:
            displaced.transport.abort()

    def connection_lost(self, error: BaseException | None) -> None:
        self._door.forget(self)
        super().connection_lost(error)


def let_in(request: web.Request) -> None:
    """It is Twilio's: its connection is no stranger's any more."""
    request.app[keys.DOOR].forget(request.protocol)


async def _answered(request: web.Request, response: web.StreamResponse) -> None:
    """Who got what it asked for may come again by the same connection; who was turned away may not."""
    request.app[keys.DOOR].answered(request.protocol)
    if response.status in TURNED_AWAY:
        response.force_close()
        response.headers["Connection"] = "close"
        await yield_loop()


async def _watch(app: web.Application) -> AsyncIterator[None]:
    async with running(close_overdue(app[keys.DOOR])):
        yield


async def close_overdue(door: Door[web.RequestHandler]) -> None:
    """Closes, until it is cancelled, connections whose first request takes too long."""
    time = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(LOOK_S)
        while overdue := door.overdue(time()):
            if overdue.transport:
                overdue.transport.abort()
            await yield_loop()
