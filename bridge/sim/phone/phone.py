"""The phone and its number: who is called, and how Twilio behaves there."""

import asyncio
from types import TracebackType
from typing import Self

from bridge.sim.clock import Clock
from bridge.sim.phone.call import PhoneCall
from bridge.sim.phone.habits import Habits
from bridge.sim.phone.wire import Wire


class Phone(Habits):
    """A caller's phone and Twilio's part of the call: what happens when `webhook` is the number's voice URL.

    `signed_as` is the public origin (https://...) Twilio would know the server by, when that is not the
    webhook's own: every request is signed for it and arrives as if through a proxy that ends TLS.
    Without `auth_token` nothing is signed. Use it as `async with Phone(...) as phone`; leaving ends
    the calls that are still running. What may be set before `dial` is in `Habits`.
    """

    def __init__(self, webhook: str, *, to: str = "+15550001111", account_sid: str = "AC" + "0" * 32,
                 auth_token: str | None = None, signed_as: str | None = None,
                 clock: Clock | None = None) -> None:
        super().__init__(to, account_sid, clock or Clock())
        self.calls: list[PhoneCall] = []
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
