"""Log lines: events with their call's id, for people or (LOG_FORMAT=json) for machines.

A line's values go in as one dict, `log.info("call %(call)s closed", {"call": ...})`: as text they stand in the
sentence, as JSON they are fields too. Keys, audio, whole numbers and e-mail addresses are never passed; should one come
all the same, in the text of an exception or from a library, it is taken out here (redaction.py).

No text can forge a line or steer a terminal: a record is one line, and a traceback's lines are set in by INDENT.
Nobody waits for a line to be written (log_queue.py).
"""

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from bridge.log_queue import LogQueue
from bridge.redaction import Redaction, escaped

INDENT = "    "
#: Standard error.
DESCRIPTOR = 2


class Seldom:
    """Lets one line through in so many seconds: what strangers do must not fill the log."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, float("-inf")
        self._left_out = 0

    def passes(self, now: float) -> int | None:
        """How many lines were left out since the last one, or None for another that is; `now`: any clock, seconds."""
        if now < self._next:
            self._left_out += 1
            return None
        left_out, self._left_out, self._next = self._left_out, 0, now + self._seconds
        return left_out


class TextFormatter(logging.Formatter):
    """A line for people, and a traceback below it."""

    def __init__(self, redact: Redaction) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        head = self.formatTime(record, self.datefmt)
        lines = [f"{head} {record.levelname:<7} {escaped(self._redact(message_of(record)))}"]
        lines += [INDENT + escaped(line) for line in self._redact(traceback_of(self, record)).split("\n") if line]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, redact: Redaction = Redaction()) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redact(message_of(record)),
        }
        if isinstance(record.args, dict):
            line.update({str(name): self._value(value) for name, value in record.args.items()})
        if traceback := traceback_of(self, record):
            line["traceback"] = self._redact(traceback)
        return json_escaped(msgspec.json.encode(line).decode())

    def _value(self, value: object) -> object:
        """Numbers stay numbers; everything else is text."""
        return value if value is None or isinstance(value, bool | int | float) else self._redact(encodable(str(value)))


def json_escaped(text: str) -> str:
    """The same JSON, in which a terminal finds nothing to obey: what cannot be printed stands in strings only."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def message_of(record: logging.LogRecord) -> str:
    try:
        return encodable(record.getMessage())
    except Exception:                                # values that do not fit the sentence: no reason to lose the line
        return encodable(str(record.msg))


def traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    exception = formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return encodable("\n".join(filter(None, (exception, stack))))


def encodable(text: str) -> str:
    """Without halves of surrogate pairs, which no encoding of a log takes."""
    return text.encode(errors="backslashreplace").decode()


def set_up(level: str, style: str, secrets: Iterable[str] = ()) -> None:
    """Sends every log line of `level` and above to standard error, as "text" or "json", and no secret with it."""
    redact = Redaction(secrets)
    formatter = JsonFormatter(redact) if style == "json" else TextFormatter(redact)
    logging.basicConfig(level=level, handlers=[LogQueue(formatter, DESCRIPTOR)], force=True)
