"""Log lines for people and for machines."""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge import log, log_queue
from bridge.redaction import Redaction

logger = logging.getLogger("bridge.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    # pytest's own handlers would be closed by set_up.
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def said(capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What came to standard output and standard error."""
    log_queue.flush()
    return capfd.readouterr()


def written(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, error = said(capfd)
    assert out == ""
    return [json.loads(line) for line in error.splitlines()]


def test_a_line_for_machines_says_when_where_how_bad_and_what(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logger.info("%d calls", 3)
    [line] = written(capfd)
    assert line.keys() == {"time", "level", "logger", "message"}
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "bridge.test", "3 calls")
    age = datetime.now(UTC) - datetime.fromisoformat(line["time"])
    assert age.days == 0


def test_the_values_of_a_line_are_fields_of_their_own(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logger.info("call %(call)s closed: %(reason)s", {"call": "CA1", "reason": "caller hung up", "first_audio_ms": None})
    [line] = written(capfd)
    assert line["message"] == "call CA1 closed: caller hung up"
    assert (line["call"], line["reason"], line["first_audio_ms"]) == ("CA1", "caller hung up", None)


def test_a_value_that_is_no_json_is_written_as_text(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logger.info("%(zone)s %(error)s", {"zone": ZoneInfo("Asia/Dhaka"), "error": KeyError("x")})
    [line] = written(capfd)
    assert (line["zone"], line["error"]) == ("Asia/Dhaka", "'x'")


def test_a_traceback_stays_within_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("failed")
    [line] = written(capfd)
    assert line["level"] == "ERROR"
    assert "ValueError: two\nlines" in line["traceback"]


@pytest.mark.parametrize("text", ['quote " and \\', "two\nlines\r\x00\x1b[31m", "Grüße, 世界 🙂", "\u2028"])
def test_no_text_breaks_out_of_its_line(capfd: pytest.CaptureFixture[str], text: str) -> None:
    log.set_up("INFO", "json")
    logger.info("said: %s", text)
    out, error = said(capfd)
    assert error.count("\n") == 1
    assert json.loads(error)["message"] == f"said: {text}"


def test_a_line_for_people_is_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "text")
    logger.warning("call %(call)s closed", {"call": "CA1"})
    _, error = said(capfd)
    assert error.endswith(" WARNING call CA1 closed\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_is_below_the_level_is_not_written(capfd: pytest.CaptureFixture[str], style: str) -> None:
    log.set_up("WARNING", style)
    logger.info("nobody asked")
    logger.warning("look")
    _, error = said(capfd)
    assert "nobody asked" not in error and "look" in error


def test_setting_up_twice_does_not_write_twice(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "text")
    log.set_up("INFO", "json")
    logger.info("once")
    assert len(written(capfd)) == 1


# ---- who logs does not wait

@dataclass
class Pipe:
    """Standard error that is read, or not, by the test."""

    reader: int
    writer: int

    def fill(self) -> None:
        os.set_blocking(self.writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer, b"." * 4096)
        os.set_blocking(self.writer, True)

    def read(self, until: str) -> list[str]:
        came = b""
        while until.encode() not in came:
            came += os.read(self.reader, 65536)
        return came.decode().lstrip(".").splitlines()

    def leave(self) -> None:
        """Nobody reads it any more."""
        if self.reader >= 0:
            os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    pipe = Pipe(reader, writer)
    yield pipe
    pipe.leave()
    for handler in logging.getLogger().handlers:     # before its descriptor is another file's
        handler.close()
    logging.getLogger().handlers.clear()
    os.close(writer)


def queue(pipe: Pipe, most: int) -> log_queue.LogQueue:
    lines = log_queue.LogQueue(log.TextFormatter(Redaction()), pipe.writer, most)
    logging.basicConfig(level="INFO", handlers=[lines], force=True)
    return lines


def log_until_stuck(lines: log_queue.LogQueue, count: int) -> None:
    """The first line is in the hands of the thread, which cannot write it; the others come then."""
    for number in range(count):
        logger.info("line %d", number)
        while number == 0 and not lines._lines.empty():
            time.sleep(0.001)


def test_where_standard_error_is_not_read_lines_are_left_out_and_counted(pipe: Pipe) -> None:
    pipe.fill()
    lines = queue(pipe, 10)
    log_until_stuck(lines, 100)
    lost = lines.left_out
    assert lost == 100 - 10 - 1
    assert log_queue.left_out() == lost
    kept = [line.rpartition(" ")[2] for line in pipe.read(f"line {100 - lost - 1}")]
    assert kept == [str(number) for number in range(100 - lost)]
    lines.flush()
    logger.info("the last line")
    told, last = pipe.read("the last line")
    assert told.endswith(f"WARNING log lines that could not be written: {lost}") and last.endswith("the last line")
    assert lines.left_out == lost


def test_at_the_end_it_is_told_how_many_lines_were_left_out(pipe: Pipe) -> None:
    pipe.fill()
    lines = queue(pipe, 2)
    log_until_stuck(lines, 10)
    came = pipe.read("line 0")
    lines.close()
    os.write(pipe.writer, b"the end")
    came += pipe.read("the end")
    told = [int(line.rpartition(" ")[2]) for line in came if "log lines that could not be written" in line]
    assert sum(told) == lines.left_out >= 7


def test_the_end_does_not_wait_for_ever(pipe: Pipe) -> None:
    pipe.fill()
    lines = queue(pipe, 10)
    logger.info("nobody will read this")
    lines.flush(0.01)
    lines.close()                                    # nor once more
    pipe.read("nobody will read this")


def test_standard_error_that_is_closed_stops_nothing(pipe: Pipe) -> None:
    lines = queue(pipe, 10)
    pipe.leave()
    for number in range(3):
        logger.info("line %d", number)
    lines.flush()
    assert lines.left_out >= 3


def test_a_line_that_cannot_be_made_is_counted_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    class Nasty:
        def __str__(self) -> str:
            raise RuntimeError("sk-very-secret")
    log.set_up("INFO", "json")
    logger.info("said %(what)s", {"what": Nasty()})
    assert log_queue.left_out() == 1
    logger.info("all is well")
    _, error = said(capfd)
    assert "secret" not in error and "could not be written: 1" in error and "all is well" in error


# ---- what strangers do

def test_what_strangers_do_again_and_again_is_one_line_a_minute() -> None:
    seldom = log.Seldom(60.0)
    assert [seldom.passes(now) for now in (0.0, 1.0, 59.0, 61.0, 62.0, 200.0)] == [0, None, None, 2, None, 1]
