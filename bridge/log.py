"""Log lines: events with their call's id, for people or (LOG_FORMAT=json) for machines.

A line's values are passed as one dict, `log.info("call %(call)s closed", {"call": ...})`. In text they stand in the
sentence. In JSON they are fields too. No caller passes keys, audio, whole numbers or e-mail addresses. If the text of
an exception or a library brings one, redaction.py takes it out.

No text can forge a line or steer a terminal: a record is one line, and the lines of a traceback are indented by INDENT.
A caller never waits for its line to be written (log_queue.py).
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
#: The file descriptor of standard error.
DESCRIPTOR = 2


class Seldom:
    """Lets one line through in so many seconds. Use it where strangers could fill the log."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, float("-inf")
        self._left_out = 0

    def passes(self, now: float) -> int | None:
        """None if this line is to be left out, else how many were left out since the last one.

        `now` is the time of any clock, in seconds.
        """
        if now < self._next:
            self._left_out += 1
            return None
        left_out, self._left_out, self._next = self._left_out, 0, now + self._seconds
        return left_out


class TextFormatter(logging.Formatter):
    """A line for people, and a traceback indented below it."""

    def __init__(self, redact: Redaction) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        head = self.formatTime(record, self.datefmt)
        lines = [f"{head} {record.levelname:<7} {escaped(self._redact(message_of(record)))}"]
        lines += [INDENT + escaped(line) for line in self._redact(traceback_of(self, record)).split("\n") if line]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

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
        """Numbers stay numbers. Everything else becomes text."""
        return value if value is None or isinstance(value, bool | int | float) else self._redact(encodable(str(value)))


def json_escaped(text: str) -> str:
    """The same JSON with unprintable characters escaped, so that no terminal obeys them. They stand in strings only."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def message_of(record: logging.LogRecord) -> str:
    try:
        return encodable(record.getMessage())
    except Exception:                                # the values do not fit the sentence: keep the line without them
        return encodable(str(record.msg))


def traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    exception = formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return encodable("\n".join(filter(None, (exception, stack))))


def encodable(text: str) -> str:
    """The text with lone surrogates escaped, which UTF-8 cannot encode."""
    return text.encode(errors="backslashreplace").decode()


def set_up(level: str, style: str, secrets: Iterable[str] = ()) -> None:
    """Sends every log line of `level` and above to standard error, without `secrets`. `style`: "text" or "json".

    Call it once, when the process starts: it replaces all handlers.
    """
    redact = Redaction(secrets)
    formatter = JsonFormatter(redact) if style == "json" else TextFormatter(redact)
    logging.basicConfig(level=level, handlers=[LogQueue(formatter, DESCRIPTOR)], force=True)
