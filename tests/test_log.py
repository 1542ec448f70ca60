"""Log lines for people and for machines."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge import log

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


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, error = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in error.splitlines()]


def test_a_line_for_machines_says_when_where_how_bad_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logger.info("%d calls", 3)
    [line] = written(capsys)
    assert line.keys() == {"time", "level", "logger", "message"}
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "bridge.test", "3 calls")
    age = datetime.now(UTC) - datetime.fromisoformat(line["time"])
    assert age.days == 0


def test_the_values_of_a_line_are_fields_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logger.info("call %(call)s closed: %(reason)s", {"call": "CA1", "reason": "caller hung up", "first_audio_ms": None})
    [line] = written(capsys)
    assert line["message"] == "call CA1 closed: caller hung up"
    assert (line["call"], line["reason"], line["first_audio_ms"]) == ("CA1", "caller hung up", None)


def test_a_value_that_is_no_json_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    logger.info("%(zone)s %(error)s", {"zone": ZoneInfo("Asia/Dhaka"), "error": KeyError("x")})
    [line] = written(capsys)
    assert (line["zone"], line["error"]) == ("Asia/Dhaka", "'x'")


def test_a_traceback_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("failed")
    [line] = written(capsys)
    assert line["level"] == "ERROR"
    assert "ValueError: two\nlines" in line["traceback"]


@pytest.mark.parametrize("text", ['quote " and \\', "two\nlines\r\x00\x1b[31m", "Grüße, 世界 🙂", "\u2028"])
def test_no_text_breaks_out_of_its_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    log.set_up("INFO", "json")
    logger.info("said: %s", text)
    out, error = capsys.readouterr()
    assert error.count("\n") == 1
    assert json.loads(error)["message"] == f"said: {text}"


def test_a_line_for_people_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "text")
    logger.warning("call %(call)s closed", {"call": "CA1"})
    _, error = capsys.readouterr()
    assert error.endswith(" WARNING call CA1 closed\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str], style: str) -> None:
    log.set_up("WARNING", style)
    logger.info("nobody asked")
    logger.warning("look")
    _, error = capsys.readouterr()
    assert "nobody asked" not in error and "look" in error


def test_setting_up_twice_does_not_write_twice(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "text")
    log.set_up("INFO", "json")
    logger.info("once")
    assert len(written(capsys)) == 1


def test_what_strangers_do_again_and_again_is_one_line_a_minute() -> None:
    seldom = log.Seldom(60.0)
    assert [seldom.passes(now) for now in (0.0, 1.0, 59.0, 61.0, 62.0, 200.0)] == [0, None, None, 2, None, 1]
