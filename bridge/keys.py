"""What the application holds, by typed keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:                        # names only: whoever is held here may look for others here
    from bridge.call.events import Audience
    from bridge.call.session import CallSession, Services
    from bridge.console.access import Access
    from bridge.console.metrics import Metrics
    from bridge.delivery.mailbox import Mailbox
    from bridge.log import Seldom
    from bridge.loop.background import Background
    from bridge.loop.stopping import Stopping
    from bridge.openai_side.breaker import Breaker
    from bridge.reception.admission import Admission
    from bridge.reception.budget import Budget
    from bridge.reception.policy import Policy
    from bridge.reception.record_keeper import RecordKeeper
    from bridge.reception.strangers import Door
    from bridge.reception.turnstile import Turnstile
    from bridge.recordings.recorder import Recorder
    from bridge.records.database import Database
    from bridge.settings import Settings
    from bridge.tools.registry import Tools

#: Says in a few words why no calls should come; "" when nothing speaks against it.
Check = Callable[[], Awaitable[str]]

SETTINGS: web.AppKey[Settings] = web.AppKey("SETTINGS")
POLICY: web.AppKey[Policy] = web.AppKey("POLICY")
HTTP: web.AppKey[aiohttp.ClientSession] = web.AppKey("HTTP")
#: For the owner's addresses, which may not lead everywhere.
WEBHOOKS_HTTP: web.AppKey[aiohttp.ClientSession] = web.AppKey("WEBHOOKS_HTTP")
DATABASE: web.AppKey[Database] = web.AppKey("DATABASE")
BACKGROUND: web.AppKey[Background] = web.AppKey("BACKGROUND")
TOOLS: web.AppKey[Tools] = web.AppKey("TOOLS")
BREAKER: web.AppKey[Breaker] = web.AppKey("BREAKER")
#: This process's name among all that share the database.
PROCESS: web.AppKey[str] = web.AppKey("PROCESS")
CALLS: web.AppKey[set[CallSession]] = web.AppKey("CALLS")
SERVICES: web.AppKey[Services] = web.AppKey("SERVICES")
MAILBOX: web.AppKey[Mailbox] = web.AppKey("MAILBOX")
ADMISSION: web.AppKey[Admission] = web.AppKey("ADMISSION")
RECORDS: web.AppKey[RecordKeeper] = web.AppKey("RECORDS")
RECORDER: web.AppKey[Recorder] = web.AppKey("RECORDER")
BUDGET: web.AppKey[Budget] = web.AppKey("BUDGET")
ACCESS: web.AppKey[Access] = web.AppKey("ACCESS")
TURNSTILE: web.AppKey[Turnstile] = web.AppKey("TURNSTILE")
#: When a refused request is worth a line.
REFUSALS: web.AppKey[Seldom] = web.AppKey("REFUSALS")
#: The same for what is no HTTP.
MALFORMED: web.AppKey[Seldom] = web.AppKey("MALFORMED")
DOOR: web.AppKey[Door[web.RequestHandler]] = web.AppKey("DOOR")
METRICS: web.AppKey[Metrics] = web.AppKey("METRICS")
#: Who listens to calls: what belongs to the application adds its listener when it is opened.
AUDIENCE: web.AppKey[Audience] = web.AppKey("AUDIENCE")
STOPPING: web.AppKey[Stopping] = web.AppKey("STOPPING")
#: What /readyz asks, by the name of what may be missing.
CHECKS: web.AppKey[dict[str, Check]] = web.AppKey("CHECKS")
