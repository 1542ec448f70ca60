"""The parts that decide and translate know no clock, no socket and no event loop; the simulators know none of us."""

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SIM = ROOT / "bridge" / "sim"


def loaded_by(*modules: str) -> set[str]:
    """The modules that a fresh interpreter holds after these imports."""
    program = f"import {', '.join(modules)}\nimport json, sys\nprint(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")})
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", [
    "bridge.twilio_side.media_streams",
    "bridge.reception.blocklist",
    "bridge.twilio_side.caller",
    "bridge.twilio_side.recording",
    "bridge.reception.token",
    "bridge.twilio_side.twiml",
    "bridge.reception.strangers",
    "bridge.openai_side.realtime",
    "bridge.doctor.finding",
    "bridge.openai_side.prompt",
    "bridge.openai_side.backoff",
    "bridge.openai_side.models",
    "bridge.openai_side.breaker",
    "bridge.openai_side.errors",
    "bridge.openai_side.pulse",
    "bridge.openai_side.prices",
    "bridge.reading",
    "bridge.call.entrance",
    "bridge.call.events",
    "bridge.call.outcome",
    "bridge.call.playback",
    "bridge.call.tape",
    "bridge.call.consent",
    "bridge.recordings.wav",
    "bridge.call.dialogue",
    "bridge.commands.listing",
    "bridge.meetings.schedule",
    "bridge.tools.briefing",
    "bridge.tools.hand_over",
    "bridge.tools.tool",
    "bridge.meetings.closed_days",
    "bridge.meetings.event",
    "bridge.meetings.message",
    "bridge.meetings.calendar",
    "bridge.delivery.answer",
    "bridge.delivery.retries",
    "bridge.delivery.statuses",
    "bridge.calendars.busy",
    "bridge.meetings.tidy",
    "bridge.meetings.details",
    "bridge.tools.proposal",
    "bridge.addresses",
    "bridge.folding",
    "bridge.records.endings",
    "bridge.redaction",
])
def test_it_needs_no_event_loop_and_no_network(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert not loaded & {"asyncio", "aiohttp", "socket", "ssl", "dotenv", "bridge.settings"}


def test_the_simulators_share_no_code_with_what_they_test() -> None:
    names = [module.name for module in pkgutil.walk_packages([str(SIM)], "bridge.sim.")]
    with_server = ("bridge.sim.demo", "bridge.sim.rehearsal")
    theirs = [name for name in names if not name.startswith(with_server)]
    assert {"bridge.sim.phone", "bridge.sim.realtime"} <= set(theirs)
    ours = {name for name in loaded_by(*theirs) if name.startswith("bridge.") and not name.startswith("bridge.sim")}
    assert ours == set()
