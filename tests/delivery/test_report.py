"""What CALL_WEBHOOK_URL is sent of a call that is over."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from bridge.delivery import report
from bridge.records.call_record import Call, CallRecord, Turn
from tests.stage.store import ALICE, DHAKA, NOW


def told(record: CallRecord) -> tuple[dict[str, Any], int]:
    """What is sent, and how long it is."""
    text = report.body(record, [], DHAKA)
    body = json.loads(text)
    Draft202012Validator(report.SCHEMA).validate(body)
    return body, len(text.encode())


def test_a_transcript_that_no_receiver_would_take_is_told_as_far_as_it_goes() -> None:
    turns = [Turn(n, "caller", "words", n, float(n), "ä" * 8_000) for n in range(2_000)]
    body, size = told(CallRecord(Call("CA1", NOW, ALICE, ended_at=NOW + 60, ending="caller hung up"), turns))
    assert report.MOST - 60_000 < size <= report.MOST
    *said, last = body["transcript"]
    assert last["text"] == "the rest is too long for a report" and last["at_ms"] == len(said)
    assert {turn["text"] for turn in said} == {"ä" * 8_000}


def test_a_call_takes_no_less_than_no_time_though_the_clock_was_set_back() -> None:
    body, _ = told(CallRecord(Call("CA1", NOW, ALICE, ended_at=NOW - 3_600, ending="caller hung up"), []))
    assert body["duration_seconds"] == 0 and body["description"] == "A call of 0:00, caller hung up."
