"""Assembles the application: every resource and every address, in one place."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from functools import partial

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from bridge import __version__, composition, keys
from bridge.calendars.busy_url import Availability
from bridge.call import call_log
from bridge.call.events import Audience
from bridge.call.session import Services
from bridge.call.timing import Timing
from bridge.console import answers, health
from bridge.console import openapi
from bridge.console.access import Access
from bridge.console.metrics import Metrics
from bridge.delivery import news, reach, report
from bridge.delivery.mailbox import Mailbox
from bridge.delivery.outbox import STOP_S, Outbox
from bridge.delivery.receivers import ByScheme
from bridge.delivery.webhook import SCHEMES, Webhook
from bridge.log import Seldom
from bridge.loop.background import Background
from bridge.loop.event_loop import watch_lag
from bridge.loop.running import running
from bridge.loop.stopping import Stopping
from bridge.loop.ticker import Ticker
from bridge.meetings import event, message
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.probing import probe_while_open
from bridge.reception import door, stream, webhooks
from bridge.reception.admission import Admission
from bridge.reception.budget import Budget
from bridge.reception.probe import Probes
from bridge.reception.record_keeper import RecordKeeper
from bridge.reception.turnstile import Turnstile
from bridge.recordings import recorder, shelf
from bridge.recordings.forgetting import forget_hourly
from bridge.recordings.shelving import Shelving
from bridge.records.call_records import CallRecords
from bridge.records.calls import Calls
from bridge.records.database import StoreFailed, open_database
from bridge.records.deliveries import DeliveryQueue
from bridge.records.endings import Ending
from bridge.records.erasure import Erasure
from bridge.records.meetings import Meetings
from bridge.records.messages import Messages
from bridge.records.recordings import Recordings
from bridge.records.retention import sweep_hourly
from bridge.records.spending import Spending
from bridge.records.stream_tokens import StreamTokens
from bridge.settings import Settings
from bridge.tools import briefing
from bridge.tools.booking import Diary
from bridge.tools.consent import consent
from bridge.tools.hand_over import hand_over
from bridge.tools.meetings import meetings
from bridge.tools.registry import Tools
from bridge.twilio_side import rest
from bridge.twilio_side.signature import MAX_BODY
from bridge.wire import check, handshake

log = logging.getLogger(__name__)

#: The least time between two log lines about refused requests, or about malformed ones, in seconds.
REFUSAL_S = 60.0
#: How long bookings under way may still take when the server stops, and how much of what is left before the server's
#: end is kept for deliveries, in seconds.
FINISH_S, KEPT_S = 9.0, 0.3

#: How long writing down the last spending may take when the server stops, in seconds.
SPENT_S = 1.0
#: ... and the last of what was said in calls.
RECORDED_S = 1.0

#: The webhooks that Twilio calls during a call, by GET or by POST.
WEBHOOKS: dict[str, Handler] = {
    "/incoming-call": webhooks.incoming_call,
    "/after-stream": webhooks.after_stream,
    "/transfer-ended": webhooks.transfer_ended,
    "/message-recorded": webhooks.message_recorded,
    "/call-status": webhooks.call_status,
}


def create_app(settings: Settings, timing: Timing = Timing()) -> web.Application:
    """The whole server; it touches neither the environment nor the network until it is started.

    `timing`: how long its calls wait. Only tests have a reason for another one.
    """
    app = web.Application(client_max_size=MAX_BODY, middlewares=[answers.hide_faults(webhooks.rescue)])
    app.on_response_prepare.append(answers.protect)
    door.at(app)
    app[keys.SETTINGS] = settings
    app[keys.POLICY] = composition.policy(settings)
    app[keys.PROCESS] = secrets.token_hex(8)
    app[keys.CALLS] = set()
    app[keys.REFUSALS], app[keys.MALFORMED] = Seldom(REFUSAL_S), Seldom(REFUSAL_S)
    app[keys.PROBES] = Probes(settings.auth_tokens)
    app[keys.BACKGROUND] = Background()
    app[keys.METRICS] = Metrics()
    app[keys.AUDIENCE] = Audience(call_log.hear, app[keys.METRICS].hear)
    app[keys.ACCESS] = Access(
        settings.ADMIN_PASSWORD, settings.ADMIN_PASSWORD_HASH, count=app[keys.METRICS].operator_refused)
    app[keys.STOPPING] = Stopping()
    app[keys.CHECKS] = dict[str, keys.Check](server=partial(health.not_stopping, app[keys.STOPPING]))
    app.on_startup.append(warn_if_open)
    app.cleanup_ctx.extend([
        open_http, open_records, open_admission, open_recorder, open_budget, open_turnstile, watch_model,
        open_meetings, open_call_records, forget_old, watch_loop, finish_background])
    app.on_startup.append(partial(gather_services, timing=timing))   # when all that was opened above is there
    app.on_shutdown.append(hang_up)
    app.add_routes([
        web.get("/", index),
        web.get("/healthz", health.healthz),
        web.get("/readyz", health.readyz),
        web.get("/metrics", health.show_metrics),
        web.get("/meeting.schema.json", meeting_schema),
        web.get("/message.schema.json", message_schema),
        web.get("/call.schema.json", call_schema),
        web.get("/openapi.json", openapi_document),
        *(route(path, handler) for route in (web.get, web.post) for path, handler in WEBHOOKS.items()),
        web.get("/media-stream/{number}", stream.media_stream),
    ])
    return app


async def index(request: web.Request) -> web.Response:
    return web.json_response({"service": "bridge", "version": __version__, "status": "running"})


async def meeting_schema(request: web.Request) -> web.Response:
    """The JSON Schema of what WEBHOOK_URL gets about a meeting."""
    return web.json_response(event.SCHEMA, content_type="application/schema+json")


async def message_schema(request: web.Request) -> web.Response:
    """The JSON Schema of what WEBHOOK_URL gets about a message."""
    return web.json_response(message.SCHEMA, content_type="application/schema+json")


async def call_schema(request: web.Request) -> web.Response:
    """What CALL_WEBHOOK_URL is sent of a call, as a JSON Schema."""
    return web.json_response(report.SCHEMA, content_type="application/schema+json")


async def openapi_document(request: web.Request) -> web.Response:
    """The OpenAPI document of all these addresses."""
    return web.json_response(openapi.DOCUMENT)


async def warn_if_open(app: web.Application) -> None:
    if not app[keys.POLICY].keys:
        log.warning(
            "THIS SERVER IS OPEN: with ALLOW_UNSIGNED anybody who reaches it, by a tunnel too, can open calls at your "
            "expense. Set TWILIO_AUTH_TOKEN to the auth token of your Twilio console.")


async def open_http(app: web.Application) -> AsyncIterator[None]:
    """Each call holds a connection of its own, so there is no limit. The owner's addresses have their own session."""
    problem = await check.problem()
    if problem:
        log.warning(
            "aiohttp %(version)s does not hand its connections over, so a call costs more CPU time and memory than it "
            "could; everything works. Install the newest version that requirements.txt allows. (%(problem)s)",
            {"version": aiohttp.__version__, "problem": problem})
    app[keys.DIRECT] = not problem
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), ws_response_class=handshake.client_class(direct=not problem),
        ) as app[keys.HTTP],
        reach.open_session(private=app[keys.SETTINGS].ALLOW_PRIVATE_WEBHOOKS) as app[keys.WEBHOOKS_HTTP],
    ):
        yield


