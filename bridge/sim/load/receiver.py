"""Who is told of the meetings: a receiver that takes everything at once, and remembers which messages came.

`python -m bridge.sim.load.receiver` is one in a process of its own, at HOST and PORT.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bridge.sim.load.server import HOST, free_port
from bridge.sim.relay import new_event_loop


class Receiver:
    """`seen`: the messages' ids of each meeting, by the meeting's id; `count`: how many messages."""

    def __init__(self) -> None:
        self.seen: dict[str, list[str]] = {}
        self.count = 0
        self.app = web.Application()
        self.app.add_routes([
            web.post("/", self._take), web.get("/", self._ready), web.get("/count", self._count),
            web.get("/seen", self._seen)])

    async def _take(self, request: web.Request) -> web.Response:
        news = json.loads(await request.read())
        self.seen.setdefault(news["id"], []).append(request.headers["webhook-id"])
        self.count += 1
        return web.Response(status=204)

    async def _ready(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response(self.count)

    async def _seen(self, request: web.Request) -> web.Response:
        return web.json_response(self.seen)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    """A receiver in this process, and its address."""
    receiver, port = Receiver(), free_port()
    runner = web.AppRunner(receiver.app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield receiver, f"http://{HOST}:{port}/"
    finally:
        await runner.cleanup()


def main() -> None:
    web.run_app(
        Receiver().app, host=os.environ["HOST"], port=int(os.environ["PORT"]), loop=new_event_loop(),
        access_log=None, print=None)


if __name__ == "__main__":
    main()
