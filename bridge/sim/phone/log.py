"""The log of a call, and the ways to wait for its events."""

import asyncio
from collections.abc import Callable

from bridge.sim.clock import Clock
from bridge.sim.phone.event import Event, PhoneError


class CallLog:
    """The events of a call. Every waiting task looks again after each event."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log: list[Event] = []
        self.over = False
        self.warnings: list[str] = []
        """Twilio's debugger. Twilio warns once a stream. This keeps every warning."""
        self._failure: PhoneError | None = None
        self._changed = asyncio.Event()

    async def until_logged(self, kind: str, name: str | None = None, *, timeout: float = 20.0) -> Event:
        """Waits for the first event of that kind (and name), which may be in the log already."""
        await self._until(lambda: self._logged(kind, name) is not None, f"{kind} {name or ''}", timeout)
        event = self._logged(kind, name)
        assert event is not None
        return event

    async def until_over(self, *, timeout: float = 20.0) -> None:
        """Waits until all verbs are done. Raises PhoneError if one could not be carried out."""
        await self._until(lambda: self.over, "the end of the call", timeout)
        if self._failure:
            raise self._failure

    def note(self, kind: str, name: str = "", bytes: int = 0) -> None:
        self.log.append(Event(self.clock.ms(), kind, name, bytes))
        self.notify()

    def notify(self) -> None:
        # Every waiting task looks again. Later ones wait for the next change.
        self._changed.set()
        self._changed = asyncio.Event()

    def _logged(self, kind: str, name: str | None) -> Event | None:
        return next((event for event in self.log if event.kind == kind and name in (None, event.name)), None)

    async def _until(self, reached: Callable[[], bool], what: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not reached():
                    if self.over:
                        raise PhoneError(f"The call was over before {what} ({self}).") from self._failure
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"Waited {timeout:g} s in vain for {what} ({self}).") from None
