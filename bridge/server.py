"""Runs the application until a signal, and then brings it to its end in order.

1. The first SIGTERM or SIGINT: new calls are sent on to try again, /readyz says 503, and the calls under way go on for
   DRAIN_S. Those that are left then hear a goodbye. What was promised is written down and delivered as far as there is
   time, and the process exits with 0. Without calls all of it is done at once.
2. A second signal ends the calls now, and what is quick is still done. A third one is not handled.
3. DRAIN_S + MARGIN_S after the first signal, KILL_S after the second, the process exits, whatever goes on in it: with
   the usual DRAIN_S before Heroku kills it, which is 30 s after the signal.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong
from sqlalchemy import URL

from bridge import __version__, keys, log, log_queue
from bridge.app import create_app
from bridge.console.answers import HEADERS
from bridge.loop.event_loop import event_loop, spare_the_collector
from bridge.reception import strangers
from bridge.reception.door import Visitor
from bridge.records.database import DatabaseUnavailable
from bridge.recordings.shelf import is_store
from bridge.records.endings import Ending
from bridge.settings import Settings

#: How long a goodbye may take, seconds; and a call that ends without one.
GOODBYE_S, HANG_UP_S = 6.2, 0.5
#: From the end of DRAIN_S, and from a second signal, to an exit that is forced, seconds; FORCE_S before that everything
#: should be over. What the goodbyes leave of it is for records and deliveries.
MARGIN_S, KILL_S, FORCE_S = 7.7, 2.5, 0.2
#: How long a request that is not a call's may keep the server from closing, seconds.
REQUEST_S = 0.5
#: Open files besides connections: the database, what listens, webhooks that are being delivered.
OTHER_FILES = 150
#: How often it is looked whether the calls are over, seconds.
LOOK_S = 0.02
#: Platforms whose disk is gone with the process, by the variable that tells of them.
PASSING_DISKS = {"DYNO": "Heroku", "K_SERVICE": "Cloud Run"}
#: What a request may look like: Twilio's longest line is the query of a webhook by GET, and proxies add some headers.
LIMITS: dict[str, Any] = {
    "max_line_size": 8190, "max_field_size": 4096, "max_headers": 64, "auto_decompress": False}
#: How long what is left of a refused body is read, seconds; then the connection is closed.
LINGER_S = 1.0
#: Longer than Heroku's router keeps a connection (90 s), so that it never uses one that was just closed, seconds.
KEEPALIVE_S = 95

logger = logging.getLogger(__name__)


def serve(settings: Settings, doubts: Sequence[str] = ()) -> int:
    """Serves until it is told to stop; the process's exit code. `doubts`: what is to be said first."""
    log.set_up(settings.LOG_LEVEL, settings.LOG_FORMAT, settings.secrets)
    for doubt in doubts:
        logger.warning("%s", doubt)
    problem = _served(settings)
    log_queue.flush()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def _served(settings: Settings) -> str:
    """Serves; why that cannot be, or "" when it is over."""
    try:
        listening = listen(settings)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else str(error)
        return (f"bridge cannot listen on HOST={settings.HOST} PORT={settings.PORT}: {problem}. "
                "Set PORT to one that no other program uses, and HOST to an address of this machine.")
    raise_open_files(settings.MAX_CALLS, recorded=settings.RECORD != "0")
    warn_if_passing(settings.DATABASE_URL, os.environ)
    warn_if_recordings_pass(settings, os.environ)
    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(run(settings, listening))
    except DatabaseUnavailable as problem:
        return f"bridge cannot start: {problem}"
    except KeyboardInterrupt:                        # where the event loop knows no signals
        pass
    return ""


def listen(settings: Settings) -> socket.socket:
    """The socket calls come in through. Raises OSError."""
    ipv6 = ":" in settings.HOST
    return socket.create_server(
        (settings.HOST, settings.PORT), family=socket.AF_INET6 if ipv6 else socket.AF_INET,
        dualstack_ipv6=ipv6 and socket.has_dualstack_ipv6())


