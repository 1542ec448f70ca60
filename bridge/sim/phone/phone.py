"""The phone, the number that it calls, and Twilio between them."""

import asyncio
from types import TracebackType
from typing import Self

from bridge.sim.clock import Clock
from bridge.sim.phone.call import PhoneCall
from bridge.sim.phone.habits import Habits
from bridge.sim.phone.wire import Wire


class Phone(Habits):
    """A caller's phone, and Twilio's part of the call. `webhook` is the number's voice URL.

    Use it as `async with Phone(...) as phone`. Leaving ends the calls that still run. `Habits` lists what may be set
    before `dial`. Without `auth_token` nothing is signed. `signed_as` is the public origin (https://...) by which
    Twilio knows the server, if that is not the webhook's own. Every request is then signed for it, and arrives as if
    through a proxy that ends TLS.
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
        """Call the number. `parameters` add to, or replace, the parameters of the webhook.

        Returns when a stream has sent `start`, or the call is over. Raises PhoneError if Twilio would not accept the
        webhook's answer, or a verb up to there.
        """
        call = PhoneCall(self, self._wire, from_, parameters)
        self.calls.append(call)
        await call._begin(method)
        return call