async def open_records(app: web.Application) -> AsyncIterator[None]:
    async with open_database(app[keys.SETTINGS].DATABASE_URL) as database:
        app[keys.DATABASE] = database
        app[keys.CHECKS]["database"] = partial(health.database_answers, database)
        yield


async def open_admission(app: web.Application) -> AsyncIterator[None]:
    """Decides who may call, over all processes that share the database. Each process gets a random name."""
    app[keys.ADMISSION] = admission = Admission(
        Calls(app[keys.DATABASE], app[keys.PROCESS]), app[keys.POLICY].limits, app[keys.BACKGROUND])
    app[keys.AUDIENCE].add(admission.hear)
    async with running(admission.run()):
        yield


async def open_recorder(app: web.Application) -> AsyncIterator[None]:
    """Calls are recorded, where RECORD says so, and what was recorded is brought to its place."""
    settings, metrics = app[keys.SETTINGS], app[keys.METRICS]
    recordings, folder = Recordings(app[keys.DATABASE]), shelf.unfinished(settings.RECORDINGS)
    days = composition.recordings_days(settings)
    async with AsyncExitStack() as stack:
        if days:
            await stack.enter_async_context(running(forget_hourly(recordings, days, settings.RECORDINGS_STORE)))
        if settings.RECORD == "0" and not folder.exists():       # and nothing waits from a time when calls were
            yield
            return
        place = shelf.open_shelf(settings.RECORDINGS, settings.RECORDINGS_STORE)
        shelving = Shelving(folder, settings.RECORDINGS, place, recordings, count_waiting=metrics.recordings_wait)
        if settings.RECORD == "0":
            async with running(shelving.run()):
                yield
            return
        recorder.prepare(folder)
        app[keys.RECORDER] = recording = recorder.Recorder(
            folder, count_loss=metrics.recording_lost, finished=shelving.finished)
        app[keys.AUDIENCE].add_for_each_call(recording.of_a_call)
        async with running(recording.run()), running(shelving.run()):
            yield
        await recording.finish(app[keys.STOPPING].left(RECORDED_S))
        with suppress(TimeoutError):
            async with asyncio.timeout(app[keys.STOPPING].left(RECORDED_S)):
                await shelving.bring()


