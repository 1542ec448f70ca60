"""The application, assembled: every resource and every address, in one place."""

import logging
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from bridge import __version__, keys
from bridge.background import Background
from bridge.meetings.tools import Tools
from bridge.meetings.webhook import TIMEOUT_S, Webhook
from bridge.settings import Settings
from bridge.twilio_side import webhooks

log = logging.getLogger(__name__)

#: A webhook's form is a few kilobytes.
MAX_BODY = 64 * 1024


def create_app(settings: Settings) -> web.Application:
    """The whole server; it touches neither the environment nor the network until it is started."""
    app = web.Application(client_max_size=MAX_BODY)
    app[keys.SETTINGS] = settings
    app[keys.CALLS] = set()
    app.on_startup.append(warn_if_open)
    app.cleanup_ctx.extend([open_http, open_background, open_tools])
    app.on_shutdown.append(hang_up)
    app.add_routes([
        web.get("/", index),
        web.get("/healthz", healthz),
        web.get("/incoming-call", webhooks.incoming_call),
        web.post("/incoming-call", webhooks.incoming_call),
        web.get("/media-stream/{number}", webhooks.media_stream),
    ])
    return app


async def index(request: web.Request) -> web.Response:
    return web.json_response({"service": "bridge", "version": __version__, "status": "running"})


async def healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def warn_if_open(app: web.Application) -> None:
    if not app[keys.SETTINGS].TWILIO_AUTH_TOKEN:
        log.warning(
            "THIS SERVER IS OPEN: without TWILIO_AUTH_TOKEN anybody who finds it can open calls at your expense. "
            "Set TWILIO_AUTH_TOKEN to the auth token of your Twilio console.")


async def open_http(app: web.Application) -> AsyncIterator[None]:
    """One client session for everything; each call holds a connection of its own, so there is no limit."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app[keys.HTTP]:
        yield


async def open_background(app: web.Application) -> AsyncIterator[None]:
    app[keys.BACKGROUND] = Background()
    yield
    await app[keys.BACKGROUND].finish(TIMEOUT_S + 1)


async def open_tools(app: web.Application) -> AsyncIterator[None]:
    settings = app[keys.SETTINGS]
    deliver = Webhook(app[keys.HTTP], settings.WEBHOOK_URL).deliver if settings.WEBHOOK_URL else None
    app[keys.TOOLS] = Tools(settings.TIMEZONE, deliver)
    yield


async def hang_up(app: web.Application) -> None:
    for call in app[keys.CALLS]:
        call.end("server stopping")
