"""`python -m bridge demo --fault NAME`: each fault can be rehearsed, and the call ends as it is promised."""

import io
import re
import wave
from pathlib import Path

import pytest

from bridge.__main__ import main
from bridge.sim import rehearsal
from bridge.sim.clock import Clock
from bridge.sim.faults import ENDINGS, FAULTS, REHEARSED
from bridge.sim.phone import Event, Phone, PhoneCall, PhoneError
from bridge.sim.rehearsal import INJECT, clips, ending, rehearse, silence_ms

SLOW = [name for name in REHEARSED if name != "model-refused"]


def test_every_fault_that_can_be_named_can_be_done() -> None:
    assert INJECT.keys() == REHEARSED.keys()
    assert all(fault.endings and set(fault.endings) <= ENDINGS.keys() for fault in FAULTS.values())
    assert all("silence" not in fault.endings and "error" not in fault.endings for fault in FAULTS.values())


def test_the_help_lists_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["demo", "--help"])
    told = capsys.readouterr().out
    assert all(name in told and fault.what in told for name, fault in REHEARSED.items())
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--fault", "earthquake"])


def check(told: str, wav: Path, name: str) -> None:
    assert "PROBLEM" not in told
    assert any(ENDINGS[how] in told for how in REHEARSED[name].endings)
    assert re.search(r"silence after the fault: +\d+\.\d s", told)
    with wave.open(str(wav)) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 8000)


async def test_a_model_that_refuses_the_key_can_be_rehearsed(tmp_path: Path) -> None:
    out, wav = io.StringIO(), tmp_path / "call.wav"
    assert await rehearse("model-refused", wav, fast=True, out=out) == 0
    check(out.getvalue(), wav, "model-refused")
    assert "ERROR: " in out.getvalue() and "1 refused" in out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
async def test_a_fault_can_be_rehearsed(tmp_path: Path, name: str) -> None:
    out, wav = io.StringIO(), tmp_path / "call.wav"
    assert await rehearse(name, wav, fast=True, out=out) == 0, out.getvalue()
    check(out.getvalue(), wav, name)


@pytest.mark.slow
async def test_an_ending_that_is_not_promised_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REHEARSED, "model-refused", REHEARSED["model-refused"]._replace(endings=("went on",)))
    out = io.StringIO()
    assert await rehearse("model-refused", tmp_path / "call.wav", fast=True, out=out) == 1
    assert "PROBLEM: the README promises another ending: went on" in out.getvalue()


# How it is judged

@pytest.fixture
def call() -> PhoneCall:
    phone = Phone("http://127.0.0.1/voice", clock=Clock())
    return PhoneCall(phone, phone._wire, "+15557654321", {})


def test_what_the_caller_heard_decides_how_the_call_ended(call: PhoneCall) -> None:
    assert ending(call, ["still_here"], None) == "silence"
    assert ending(call, ["goodbye", "still_here"], None) == "apology"
    call.spoken.append("I am sorry.")
    assert ending(call, [], None) == "apology"
    call.log.append(Event(1, "Record"))
    assert ending(call, [], None) == "message"
    call.dialled.append("+15550002222")
    assert ending(call, [], None) == "human"
    call._tape.heard += rehearsal.GOODBYE.audio
    assert ending(call, [], None) == "went on"
    assert ending(call, [], PhoneError("11200")) == "error"


@pytest.mark.parametrize("events, silence", [
    ([("speaking", 500), ("played", 2500), ("Say", 2600)], 100),        # Twilio played on for a while
    ([("speaking", 500), ("played", 700), ("speaking", 3000)], 2000),
    ([("speaking", 500), ("played", 2500)], None),
    ([("speaking", 500)], None),
    ([], None),
])
def test_silence_is_counted_from_the_last_sound(
    call: PhoneCall, events: list[tuple[str, float]], silence: float | None,
) -> None:
    call.log += [Event(at, kind) for kind, at in events]
    assert silence_ms(call, 1000) == silence


def test_the_servers_own_recordings_are_known_by_name() -> None:
    assert "goodbye" in clips() and "greeting" not in clips()