def warn_if_passing(database_url: URL, environ: Mapping[str, str]) -> None:
    """Where the platform forgets the disk, at every deploy and once a day."""
    platform = next((name for variable, name in PASSING_DISKS.items() if variable in environ), None)
    if platform and database_url.get_backend_name() == "sqlite":
        logger.warning(
            "MEETINGS ARE FORGOTTEN: %(platform)s keeps no file over a restart, and they are in the file %(path)s. "
            "Set DATABASE_URL to a PostgreSQL database; on Heroku `heroku addons:create heroku-postgresql` does it.",
            {"platform": platform, "path": database_url.database})


def warn_if_recordings_pass(settings: Settings, environ: Mapping[str, str]) -> None:
    """The same for recordings."""
    platform = next((name for variable, name in PASSING_DISKS.items() if variable in environ), None)
    if platform and settings.RECORD != "0" and not is_store(settings.RECORDINGS):
        logger.warning(
            "RECORDINGS ARE LOST: %(platform)s keeps no file over a restart, and they go to the folder %(folder)s. Set "
            "RECORDINGS to an object store, such as s3://bucket/folder.",
            {"platform": platform, "folder": settings.RECORDINGS})


def raise_open_files(most_calls: int, *, recorded: bool = False) -> None:
    """As far as the system lets us; and a warning where that is not enough for so many calls, and strangers besides.

    Each connection is a file, and a call has two. A call that is recorded has three. What a shell or systemd begins
    with, 1,024, is meant for programs that use select(2).
    """
    if sys.platform == "win32":
        return
    import resource                                  # Windows has none, and no such limit
    needed = (3 if recorded else 2) * most_calls + strangers.MOST + OTHER_FILES
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    # macOS refuses more than the kernel has, infinity included.
    for wanted in (most, needed):
        if wanted > limit:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
                break
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < needed:
        logger.warning(
            "%(limit)d files may be open at once, and %(needed)d may be needed: %(each)d for each of "
            "MAX_CALLS=%(calls)d, and strangers' connections. Raise the limit: ulimit -n %(needed)d, or LimitNOFILE= "
            "of systemd.",
            {"limit": limit, "needed": needed, "each": 3 if recorded else 2, "calls": most_calls})


async def run(settings: Settings, listening: socket.socket) -> None:
    """Serves until the signals say otherwise. Raises DatabaseUnavailable."""
    app = create_app(settings)
    shutdown = Shutdown(app)
    async with serving(app, listening):
        spare_the_collector()
        announce(settings, listening)
        await shutdown.told.wait()
        await shutdown.drain()


@asynccontextmanager
async def serving(app: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    """Lets an application answer, behind its door; cleans it up at the end. Raises DatabaseUnavailable."""
    runner = web.AppRunner(app, shutdown_timeout=REQUEST_S)
    try:
        await runner.setup()
        assert runner.server
        server = await asyncio.get_running_loop().create_server(
            partial(Connection, runner.server, app), sock=listening)
        try:
            yield
        finally:
            server.close()
    finally:
        await runner.cleanup()


class Connection(Visitor):
    """A connection within the server's limits."""

    __slots__ = ("_app",)

    def __init__(self, server: web.Server, app: web.Application) -> None:
        super().__init__(
            server, app[keys.DOOR], access_log=None, keepalive_timeout=KEEPALIVE_S, tcp_keepalive=False,
            lingering_time=LINGER_S, **LIMITS)
        self._app = app

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None,
    ) -> web.StreamResponse:
        """What is answered without the application: above all what is no HTTP, a stranger's mistake and no fault."""
        if isinstance(exc, HttpProcessingError) and not request.writer.output_size:
            self._tell_malformed(exc)
            response: web.StreamResponse = web.Response(status=status, text="This is no request that can be read.\n")
            response.force_close()
        else:
            response = super().handle_error(request, status, exc, message)
        response.headers.update(HEADERS)
        return response

    def _tell_malformed(self, error: HttpProcessingError) -> None:
        self._app[keys.METRICS].malformed()
        left_out = self._app[keys.MALFORMED].passes(time.monotonic())
        if left_out is not None:
            logger.warning(
                "a request could not be read, and was answered 400: %(problem)s (%(left_out)d more since the last such "
                "line)", {"problem": problem_of(error), "left_out": left_out})