async def open_budget(app: web.Application) -> AsyncIterator[None]:
    """Counts what the model may still cost today, over all processes that share the database."""
    settings = app[keys.SETTINGS]
    app[keys.BUDGET] = budget = Budget(Spending(app[keys.DATABASE]), settings.MAX_DAY_USD, settings.TIMEZONE)
    app[keys.AUDIENCE].add(budget.hear)
    if not settings.MAX_DAY_USD:
        yield
        return

    def end_calls() -> None:
        for call in app[keys.CALLS]:
            call.end(Ending.MONEY_USED_UP)
    await budget.refresh()
    async with running(budget.run(end_calls)):
        yield
    with suppress(TimeoutError):
        async with asyncio.timeout(app[keys.STOPPING].left(SPENT_S)):
            await budget.refresh()


async def open_turnstile(app: web.Application) -> AsyncIterator[None]:
    """Lets only streams of answered calls in, over all processes that share the database."""
    app[keys.TURNSTILE] = turnstile = Turnstile(
        StreamTokens(app[keys.DATABASE]), app[keys.SETTINGS].auth_tokens)
    async with running(turnstile.run()):
        yield


async def watch_model(app: web.Application) -> AsyncIterator[None]:
    """Opens the breaker that all calls share, and the probe that closes it again."""
    app[keys.BREAKER] = breaker = Breaker()
    app[keys.CHECKS]["model"] = partial(health.model_in_reach, breaker)
    settings = app[keys.SETTINGS]
    async with running(
            probe_while_open(breaker, app[keys.HTTP], composition.account(settings), settings.OPENAI_VOICE)):
        yield


async def open_meetings(app: web.Application) -> AsyncIterator[None]:
    """Opens the outbox and the model's tools. Meetings are offered only with a WEBHOOK_URL.

    The outbox runs in any case: promises of an earlier run are still delivered.
    """
    settings, queue = app[keys.SETTINGS], DeliveryQueue(app[keys.DATABASE])
    webhook = Webhook(app[keys.WEBHOOKS_HTTP], settings.WEBHOOK_SECRET)
    outbox = Outbox(queue, ByScheme(dict.fromkeys(SCHEMES, webhook)))
    kits = [meetings(diary(app, queue, outbox))] if settings.WEBHOOK_URL else []
    kits += [consent()] if settings.RECORD == "ask" else []
    app[keys.TOOLS] = Tools(*kits, hand_over(settings.TRANSFER_NUMBER))
    app[keys.MAILBOX] = Mailbox(Messages(app[keys.DATABASE]), outbox, settings.WEBHOOK_URL, settings.TIMEZONE)
    await warn_of_astray(queue, (*settings.WEBHOOK_URL, *settings.CALL_WEBHOOK_URL))
    delivering = asyncio.create_task(outbox.run())
    yield
    await outbox.stop(app[keys.STOPPING].left(STOP_S))
    await delivering


