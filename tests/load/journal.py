"""What the server's log says, one JSON object a line (LOG_FORMAT=json): how calls ended, and what must not stand there.

Pure. A log line with a traceback, one of asyncio's own (a task's exception that nobody took, a socket that nobody
closed), and whatever else reached standard error as plain text, are all exceptions that nobody handled.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: Loggers of the libraries: they complain only where the server should have handled something.
_LIBRARIES = ("asyncio", "aiohttp")


@dataclass
class Journal:
    """`reasons`: how each call ended, by its CallSid; `closed`: how often it was said to be closed."""

    reasons: dict[str, str] = field(default_factory=dict)
    closed: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    unhandled: list[str] = field(default_factory=list)


def read(lines: Iterable[str]) -> Journal:
    journal = Journal()
    for line in lines:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            _take(journal, entry, line)
        else:
            journal.unhandled.append(line)
    return journal


def _take(journal: Journal, entry: dict[str, Any], line: str) -> None:
    level, logger = str(entry.get("level")), str(entry.get("logger"))
    journal.levels[level] += 1
    if "traceback" in entry or level == "CRITICAL" or (
            logger.startswith(_LIBRARIES) and level in ("WARNING", "ERROR")):
        journal.unhandled.append(line)
    call, reason = entry.get("call"), entry.get("reason")
    if isinstance(call, str) and isinstance(reason, str) and " closed after " in str(entry.get("message")):
        journal.reasons[call] = reason
        journal.closed[call] += 1
