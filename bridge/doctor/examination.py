"""All checks together: what is asked at once, what waits for what, and that it ends in time.

1. The server's own side, Twilio, the model and the webhooks are looked at at the same time. Only the public address
   waits for Twilio, and only where PUBLIC_URL does not name it: then the numbers do.
2. Each check has bounds of its own, and all together have ENOUGH_S. What has not answered by then is not proven.
3. Nothing is changed and nothing costs money, but for what `ring` (calling.py) and `--receiver` do when they are asked.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from aiohttp.abc import AbstractResolver

from bridge import __version__, composition
from bridge.delivery import reach
from bridge.doctor import account, address, alerts, clock, database, model, numbers, port, webhooks
from bridge.doctor.database import State
from bridge.doctor.finding import GROUPS, Finding, Report, ordered, sentence
from bridge.doctor.probing import Prober
from bridge.openai_side import realtime
from bridge.program import command
from bridge.settings import Settings

#: All checks together take no longer, seconds.
ENOUGH_S = 13.5


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is as it is everywhere but in a test: the names' addresses, whom TLS trusts, Twilio's regions, the time."""

    look_up: address.LookUp = address.look_up
    resolver: AbstractResolver | None = None
    tls: ssl.SSLContext | bool = True
    regions: Mapping[str, str] = field(default_factory=lambda: account.REGIONS)
    clock: Callable[[], float] = time.time
    slow_s: float = webhooks.SLOW_S
    afterwards_s: float = model.AFTERWARDS_S
    enough_s: float = ENOUGH_S


async def examine(
    settings: Settings, oddities: Sequence[str] = (), *, receiver: bool = False, around: Surroundings = Surroundings(),
) -> Report:
    """Looks at everything. `oddities`: as of settings.py; `receiver`: each webhook gets one booking, marked a test."""
    begun = time.monotonic()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, resolver=around.resolver)) as http,
        reach.open_session(private=settings.ALLOW_PRIVATE_WEBHOOKS, resolver=around.resolver) as webhooks_http,
    ):
        checks = _Checks(settings, around, http, webhooks_http, receiver)
        view = asyncio.create_task(checks.twilio())
        origin = asyncio.create_task(checks.origin(view))
        stored = asyncio.create_task(asyncio.to_thread(database.look, settings.DATABASE_URL))
        running = {
            asyncio.create_task(checks.port()): ("port",),
            asyncio.create_task(checks.database(stored)): ("database",),
            asyncio.create_task(checks.way_in(origin, stored)): GROUPS["way_in"],
            asyncio.create_task(checks.numbers(view, origin)): ("account", "number", "fallback", "alerts"),
            asyncio.create_task(checks.model()): ("clock", *GROUPS["model"]),
            asyncio.create_task(checks.webhooks()): ("webhook",),
        }
        findings = settings_read(oddities)
        try:
            await asyncio.wait(running, timeout=around.enough_s)
            for task, names in running.items():
                findings += _found(task, names[0], around.enough_s)
        finally:
            for each in (view, origin, stored, *running):
                each.cancel()
            await asyncio.gather(view, origin, stored, *running, return_exceptions=True)
    return Report(ordered(findings), __version__, around.clock(), time.monotonic() - begun)


def _found(task: "asyncio.Task[list[Finding]]", name: str, within_s: float) -> list[Finding]:
    """What a task has found; of one that did not, that it is not known."""
    if not task.done():
        return [Finding(name, "not proven", f"It was not known after {within_s:g} s.")]
    if error := task.exception():                    # the others' findings are worth no less
        return [Finding(name, "not proven", f"The check failed, by a mistake of bridge's own: {error!r}.",
                        "Report it, with this line.")]
    return task.result()


def settings_read(oddities: Sequence[str]) -> list[Finding]:
    """Of settings that can be read."""
    if not oddities:
        return [Finding("settings", "ok", "All settings can be read.")]
    return [Finding("settings", "warning", sentence(each), "Set it right in the environment, or in .env.")
            for each in oddities]


def settings_unread(problems: str, at: float) -> Report:
    """Of settings that cannot be read, and with which the server would not start: everything else comes after them."""
    return Report(
        [*(_unread(each) for each in problems.splitlines()),
         *(Finding(name, "skipped", "The settings come first.")
           for name in ("port", "database", "clock", "incoming_call", "account", "key", "webhook"))],
        __version__, at, 0.0)


