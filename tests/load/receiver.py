"""Who is told of the meetings: a receiver that takes everything at once, and remembers which messages came.

`python -m tests.load.receiver` is one in a process of its own, at HOST and PORT.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web

from tests.load.relay import new_event_loop
from tests.load.server import HOST, free_port, own_environment, running


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


class Away:
    """A receiver in a process of its own; what a Receiver knows."""

    def __init__(self, address: str, http: ClientSession) -> None:
        self.address, self._http = address, http

    async def count(self) -> int:
        async with self._http.get("/count") as response:
            count: int = await response.json()
            return count

    async def seen(self) -> dict[str, list[str]]:
        async with self._http.get("/seen") as response:
            seen: dict[str, list[str]] = await response.json()
            return seen


@asynccontextmanager
async def receiving(core: int | None) -> AsyncIterator[Away]:
    """A receiver on this core, or on our own; it stands back for whatever else runs there, which is what is measured.

    Raises NoServer.
    """
    port = free_port()
    address, environment = f"http://{HOST}:{port}/", {**own_environment(), "HOST": HOST, "PORT": str(port)}
    async with running(__name__, port, environment, core) as process, ClientSession(address) as http:
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        yield Away(address, http)


def main() -> None:
    web.run_app(
        Receiver().app, host=os.environ["HOST"], port=int(os.environ["PORT"]), loop=new_event_loop(),
        access_log=None, print=None)


if __name__ == "__main__":
    main()
