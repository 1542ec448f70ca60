"""Runs the application until a signal, and then ends it in order.

1. After the first SIGTERM, SIGINT or SIGHUP, new calls are told to try again, /readyz says 503, and the calls under way
   go on for DRAIN_S. The calls that are left hear a goodbye. Promises are written down, and delivered as far as time
   allows. The process exits with 0. Without calls it exits at once.
2. A second SIGTERM or SIGINT ends the calls now. What takes little time is still done. A third signal is not handled.
3. The process exits in any case DRAIN_S + MARGIN_S after the first signal, or KILL_S after the second. With the
   standard DRAIN_S that is before Heroku kills it, 30 s after the signal.
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
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong
from sqlalchemy import URL

from bridge import introduction, keys, log, log_queue
from bridge.app import create_app
from bridge.console.answers import HEADERS
from bridge.loop.event_loop import event_loop, spare_the_collector
from bridge.reception import strangers
from bridge.reception.door import Visitor
from bridge.records.database import DatabaseUnavailable
from bridge.recordings.shelf import is_store
from bridge.records.endings import Ending
from bridge.settings import Settings

#: How long a call may take to end with a goodbye, and without one, in seconds.
GOODBYE_S, HANG_UP_S = 6.2, 0.5
#: The time until the process is forced to exit, from the end of DRAIN_S and from a second signal, in seconds. The
#: goodbyes use part of it, records and deliveries the rest. Everything should be over FORCE_S before.
MARGIN_S, KILL_S, FORCE_S = 7.7, 2.5, 0.2
#: How long a request that is not part of a call may keep the server from closing, in seconds.
REQUEST_S = 0.5
#: The open files besides connections: the database, the listening socket, webhooks under way.
OTHER_FILES = 150
#: How often the server checks whether the calls are over, in seconds.
LOOK_S = 0.02
#: Platforms that delete the disk with the process, by the environment variable that gives them away.
PASSING_DISKS = {"DYNO": "Heroku", "K_SERVICE": "Cloud Run"}
#: The limits of a request's head, in bytes and headers. Twilio's longest line is the query of a webhook by GET, and
#: proxies add some headers.
LIMITS: dict[str, Any] = {
    "max_line_size": 8190, "max_field_size": 4096, "max_headers": 64, "auto_decompress": False}
#: How long the rest of a refused body is read before the connection is closed, in seconds.
LINGER_S = 1.0
#: How long an idle connection is kept, in seconds. Heroku's router keeps one for 90 s and must close it first.
KEEPALIVE_S = 95

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """The server, for what runs beside it: where it can be asked, how it learns the address that Twilio knows.

    `told`: it was told to stop; `over`: its last call has ended.
    """

    address: str
    take_address: Callable[[str], None]
    told: asyncio.Event
    over: asyncio.Event


#: Runs beside the server until that is over; why the server must end, or "".
Beside = Callable[[Served], Coroutine[Any, Any, str]]


def serve(settings: Settings, doubts: Sequence[str] = (), beside: Beside | None = None) -> int:
    """Serves until it is told to stop; the process's exit code. `doubts`: what is to be said first."""
    log.set_up(settings.LOG_LEVEL, settings.LOG_FORMAT, settings.secrets)
    for doubt in doubts:
        logger.warning("%s", doubt)
    problem = _served(settings, beside)
    log_queue.flush()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def _served(settings: Settings, beside: Beside | None) -> str:
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
            return runner.run(run(settings, listening, beside))
    except DatabaseUnavailable as problem:
        return f"bridge cannot start: {problem}"
    except KeyboardInterrupt:                        # Windows, whose event loop handles no signals
        pass
    return ""


def listen(settings: Settings) -> socket.socket:
    """The socket on which calls come in. Raises OSError if the address cannot be used."""
    ipv6 = ":" in settings.HOST
    return socket.create_server(
        (settings.HOST, settings.PORT), family=socket.AF_INET6 if ipv6 else socket.AF_INET,
        dualstack_ipv6=ipv6 and socket.has_dualstack_ipv6())


