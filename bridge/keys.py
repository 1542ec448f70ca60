"""What the application holds, by typed keys."""

import aiohttp
from aiohttp import web

from bridge.background import Background
from bridge.call.session import CallSession
from bridge.meetings.tools import Tools
from bridge.openai_side.breaker import Breaker
from bridge.settings import Settings

SETTINGS = web.AppKey("SETTINGS", Settings)
HTTP = web.AppKey("HTTP", aiohttp.ClientSession)
BACKGROUND = web.AppKey("BACKGROUND", Background)
TOOLS = web.AppKey("TOOLS", Tools)
BREAKER = web.AppKey("BREAKER", Breaker)
CALLS = web.AppKey("CALLS", set[CallSession])