def _unread(problem: str) -> Finding:
    do, asking = "Set it right in the environment, or in .env.", ""
    if " is not set" in problem:
        do, asking = "Set it in the environment, or let this ask for all that a call needs:", command("init")
    return Finding("settings", "failure", sentence(problem), do, asking)


@dataclass(frozen=True)
class _Checks:
    settings: Settings
    around: Surroundings
    http: aiohttp.ClientSession
    webhooks_http: aiohttp.ClientSession
    receiver: bool

    async def twilio(self) -> account.View | None:
        """None where it cannot be asked."""
        credentials = composition.credentials(self.settings)
        if credentials is None:
            return None
        if problem := account.obsolete(credentials.api):
            return account.View(problem)
        return await account.look(credentials, self.settings.auth_tokens, self.around.regions)

    async def origin(self, view: Awaitable[account.View | None]) -> str:
        if self.settings.PUBLIC_URL:
            return self.settings.PUBLIC_URL
        seen = await view
        return numbers.origin_of(seen.numbers or ()) if seen else ""

    def _prober(self, origin: str) -> Prober | None:
        tokens = self.settings.auth_tokens
        if not tokens:
            return None
        return Prober(origin, tokens, self.settings.TWILIO_ACCOUNT_SID, self.around.tls, self.around.clock)

    async def port(self) -> list[Finding]:
        settings = self.settings
        near = settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"
        return [await port.examine(self.http, settings.HOST, settings.PORT, self._prober(near))]

    async def database(self, stored: Awaitable[State]) -> list[Finding]:
        return database.judged(await stored)

    async def way_in(self, origin: Awaitable[str], stored: Awaitable[State]) -> list[Finding]:
        at = await origin
        if not at:
            return [Finding("incoming_call", "not proven", "Nobody says what this server's public address is.",
                            numbers.NO_ADDRESS)]
        prober = self._prober(at)
        if prober is None:
            return [Finding("incoming_call", "not proven", "Without TWILIO_AUTH_TOKEN nothing can be signed, and the "
                            "server answers everybody.", "Set TWILIO_AUTH_TOKEN.")]
        last_call_at = None
        with suppress(Exception):                    # of which `database` tells
            last_call_at = (await stored).last_call_at
        return await address.examine(self.http, prober, last_call_at, self.around.look_up)

    async def numbers(self, view: Awaitable[account.View | None], origin: Awaitable[str]) -> list[Finding]:
        seen = await view
        if seen is None:
            return [Finding(
                "account", "not proven", "Twilio was not asked: it takes TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
                "Set both, from the first page of the Twilio console.")]
        if seen.numbers is None:
            return [seen.account, *(Finding(name, "skipped", "The account comes first.")
                                    for name in ("number", "alerts"))]
        at = await origin
        return [seen.account, *numbers.judged(seen.numbers, at, seen.applications or {}),
                *await self._alerts(seen, at)]

    async def _alerts(self, seen: account.View, at: str) -> list[Finding]:
        credentials = composition.credentials(self.settings)
        if seen.alerts is None or credentials is None:
            return [Finding("alerts", "not proven", "Twilio did not tell of the errors that it noted.")]
        own = [each.phone_number for each in seen.numbers or ()]
        noted = alerts.concerning(seen.alerts, at, own)
        return alerts.judged(noted, await account.details(credentials, noted))

    async def model(self) -> list[Finding]:
        settings = self.settings
        where, agent = composition.account(settings), composition.agent(settings)
        setup = realtime.session_setup(
            instructions=agent.system_message, voice=agent.voice, tools=[], turn_detection=agent.turn_detection,
            transcription_model=agent.transcription_model, noise_reduction=agent.noise_reduction)
        listing, session = await asyncio.gather(
            model.list_models(self.http, where), model.try_session(self.http, where, setup, self.around.afterwards_s))
        today = datetime.fromtimestamp(self.around.clock(), UTC).date()
        return [clock.judged(listing.date, listing.at, listing.took_s), *model.judged(
            where.model, agent.transcription_model, listing, session, today)]

    async def webhooks(self) -> list[Finding]:
        settings = self.settings
        if self.receiver:
            return await webhooks.send_test(
                self.webhooks_http, settings.WEBHOOK_URL, settings.WEBHOOK_SECRET, settings.TIMEZONE)
        return await webhooks.examine(
            self.webhooks_http, settings.WEBHOOK_URL, self.around.tls, self.around.slow_s)