def problem_of(error: HttpProcessingError) -> str:
    """What is wrong with a request, without what stands in it."""
    if isinstance(error, LineTooLong):
        return "a line or a header is too long"
    if isinstance(error, InvalidURLError):
        return "its address is none"
    return error.message.partition("\n")[0].rstrip(":")[:80]


def announce(settings: Settings, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    logger.info(
        "bridge %s listens on %s port %s; Twilio's voice URL is %s/incoming-call",
        __version__, host, port, settings.PUBLIC_URL or "https://<your host>")


class Shutdown:
    """How the server ends: what the signals ask for, and what becomes of the calls."""

    def __init__(self, app: web.Application) -> None:
        self._app, self._calls, self._stopping = app, app[keys.CALLS], app[keys.STOPPING]
        self._drain_s = app[keys.SETTINGS].DRAIN_S
        self.told, self._at_once = asyncio.Event(), False
        self._loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):      # on Windows
                self._loop.add_signal_handler(each, self._signalled)

    def _signalled(self) -> None:
        if not self.told.is_set():
            self._stopping.draining = True
            self._exit_within(self._drain_s + MARGIN_S)
            self.told.set()
            return
        logger.warning("told to stop once more: %d calls are cut off", len(self._calls))
        self._exit_within(KILL_S)
        self._at_once = True
        for each in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(each)

    def _exit_within(self, seconds: float) -> None:
        """Sets when the process ends at the latest. A thread sees to it: a loop that hangs could not."""
        self._stopping.deadline = min(self._stopping.deadline, time.monotonic() + seconds - FORCE_S)
        timer = threading.Timer(seconds, force_exit)
        timer.daemon = True
        timer.start()

    async def drain(self) -> None:
        """Until no call is left, or no more can be done for those that are."""
        if self._is_busy():
            logger.info("stopping: %d calls may go on for %d s", len(self._calls), self._drain_s)
        await self._wait(self._drain_s, self._is_busy)
        self._stopping.ending = True
        if not self._at_once:
            self._end(Ending.SERVER_STOPPING)
            await self._wait(GOODBYE_S, self._has_calls)
        self._end(Ending.SERVER_KILLED)
        await wait_while(self._has_calls, HANG_UP_S)
        if not self._app[keys.POLICY].ends_by_rest:
            await self._wait(HANG_UP_S, self._app[keys.ADMISSION].expects_question)

    async def _wait(self, seconds: float, busy: Callable[[], bool]) -> None:
        """A second signal ends it."""
        await wait_while(lambda: busy() and not self._at_once, seconds)

    def _is_busy(self) -> bool:
        return self._has_calls() or self._app[keys.ADMISSION].expects_stream()

    def _has_calls(self) -> bool:
        return bool(self._calls)

    def _end(self, ending: Ending) -> None:
        for call in self._calls:
            call.end(ending)


async def wait_while(busy: Callable[[], bool], seconds: float) -> None:
    """For so many seconds at most."""
    until = time.monotonic() + seconds
    while busy() and time.monotonic() < until:
        await asyncio.sleep(LOOK_S)


def force_exit() -> None:
    """Ends the process, and says so if that can be said: who does not read our log, or holds its lock, keeps nobody."""
    def say() -> None:
        logger.error("the server did not end in time, and is cut off")
        log_queue.flush(FORCE_S)
    saying = threading.Thread(target=say, daemon=True)
    saying.start()
    saying.join(FORCE_S / 2)
    os._exit(0)
