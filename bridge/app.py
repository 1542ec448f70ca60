"""The application, assembled: every resource and every address, in one place."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from bridge import __version__, keys
from bridge.background import Background
from bridge.call.endings import Endings
from bridge.meetings import event, message
from bridge.meetings.availability import Availability
from bridge.meetings.booking import Diary
from bridge.meetings.mailbox import Mailbox
from bridge.meetings.outbox import Outbox
from bridge.meetings.schedule import Rules
from bridge.meetings.tools import Tools
from bridge.records.database import Database, open_database
from bridge.records.deliveries import DeliveryQueue
from bridge.records.meetings import Meetings
from bridge.records.messages import Messages
from bridge.settings import Settings
from bridge.twilio_side import webhooks

log = logging.getLogger(__name__)

#: A webhook's form is a few kilobytes.
MAX_BODY = 64 * 1024
#: How long a booking that is under way may still take when the server stops, seconds.
FINISH_S = 9.0

#: What Twilio asks during a call, by GET or by POST.
WEBHOOKS: dict[str, Handler] = {
    "/incoming-call": webhooks.incoming_call,
    "/after-stream": webhooks.after_stream,
    "/transfer-ended": webhooks.transfer_ended,
    "/message-recorded": webhooks.message_recorded,
}


def create_app(settings: Settings) -> web.Application:
    """The whole server; it touches neither the environment nor the network until it is started."""
    app = web.Application(client_max_size=MAX_BODY)
    app[keys.SETTINGS] = settings
    app[keys.CALLS] = set()
    app[keys.CALL_RECORDS] = app[keys.ENDINGS] = Endings()
    app.on_startup.append(warn_if_open)
    app.cleanup_ctx.extend([open_http, open_meetings, open_background])
    app.on_shutdown.append(hang_up)
    app.add_routes([
        web.get("/", index),
        web.get("/healthz", healthz),
        web.get("/meeting.schema.json", meeting_schema),
        web.get("/message.schema.json", message_schema),
        *(route(path, handler) for route in (web.get, web.post) for path, handler in WEBHOOKS.items()),
        web.get("/media-stream/{number}", webhooks.media_stream),
    ])
    return app


async def index(request: web.Request) -> web.Response:
    return web.json_response({"service": "bridge", "version": __version__, "status": "running"})


async def healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def meeting_schema(request: web.Request) -> web.Response:
    """What WEBHOOK_URL is sent of a meeting, as a JSON Schema."""
    return web.json_response(event.SCHEMA, content_type="application/schema+json")


async def message_schema(request: web.Request) -> web.Response:
    """What WEBHOOK_URL is sent of a message, as a JSON Schema."""
    return web.json_response(message.SCHEMA, content_type="application/schema+json")


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
    await app[keys.BACKGROUND].finish(FINISH_S)


async def open_meetings(app: web.Application) -> AsyncIterator[None]:
    """The diary and its outbox; neither is needed where there is nobody to tell of a meeting."""
    settings = app[keys.SETTINGS]
    if not settings.WEBHOOK_URL:
        app[keys.TOOLS] = Tools(None, settings.TRANSFER_NUMBER)
        yield
        return
    async with open_database(settings.DATABASE_URL) as database:
        outbox = Outbox(DeliveryQueue(database), app[keys.HTTP], settings.WEBHOOK_SECRET)
        app[keys.TOOLS] = Tools(diary(app, database, outbox), settings.TRANSFER_NUMBER)
        app[keys.MAILBOX] = Mailbox(Messages(database), outbox, settings.WEBHOOK_URL, settings.TIMEZONE)
        delivering = asyncio.create_task(outbox.run())
        yield
        await outbox.stop()
        await delivering


def diary(app: web.Application, database: Database, outbox: Outbox) -> Diary:
    settings, http = app[keys.SETTINGS], app[keys.HTTP]
    return Diary(
        meetings=Meetings(database), queue=DeliveryQueue(database), outbox=outbox, receivers=settings.WEBHOOK_URL,
        rules=Rules(
            zone=settings.TIMEZONE, minutes=settings.MEETING_MINUTES, opening=settings.OPENING_HOURS or None,
            minimum_notice=settings.MINIMUM_NOTICE, maximum_notice=settings.MAXIMUM_NOTICE),
        organizer=settings.ORGANIZER_EMAIL, confirm=settings.CONFIRM_MEETINGS,
        availability=Availability(http, settings.AVAILABILITY_URL) if settings.AVAILABILITY_URL else None)


async def hang_up(app: web.Application) -> None:
    for call in app[keys.CALLS]:
        call.end("server stopping")
