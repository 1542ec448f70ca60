"""What the application holds, by typed keys."""

from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

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
from bridge.reception.strangers import Door
from bridge.reception.turnstile import Turnstile
from bridge.records.database import Database
from bridge.settings import Settings
from bridge.tools.registry import Tools

#: Says in a few words why no calls should come; "" when nothing speaks against it.
Check = Callable[[], Awaitable[str]]

SETTINGS = web.AppKey("SETTINGS", Settings)
HTTP = web.AppKey("HTTP", aiohttp.ClientSession)
#: For the owner's addresses, which may not lead everywhere.
WEBHOOKS_HTTP = web.AppKey("WEBHOOKS_HTTP", aiohttp.ClientSession)
DATABASE = web.AppKey("DATABASE", Database)
BACKGROUND = web.AppKey("BACKGROUND", Background)
TOOLS = web.AppKey("TOOLS", Tools)
BREAKER = web.AppKey("BREAKER", Breaker)
CALLS = web.AppKey("CALLS", set[CallSession])
SERVICES = web.AppKey("SERVICES", Services)
MAILBOX = web.AppKey("MAILBOX", Mailbox)
ADMISSION = web.AppKey("ADMISSION", Admission)
BUDGET = web.AppKey("BUDGET", Budget)
ACCESS = web.AppKey("ACCESS", Access)
TURNSTILE = web.AppKey("TURNSTILE", Turnstile)
#: When a refused request is worth a line.
REFUSALS = web.AppKey("REFUSALS", Seldom)
#: The same for what is no HTTP.
MALFORMED = web.AppKey("MALFORMED", Seldom)
DOOR = web.AppKey("DOOR", Door[web.RequestHandler])
METRICS = web.AppKey("METRICS", Metrics)
#: Who listens to calls: what belongs to the application adds its listener when it is opened.
AUDIENCE = web.AppKey("AUDIENCE", Audience)
STOPPING = web.AppKey("STOPPING", Stopping)
#: What /readyz asks, by the name of what may be missing.
CHECKS = web.AppKey("CHECKS", dict[str, Check])