async def open_call_records(app: web.Application) -> AsyncIterator[None]:
    """What is said and heard in each call is written down, beside the calls, and its end is reported."""
    settings, outbox = app[keys.SETTINGS], app[keys.MAILBOX].outbox
    told = partial(news.of_call, urls=settings.CALL_WEBHOOK_URL, zone=settings.TIMEZONE)
    app[keys.RECORDS] = keeper = RecordKeeper(
        CallRecords(app[keys.DATABASE], told), app[keys.PROCESS], model=settings.OPENAI_MODEL,
        voice=settings.OPENAI_VOICE, words=settings.TRANSCRIPTS, count_loss=app[keys.METRICS].record_lost,
        reported=outbox.wake, notice=composition.notice(settings), recordings=settings.RECORDINGS)
    app[keys.AUDIENCE].add_for_each_call(keeper.of_a_call)
    async with running(keeper.run()):
        yield
    await keeper.finish(app[keys.STOPPING].left(RECORDED_S))


async def warn_of_astray(queue: DeliveryQueue, receivers: Sequence[str]) -> None:
    """Warns about deliveries to an address that has left WEBHOOK_URL. They keep it until the owner resends them."""
    with suppress(StoreFailed):                      # the warning is not worth a failed start
        if receivers and (count := await queue.astray(receivers)):
            log.warning("deliveries wait for an address that is not in WEBHOOK_URL any more: %(count)d of them. To "
                        "send them to the one that is: python -m bridge meetings resend all", {"count": count})


async def forget_old(app: web.Application) -> AsyncIterator[None]:
    days = app[keys.SETTINGS].RETENTION_DAYS
    async with running(sweep_hourly(Erasure(app[keys.DATABASE]), days)) if days else nullcontext():
        yield


async def gather_services(app: web.Application, *, timing: Timing) -> None:
    """Gathers what every call needs, once for all calls."""
    settings, http, tools = app[keys.SETTINGS], app[keys.HTTP], app[keys.TOOLS]
    credentials = composition.credentials(settings)
    app[keys.SERVICES] = Services(
        plan=composition.plan(settings, tools, timing), agent=composition.agent(settings),
        account=composition.account(settings), http=http, rest=rest.Calls(http, credentials) if credentials else None,
        tools=tools, opening=partial(briefing.opening, composition.rules(settings)),
        background=app[keys.BACKGROUND], ticker=Ticker(timing.tick_s), breaker=app[keys.BREAKER],
        audience=app[keys.AUDIENCE],
        remember=app[keys.ADMISSION].keep_history, most_messages_per_s=settings.MAX_MESSAGES_PER_S)


async def watch_loop(app: web.Application) -> AsyncIterator[None]:
    async with running(watch_lag(app[keys.METRICS].lag)):
        yield


async def finish_background(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[keys.BACKGROUND].finish(app[keys.STOPPING].left(FINISH_S, then=KEPT_S))


def diary(app: web.Application, queue: DeliveryQueue, outbox: Outbox) -> Diary:
    settings, http = app[keys.SETTINGS], app[keys.WEBHOOKS_HTTP]
    return Diary(
        meetings=Meetings(app[keys.DATABASE]), queue=queue, outbox=outbox, receivers=settings.WEBHOOK_URL,
        rules=composition.rules(settings), email_required=settings.MEETING_EMAIL == "required",
        organizer=settings.ORGANIZER_EMAIL, confirm=settings.CONFIRM_MEETINGS,
        availability=Availability(http, settings.AVAILABILITY_URL, settings.TIMEZONE)
        if settings.AVAILABILITY_URL else None)


async def hang_up(app: web.Application) -> None:
    """Ends the calls that are left. Shutdown.drain (server.py) has ended them before, with a goodbye."""
    ending = Ending.SERVER_KILLED if app[keys.STOPPING].ending else Ending.SERVER_STOPPING
    for call in app[keys.CALLS]:
        call.end(ending)
