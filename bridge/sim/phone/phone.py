"""The phone and its number: who is called, and how Twilio behaves there."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bridge.sim.clock import Clock
from bridge.sim.phone.call import PhoneCall
from bridge.sim.phone.event import Event
from bridge.sim.phone.wire import Wire


class Phone:
    """A caller's phone and Twilio's part of the call: what happens when `webhook` is the number's voice URL.

    `signed_as` is the public origin (https://...) Twilio would know the server by, when that is not the
    webhook's own: every request is signed for it and arrives as if through a proxy that ends TLS.
    Without `auth_token` nothing is signed. Use it as `async with Phone(...) as phone`; leaving ends
    the calls that are still running.

    Attributes to set before `dial`:
    `late_marks_ms`: marks come back that much later; `wait_before_start_ms`: between `connected` and
    `start`; `send_start`: False for a stream that never says `start`, nor any audio;
    `both_tracks`: send what is played as frames of the outbound track too;
    `dial_statuses`: how the next <Dial>s end (`DialCallStatus`), in order; then all as `dial_status`. With
    `answered` the human stays on the line until `PhoneCall.human_hangs_up`, or the caller hangs up;
    `listener`: told whatever happens in a call;
    `repeated_webhooks`: so many times more is the webhook of a call asked, as when its answer was lost.
    """

    def __init__(self, webhook: str, *, to: str = "+15550001111", account_sid: str = "AC" + "0" * 32,
                 auth_token: str | None = None, signed_as: str | None = None,
                 clock: Clock | None = None) -> None:
        self.to = to
        self.account_sid = account_sid
        self.clock = clock or Clock()
        self.calls: list[PhoneCall] = []
        self.late_marks_ms = 0.0
        self.wait_before_start_ms = 0.0
        self.send_start = True
        self.both_tracks = False
        self.dial_status = "completed"
        self.dial_statuses: list[str] = []
        self.repeated_webhooks = 0
        self.listener: Callable[[PhoneCall, Event], None] | None = None
        self._wire = Wire(webhook, signed_as, auth_token)

    async def __aenter__(self) -> Self:
        await self._wire.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        try:
            await asyncio.gather(*(call._abandon() for call in self.calls))
        finally:
            await self._wire.close()

    async def dial(self, from_: str = "+15557654321", *, method: str = "POST",
                   **parameters: str) -> PhoneCall:
        """Call the number; `parameters` are added to, or replace, what the webhook is told.

        Returns once a stream has been told `start`, or the call is over. Raises PhoneError when the
        webhook's answer, or a verb up to there, is one that Twilio would not accept.
        """
        call = PhoneCall(self, self._wire, from_, parameters)
        self.calls.append(call)
        await call._begin(method)
        return call
