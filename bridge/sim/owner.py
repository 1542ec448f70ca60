"""The owner's end of the webhook: takes deliveries and remembers them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Owner:
    """A receiver of meetings. `listener` is called with each meeting and the HTTP status of its answer."""

    listener: Callable[[dict[str, Any], int], None] = lambda meeting, status: None
    #: The statuses of the first answers, in order. Further ones are `status`.
    answers: list[int] = field(default_factory=list)
    status: int = 204
    #: No request is answered while this is cleared.
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    #: All bodies that came, whatever the answer, and the `webhook-id` of each, by the meeting's id.
    meetings: list[dict[str, Any]] = field(default_factory=list)
    ids: dict[str, list[str]] = field(default_factory=dict)
    #: The bodies that were answered with a status below 300.
    taken: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_answer.set()

    def app(self) -> web.Application:
        """The application, which takes meetings at /meetings."""
        app = web.Application()
        app.router.add_post("/meetings", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        await self.may_answer.wait()
        meeting, status = await request.json(), self.answers.pop(0) if self.answers else self.status
        self.meetings.append(meeting)
        self.ids.setdefault(meeting.get("id", ""), []).append(request.headers.get("webhook-id", ""))
        if status < 300:
            self.taken.append(meeting)
        self.listener(meeting, status)
        return web.Response(status=status)
