"""What the application holds, by typed keys."""

from typing import Protocol

import aiohttp
from aiohttp import web

from bridge.background import Background
from bridge.call.endings import Endings
from bridge.call.session import CallSession
from bridge.meetings.mailbox import Mailbox
from bridge.meetings.tools import Tools
from bridge.settings import Settings


class CallRecords(Protocol):
    """Knows how calls ended."""

    async def ended_in_order(self, call_sid: str) -> bool | None:
        """Whether nothing more is owed to the caller; None for a call that is not known."""


class Breaker(Protocol):
    """Knows whether the model can be reached."""

    @property
    def open(self) -> bool:
        """The model is known to be unreachable."""


SETTINGS = web.AppKey("SETTINGS", Settings)
HTTP = web.AppKey("HTTP", aiohttp.ClientSession)
BACKGROUND = web.AppKey("BACKGROUND", Background)
TOOLS = web.AppKey("TOOLS", Tools)
CALLS = web.AppKey("CALLS", set[CallSession])
ENDINGS = web.AppKey("ENDINGS", Endings)
CALL_RECORDS: web.AppKey[CallRecords] = web.AppKey("CALL_RECORDS")
#: Absent: nothing is known of the model.
BREAKER: web.AppKey[Breaker] = web.AppKey("BREAKER")
#: Absent where nobody is to be told of messages.
MAILBOX = web.AppKey("MAILBOX", Mailbox)