def warn_if_passing(database_url: URL, environ: Mapping[str, str]) -> None:
    """Warns about a SQLite file on a platform that deletes the disk at every deploy and restart."""
    platform = next((name for variable, name in PASSING_DISKS.items() if variable in environ), None)
    if platform and database_url.get_backend_name() == "sqlite":
        logger.warning(
            "MEETINGS ARE FORGOTTEN: %(platform)s keeps no file over a restart, and they are in the file %(path)s. "
            "Set DATABASE_URL to a PostgreSQL database. On Heroku `heroku addons:create heroku-postgresql` does it.",
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
    # macOS refuses a limit above the kernel's, so also infinity.
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


async def run(settings: Settings, listening: socket.socket, beside: Beside | None = None) -> str:
    """Serves until the signals say otherwise, or what runs beside it: then why. Raises DatabaseUnavailable."""
    app = create_app(settings)
    shutdown = Shutdown(app)
    async with serving(app, listening):
        spare_the_collector()
        announce(settings, listening, tunnel=beside is not None)
        over = asyncio.Event()
        companion = asyncio.create_task((beside or _nothing)(Served(
            reachable_at(listening), partial(setattr, app[keys.POLICY].keys.public, "value"), shutdown.told, over)))
        companion.add_done_callback(lambda _: shutdown.stop())
        await shutdown.told.wait()
        await shutdown.drain()
        over.set()
        return await companion


async def _nothing(served: Served) -> str:
    await served.told.wait()
    return ""


def reachable_at(listening: socket.socket) -> str:
    """An address of this machine by which a neighbour reaches the server."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


@asynccontextmanager
async def serving(app: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    """Serves an application on a socket while it is entered, and cleans it up. Raises DatabaseUnavailable."""
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
        """Answers what the application cannot. Malformed HTTP is a stranger's mistake and logs no traceback."""
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
    """What is wrong with a request, without its content."""
    if isinstance(error, LineTooLong):
        return "a line or a header is too long"
    if isinstance(error, InvalidURLError):
        return "its address is none"
    return error.message.partition("\n")[0].rstrip(":")[:80]


def announce(settings: Settings, listening: socket.socket, *, tunnel: bool) -> None:
    host, port = listening.getsockname()[:2]
    for line in introduction.lines(settings, host, port, tunnel=tunnel):
        logger.info("%s", line)


class Shutdown:
    """Ends the server as the signals ask: `told` is set by the first one, and `drain` then ends the calls."""

    def __init__(self, app: web.Application) -> None:
        self._app, self._calls, self._stopping = app, app[keys.CALLS], app[keys.STOPPING]
        self._drain_s = app[keys.SETTINGS].DRAIN_S
        self.told, self._at_once = asyncio.Event(), False
        self._loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError):      # on Windows
                self._loop.add_signal_handler(each, self._signalled)
        # A terminal that is closed says it once or twice. After `nohup` it says nothing.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._loop.add_signal_handler(signal.SIGHUP, self.stop)

    def stop(self) -> None:
        """The first signal's meaning."""
        if not self.told.is_set():
            self._stopping.draining = True
            self._exit_within(self._drain_s + MARGIN_S)
            self.told.set()

    def _signalled(self) -> None:
        if not self.told.is_set():
            self.stop()
            return
        logger.warning("a second signal to stop: %d calls are cut off", len(self._calls))
        self._exit_within(KILL_S)
        self._at_once = True
        for each in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(each)

    def _exit_within(self, seconds: float) -> None:
        """Sets when the process ends at the latest. A thread does it, because a loop that hangs could not."""
        self._stopping.deadline = min(self._stopping.deadline, time.monotonic() + seconds - FORCE_S)
        timer = threading.Timer(seconds, force_exit)
        timer.daemon = True
        timer.start()

    async def drain(self) -> None:
        """Waits for the calls, then ends them. Returns when no call is left, or the time is over."""
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
        """Waits like wait_while. A second signal ends the wait."""
        await wait_while(lambda: busy() and not self._at_once, seconds)

    def _is_busy(self) -> bool:
        return self._has_calls() or self._app[keys.ADMISSION].expects_stream()

    def _has_calls(self) -> bool:
        return bool(self._calls)

    def _end(self, ending: Ending) -> None:
        for call in self._calls:
            call.end(ending)


async def wait_while(busy: Callable[[], bool], seconds: float) -> None:
    """Waits while `busy`, for `seconds` at most."""
    until = time.monotonic() + seconds
    while busy() and time.monotonic() < until:
        await asyncio.sleep(LOOK_S)


def force_exit() -> None:
    """Ends the process, and logs it if it can. A full log, or its lock in another thread, does not prevent the end."""
    def say() -> None:
        logger.error("the server did not end in time, and is cut off")
        log_queue.flush(FORCE_S)
    saying = threading.Thread(target=say, daemon=True)
    saying.start()
    saying.join(FORCE_S / 2)
    os._exit(0)
