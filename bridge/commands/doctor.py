"""`python -m bridge doctor`: why calls fail, in fifteen seconds. Exit code 0; 1: warnings; 2: a call would fail."""

import argparse
import asyncio
import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge import composition
from bridge.commands.number import phone_number
from bridge.doctor import calling
from bridge.doctor.examination import Surroundings, examine, settings_unread
from bridge.doctor.finding import Finding, Report, ordered
from bridge.settings import BadSettings, Settings, load, oddities
from bridge.twilio_side.account import Account


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("doctor", help="find out why calls fail, or would, and what to do")
    parser.add_argument("--json", action="store_true", help="for machines: see bridge/doctor/README.md")
    parser.add_argument("--receiver", action="store_true", help="send each webhook one booking, marked as a test")
    parser.add_argument("--call", metavar="+1555...", type=phone_number,
                        help="have Twilio call this number and say a sentence, for some cents; asks first")
    parser.add_argument("--yes", action="store_true", help="do not ask before a call")


def run(options: argparse.Namespace, around: Surroundings = Surroundings()) -> int:
    """Looks, and tells; the exit code."""
    logging.getLogger().addHandler(logging.NullHandler())        # what the log would say of a failure is a finding
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")     # a terminal that knows no → is no reason to stop
    dotenv = Path(".env")
    try:
        settings = load(os.environ, dotenv)
    except BadSettings as problems:
        return _told(settings_unread(str(problems), around.clock()), options.json)
    if options.call and not options.yes and not _agreed(options.call):
        print("Nobody was called, and nothing was looked at. To be called without being asked: --yes", file=sys.stderr)
        return 2
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Daemons())
        report = runner.run(_examined(settings, oddities(settings, os.environ, dotenv), options, around))
        return _told(report, options.json)


async def _examined(
    settings: Settings, odd: list[str], options: argparse.Namespace, around: Surroundings,
) -> Report:
    """The call comes first: if it was one to our own number, its traces prove the way in."""
    calls, begun = [await _call(settings, options.call)] if options.call else [], time.monotonic()
    report = await examine(settings, odd, receiver=options.receiver, around=around)
    return replace(report, findings=ordered([*report.findings, *calls]), took_s=time.monotonic() - begun)


async def _call(settings: Settings, number: str) -> Finding:
    credentials = composition.credentials(settings)
    if credentials is None:
        return Finding("call", "failure", "Twilio can call nobody without TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
                       "Set both.", subject=number)
    return await calling.called(Account(credentials), number)


def _agreed(number: str) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"Twilio is to call {number} and say a sentence, which costs some cents. Go on? (yes/no) ",
          end="", flush=True, file=sys.stderr)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _told(report: Report, as_json: bool) -> int:
    print(json.dumps(report.as_json(), indent=2) if as_json else "\n".join(report.lines()), flush=True)
    return report.exit_code


class _Daemons(ThreadPoolExecutor):
    """A thread for each piece of work, and nobody waits for one at the end: a name server that does not answer keeps a
    thread for longer than an owner should wait."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as problem:
                future.set_exception(problem)
            else:
                future.set_result(result)
        threading.Thread(target=do, daemon=True).start()
        return future
