"""Keeps a tunnel to this server open while it runs, and leads a number there and back.

1. A program is started. When its address brings a signed request here, the server takes it for its own, and the number
   is led there.
2. A tunnel that ends, or brings nothing any more, is opened anew after a pause, and the number follows.
   After MOST tries that came to nothing the server is stopped: nobody could reach it.
3. When the server is told to stop, the number is led back at once, so that new callers reach whom they reached before.
   The tunnel stays until the calls under way are over.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from yarl import URL

from bridge.program import command
from bridge.tunnel import leftovers
from bridge.tunnel.process import NoTunnel, TunnelProcess
from bridge.tunnel.programs import Program
from bridge.tunnel.reach import Prober
from bridge.twilio_side import pointing
from bridge.twilio_side.account import Account, Number, TwilioFailed

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How many tries in a row may come to nothing: the first time, and later, when callers wait.
MOST_AT_FIRST, MOST = 3, 20
#: The pauses between them double, seconds.
LEAST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
#: A tunnel that was there for so long counts as one that works, seconds.
STEADY_S = 60.0
#: How often it is looked whether it still leads here, seconds, and how many looks in a row must fail.
LOOK_S, MOST_LOST = 30.0, 4
#: How often Twilio is asked to lead the number somewhere, and the pause between, seconds.
TRIES, TRY_S = 4, 1.0
#: How many voice URLs before the latest are remembered as ours.
MOST_URLS = 20
#: How long leading the number back may take at the end, seconds; and after how long it is said that it still does.
BACK_S, TELL_S = 6.0, 1.0
#: What is left to do for a number that could not be led back.
_TO_DO = "%(number)s STILL LEADS TO THE TUNNEL: %(reason)s. To lead it back: %(command)s"


class Served(Protocol):
    """The server beside which the tunnel runs: see bridge/server.py."""

    @property
    def address(self) -> str: ...

    @property
    def take_address(self) -> Callable[[str], None]: ...

    @property
    def told(self) -> asyncio.Event: ...

    @property
    def over(self) -> asyncio.Event: ...


class Lead:
    """One number of the account, borrowed: `before` is what it is brought back to."""

    def __init__(self, account: Account, number: Number, folder: Path) -> None:
        self._account, self._number, self._folder = account, number, folder
        self._borrowed: leftovers.Borrowed | None = None
        self._changing: asyncio.Task[Number] | None = None

    async def to(self, address: str) -> None:
        """Leads it to this server, unless somebody has led it elsewhere since it was led here.

        Raises TwilioFailed, and OSError where it cannot be written down first.
        """
        if self._borrowed and not await self._is_ours(self._borrowed):
            log.warning("%(number)s was led elsewhere meanwhile, and stays so",
                        {"number": self._number.phone_number})
            return
        wanted = pointing.to_this_server(address, self._number)
        known = next((each for each in leftovers.read(self._folder) if each.sid == self._number.sid), None)
        before = known.before if known else {each: getattr(self._number, each) for each in wanted}
        # With those before it: whether Twilio has taken this one is not known before it says so.
        urls = (*known.voice_urls[-MOST_URLS:], wanted["voice_url"]) if known else (wanted["voice_url"],)
        self._borrowed = leftovers.Borrowed(self._number.sid, self._number.phone_number, urls, before)
        leftovers.remember(self._folder, self._borrowed)
        # Whoever is cancelled here does not take back what a thread has sent already: `back` waits for that.
        self._changing = asyncio.create_task(_insist(lambda: self._account.change(self._number.sid, **wanted)))
        await asyncio.shield(self._changing)
        log.info("%(number)s leads here", {"number": self._number.phone_number})

    async def back(self) -> None:
        """Leads it to where it led before, if it still leads here. What does not work is said."""
        if self._borrowed is None:
            return
        number = self._borrowed.phone_number
        # Who does not wait for the end must know what is left to do.
        telling = asyncio.get_running_loop().call_later(
            TELL_S, log.warning, _TO_DO, {"number": number, "command": command("number", "restore"),
                                         "reason": "Twilio has not answered yet"})
        try:
            async with asyncio.timeout(BACK_S):
                if self._changing:
                    await asyncio.wait({self._changing})
                ours = await asyncio.to_thread(leftovers.lead_back, self._account, self._folder, self._borrowed)
        except (TwilioFailed, TimeoutError) as error:
            log.error(_TO_DO, {"number": number, "command": command("number", "restore"),
                               "reason": str(error) or f"no answer in {BACK_S:g} s"})
            return
        finally:
            telling.cancel()
        before = URL(self._borrowed.before.get("voice_url", "")).host or "nowhere"       # the rest may be a secret
        log.info("%(number)s %(what)s", {
            "number": number,
            "what": f"leads to {before} again" if ours else "was led elsewhere meanwhile, and stays so"})

    async def _is_ours(self, borrowed: leftovers.Borrowed) -> bool:
        """Whether it still leads to the tunnel. Raises TwilioFailed."""
        return await _insist(lambda: leftovers.still_leads(self._account, self._folder, borrowed))


async def _insist(ask: Callable[[], T]) -> T:
    """What is answered. Raises TwilioFailed after TRIES."""
    left = TRIES
    while True:
        left -= 1
        try:
            return await asyncio.to_thread(ask)
        except TwilioFailed as failed:
            if not left or failed.status in range(400, 429):
                raise
            await asyncio.sleep(TRY_S)


class Keeper:
    """`program` and its `file`, on PATH; `prober` asks through it; `lead`: the number, if one follows."""

    def __init__(self, program: Program, file: str, prober: Prober, lead: Lead | None) -> None:
        self._program, self._file, self._prober, self._lead = program, file, prober, lead
        self._process: TunnelProcess | None = None
        self._was_there = False

    async def run(self, served: Served) -> str:
        """Until the server is over; why it had to end, or "" when it was told to."""
        holding = asyncio.create_task(self._hold(served))
        telling = asyncio.create_task(served.told.wait())
        try:
            await asyncio.wait({holding, telling}, return_when=asyncio.FIRST_COMPLETED)
            gave_up = holding.done()
            holding.cancel()
            await asyncio.wait({holding})
            if self._lead:
                await self._lead.back()
            if not gave_up:
                await served.over.wait()
            return "" if holding.cancelled() else holding.result()
        finally:
            telling.cancel()
            await self._end()

    async def _hold(self, served: Served) -> str:
        """Until it is cancelled, or must give up: why."""
        now, failures = asyncio.get_running_loop().time, 0
        while True:
            began = now()
            try:
                address = await self._open(served)
                if self._lead:
                    await self._lead.to(address)
                self._was_there = True
                problem = await self._until_it_ends(address)
                final = False
            except NoTunnel as error:
                problem, final = str(error), error.final and not self._was_there
            except (TwilioFailed, OSError) as error:
                return f"the number could not be led to the tunnel: {error}"
            await self._end()
            failures = 1 if now() - began >= STEADY_S and self._was_there else failures + 1
            if final or failures >= (MOST if self._was_there else MOST_AT_FIRST):
                return f"there is no tunnel: {problem}"
            pause = min(LEAST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
            log.warning("the tunnel %(what)s: %(reason)s; it is opened again in %(pause).0f s", {
                "what": "is gone" if self._was_there else "did not come about", "reason": problem, "pause": pause})
            await asyncio.sleep(pause)

    async def _open(self, served: Served) -> str:
        """The address of a tunnel that leads here. Raises NoTunnel."""
        self._process = await TunnelProcess.start(self._program, self._file, served.address)
        address = await self._process.address()
        served.take_address(address)                 # before it is asked: the signature is over this address
        await self._or_ended(self._process, self._prober.until_reached(address))
        log.info("the tunnel is open: Twilio's voice URL is %(address)s%(path)s",
                 {"address": address, "path": pointing.INCOMING})
        return address

    async def _or_ended(self, process: TunnelProcess, work: Coroutine[Any, Any, None]) -> None:
        """`work`, and no longer than the process. Raises NoTunnel."""
        working, ending = asyncio.create_task(work), asyncio.create_task(process.ended.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise NoTunnel(f"{process.name} has ended" + (f": {process.why()}" if process.why() else ""))
            working.result()
        finally:
            working.cancel()
            ending.cancel()
            await asyncio.wait({working, ending})

    async def _until_it_ends(self, address: str) -> str:
        """Until the program has ended, or brings nothing any more: which."""
        assert self._process
        process, lost = self._process, 0
        while not process.ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await process.ended.wait()
                    break
            problem = await self._prober.lost(address)
            lost = lost + 1 if problem else 0
            if lost >= MOST_LOST:
                return f"{address} leads here no more: {problem}"
        return f"{process.name} has ended" + (f": {process.why()}" if process.why() else "")

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await process.stop()
