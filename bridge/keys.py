"""The typed keys of what the application holds. A handler finds the parts of the server by them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:                        # for types only, because some of these modules import this one
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
    from bridge.reception.probe import Probes
    from bridge.reception.record_keeper import RecordKeeper
    from bridge.reception.strangers import Door
    from bridge.reception.turnstile import Turnstile
    from bridge.recordings.recorder import Recorder
    from bridge.records.database import Database
    from bridge.settings import Settings
    from bridge.tools.registry import Tools

#: Says in a few words why no calls should come. "" means that they may.
Check = Callable[[], Awaitable[str]]

SETTINGS: web.AppKey[Settings] = web.AppKey("SETTINGS")
POLICY: web.AppKey[Policy] = web.AppKey("POLICY")
HTTP: web.AppKey[aiohttp.ClientSession] = web.AppKey("HTTP")
#: The session for the owner's addresses. It refuses private ones (delivery/reach.py).
WEBHOOKS_HTTP: web.AppKey[aiohttp.ClientSession] = web.AppKey("WEBHOOKS_HTTP")
#: Whether our websockets read their connections themselves (bridge/wire/).
DIRECT: web.AppKey[bool] = web.AppKey("DIRECT")
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
PROBES: web.AppKey[Probes] = web.AppKey("PROBES")
#: When a refused request is worth a line.
REFUSALS: web.AppKey[Seldom] = web.AppKey("REFUSALS")
#: The same for a request that is not valid HTTP.
MALFORMED: web.AppKey[Seldom] = web.AppKey("MALFORMED")
DOOR: web.AppKey[Door[web.RequestHandler]] = web.AppKey("DOOR")
METRICS: web.AppKey[Metrics] = web.AppKey("METRICS")
#: The listeners to calls. A part of the application adds its own when it is opened.
AUDIENCE: web.AppKey[Audience] = web.AppKey("AUDIENCE")
STOPPING: web.AppKey[Stopping] = web.AppKey("STOPPING")
#: The checks of /readyz, by the name of the part that may be missing.
CHECKS: web.AppKey[dict[str, Check]] = web.AppKey("CHECKS")
