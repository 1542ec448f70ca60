"""The soak's own judgement: what it plans, what it allows, and what it notices."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.sim.faults import FAULTS
from tests.load.audio import REPLY, Ear, Losses, Tally, Voice
from tests.load.calls import Call
from tests.load.faults import DO, Outcome, by_name, hushes, plan
from tests.load.model import Switchboard
from tests.load.phone import Hush
from tests.load.server import connections, descriptors, read
from tests.load.stage import Stage
from tests.load.table import trend
from tests.load.wire import Dialled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

ROOT = Path(__file__).parents[2]
ALL = [*DO]


# ---- what is planned

def test_a_tenth_of_the_calls_each_minute() -> None:
    planned = plan(1, ALL, calls=100, share=0.1, minutes=10)
    each_minute = [sum(minute * 60 <= fault.at_s < minute * 60 + 60 for fault in planned) for minute in range(10)]
    assert each_minute == [10] * 10


def test_the_same_seed_plans_the_same_and_another_seed_something_else() -> None:
    assert plan(7, ALL, 100, 0.1, 10) == plan(7, ALL, 100, 0.1, 10)
    assert plan(7, ALL, 100, 0.1, 10) != plan(8, ALL, 100, 0.1, 10)


def test_even_the_shortest_run_has_a_fault() -> None:
    assert len(plan(1, ALL, calls=1, share=0.1, minutes=0.1)) == 1


def test_in_a_long_run_every_kind_happens_and_each_can_be_done() -> None:
    assert {fault.name for fault in plan(1, ALL, 100, 0.1, 10)} == DO.keys()
    assert DO.keys() <= FAULTS.keys()


# ---- what may be

@pytest.mark.parametrize(("name", "ending", "documented"), [
    ("model-drop", "went on", True), ("model-drop", "fallback", True),
    ("model-drop", "abrupt", False), ("model-drop", "silence", False),
    ("phone-gap", "fallback", False), ("webhook-repeated", "fallback", False), ("phone-drop", "went on", True),
])
def test_only_what_is_documented_may_become_of_a_fault(name: str, ending: Any, documented: bool) -> None:
    assert Outcome(name, "CA1", ending, 1.0, 0.5).documented is documented


def test_nobody_may_be_left_in_silence_while_the_server_could_speak() -> None:
    assert not Outcome("model-drop", "CA1", "went on", 5.0, 3.1).documented
    assert Outcome("phone-deaf", "CA1", "fallback", 20.0, 15.0).documented


def test_outcomes_are_counted_by_name_with_the_servers_reasons() -> None:
    outcomes = [
        Outcome("model-drop", "CA1", "fallback", 7.0, 0.2),
        Outcome("model-drop", "CA2", "went on", 1.0, 4.0),
        Outcome("phone-gap", "CA3", "went on", 4.0, 0.0)]
    found = by_name(outcomes, {"CA1": "model lost", "CA9": "caller hung up"})
    assert found.keys() == {"model-drop", "phone-gap"}
    drop = found["model-drop"]
    assert (drop["count"], drop["went on"], drop["fallback"], drop["too_long_silent"]) == (2, 1, 1, 1)
    assert drop["reasons"] == {"model lost": 1}
    assert drop["quiet"]["max_ms"] == 4000


def test_the_silence_is_taken_of_breaks_after_which_the_model_is_back_at_once() -> None:
    found = hushes([
        Outcome("model-drop", "CA1", "went on", 1.0, 0.5, Hush(0.0, 0, sound_s=0.25, words_s=0.5, back_s=0.75)),
        Outcome("model-drop", "CA2", "silence", 60.0, 60.0, Hush(0.0, 0)),
        Outcome("rate-limit", "CA3", "went on", 4.0, 3.0, Hush(0.0, 0, sound_s=3.0, words_s=3.0, back_s=3.0))])
    assert [found[name]["max_ms"] for name in ("to_sound", "to_words", "break_to_words")] == [250, 500, 750]
    assert found["to_sound"]["count"] == 1


# ---- what the caller hears of a break

def test_the_silence_begins_where_the_sound_before_the_break_ends() -> None:
    hush = Hush(since=10.0, first_word=5)
    hush.heard(4, 10.1, playing_until=10.3)          # it was on its way before the break
    hush.heard(5, 11.0, playing_until=10.55)
    assert (hush.sound_s, hush.words_s) == pytest.approx((0.45, 0.45))


def test_a_clip_ends_the_silence_and_the_words_are_still_awaited() -> None:
    hush = Hush(since=10.0, first_word=5)
    hush.heard(None, 11.0, playing_until=9.0)
    hush.heard(5, 12.5, playing_until=12.0)
    hush.heard(6, 12.75, playing_until=12.75)
    assert (hush.sound_s, hush.words_s, hush.back_s) == pytest.approx((1.0, 2.5, 2.5))


def test_words_that_come_in_time_leave_no_silence() -> None:
    hush = Hush(since=10.0, first_word=5)
    hush.heard(5, 10.2, playing_until=10.4)
    assert (hush.sound_s, hush.words_s) == (0.0, 0.0)


# ---- two accounts of one call

def test_what_a_fault_swallows_is_not_charged_to_the_time_after_it() -> None:
    during, after = Tally(), Tally()
    voice = Voice(REPLY, 0)
    pieces = [b'{"delta":"%s}' % voice.say(float(moment)) for moment in range(8)]
    ear = Ear(REPLY, [voice], during, [])
    for piece in 0, 3:
        ear.hear(pieces[piece], 9.0)
    assert ear.skipped == 2
    ear.renew(after)
    assert not ear.heard_since(0.0) and ear.outstanding == 0
    ear.hear(pieces[6], 9.0)
    assert ear.skipped == 0 and ear.outstanding == 1
    assert ear.heard_since(5.5) and not ear.heard_since(6.0)
    ear.hear(pieces[6], 9.0)
    assert (during.faults, after.faults) == (Losses(), Losses(duplicated=1))


# ---- the second connection of a call

class BridgesEnd(Dialled):
    """The server's end of a connection to the model."""

    def __init__(self) -> None:
        super().__init__("/v1/realtime")
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def received(self, message: bytes) -> None:
        self.events.put_nowait(json.loads(message))

    def tell(self, kind: str, **fields: Any) -> None:
        self.send(json.dumps({"type": kind, **fields}).encode())

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while (event := await self.events.get())["type"] != kind:
                pass
            return event


class ModelsEnd:
    """The model's end of the load, and one call of +15550000000."""

    def __init__(self, port: int, board: Switchboard, call: Call) -> None:
        self._port, self.board, self.call = port, board, call

    async def connect(self, instructions: str = "The caller's number is +15550000000.") -> BridgesEnd:
        _, server = await asyncio.get_running_loop().create_connection(BridgesEnd, "127.0.0.1", self._port)
        await server.opened
        server.tell("session.update", session={"instructions": instructions})
        return server


@pytest.fixture
async def model() -> AsyncIterator[ModelsEnd]:
    stage = Stage(plain=False)
    board = Switchboard(stage)
    call = board.calls["+15550000000"] = Call(stage, "+15550000000")
    listener = await asyncio.get_running_loop().create_server(board.new_model, "127.0.0.1", 0)
    yield ModelsEnd(listener.sockets[0].getsockname()[1], board, call)
    for each in [*board.models]:
        each.transport.abort()
    listener.close()
    await listener.wait_closed()


async def test_a_second_connection_takes_the_replay_and_goes_on_in_the_same_voice(model: ModelsEnd) -> None:
    first = await model.connect()
    first.tell("response.create", response={"metadata": {"request": "1"}})
    begun = await first.until("response.created")
    assert (await first.until("response.output_audio.delta"))["delta"].startswith("REPLY+++0000")
    model.call.models[0].reset()
    await first.closed
    second = await model.connect()
    await second.until("session.updated")
    second.tell("conversation.item.create", item={"id": "item_1", "type": "message", "role": "user", "content": []})
    assert (await second.until("conversation.item.done"))["item"]["id"] == "item_1"
    second.tell("response.create", response={"metadata": {"request": "2"}})
    again = await second.until("response.created")
    assert again["response"]["metadata"] == {"request": "2"}
    assert again["response"]["id"] != begun["response"]["id"]
    piece = int((await second.until("response.output_audio.delta"))["delta"][12:20])
    assert piece == 2                                # the first connection had said two
    second.transport.abort()


async def test_a_connection_that_belongs_to_no_call_is_noticed(model: ModelsEnd) -> None:
    stranger = await model.connect(instructions="Somebody calls.")
    async with asyncio.timeout(5):
        await stranger.closed
    assert model.board.strangers == 1


async def test_an_upgrade_is_refused_during_an_outage(model: ModelsEnd) -> None:
    model.board.refusing_until = float("inf")
    with pytest.raises(ConnectionError, match="503"):
        await model.connect()


async def test_a_failed_response_is_followed_by_nothing_until_another_is_asked_for(model: ModelsEnd) -> None:
    server = await model.connect()
    server.tell("response.create", response={"metadata": {"request": "1"}})
    await server.until("response.created")
    theirs = model.call.models[0]
    theirs.fail_next("failed")
    for _ in range(20):                              # as its beats would come
        theirs._beat()
    failed = await server.until("response.done")
    while failed["response"]["status"] != "failed":
        failed = await server.until("response.done")
    assert not theirs.failing and server.events.empty()
    server.tell("response.create", response={"metadata": {"request": "2"}})
    await asyncio.wait_for(_has(lambda: theirs._metadata is not None), 5)
    theirs._beat()
    assert (await server.until("response.created"))["response"]["metadata"] == {"request": "2"}
    server.transport.abort()


async def _has(what: Any) -> None:
    while not what():
        await asyncio.sleep(0)


# ---- what the server leaves

def test_growth_is_a_slope_after_the_warm_up() -> None:
    samples = [(float(second), 1000.0 + (500 if second < 60 else second)) for second in range(0, 300, 5)]
    found = trend(samples, after_s=60)
    assert found is not None
    assert found.per_minute == pytest.approx(60) and found.fit == pytest.approx(1.0) and found.samples == 48


def test_what_never_changes_does_not_grow_and_two_samples_are_no_trend() -> None:
    flat = trend([(0.0, 7.0), (60.0, 7.0), (120.0, 7.0)], after_s=0)
    assert flat is not None and flat.per_minute == 0
    assert trend([(0.0, 7.0), (60.0, 9.0)], after_s=0) is None


def test_the_log_tells_how_calls_ended_and_whether_something_was_not_handled() -> None:
    closed = {"level": "INFO", "logger": "bridge.call.session", "message": "call CA1 closed after 2.0 s: model lost",
              "call": "CA1", "reason": "model lost"}
    error = {"level": "ERROR", "logger": "bridge.call.session", "message": "the model closed the connection"}
    never = {"level": "ERROR", "logger": "asyncio", "message": "Task exception was never retrieved"}
    raised = {"level": "ERROR", "logger": "bridge", "message": "call CA1 failed", "traceback": "Traceback ..."}
    lost = {"level": "WARNING", "logger": "bridge.call.model_line", "message": "call CA1: the model closed the line",
            "call": "CA1", "reason": "1011"}
    journal = read([*map(json.dumps, (lost, closed, error, never, raised)), "", "Exception ignored in: <Socket>"])
    assert journal.reasons == {"CA1": "model lost"} and journal.closed["CA1"] == 1
    assert journal.unhandled == [json.dumps(never), json.dumps(raised), "Exception ignored in: <Socket>"]


def test_an_open_connection_is_seen_in_proc() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = f"socket:[{os.fstat(listening.fileno()).st_ino}]"
        assert link in descriptors(os.getpid())
        assert connections({link[8:-1]}, os.getpid()) == {"listening": 1}
    assert link not in descriptors(os.getpid())


# ---- the whole, for a short time

def run(tmp_path: Path, *options: str) -> Any:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", *options, "--json", str(figures)],
        cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    runs = json.loads(figures.read_text())["runs"]
    # How fast it is belongs to the benchmark: a test runs beside others.
    wrong = [name for each in runs for name, count in each["faults"].items() if count and name != "slower"]
    assert not wrong, done.stdout + done.stderr
    return runs


@pytest.mark.slow
def test_a_short_soak_ends_as_documented_and_leaves_nothing_behind(tmp_path: Path) -> None:
    kinds = "model-drop,model-closes-1011,response-failed,phone-drop,phone-gap,caller-hangs-up,webhook-repeated"
    [soak] = run(tmp_path, "--soak", "--calls", "4", "--minutes", "0.34", "--share", "6", "--seed", "3",
                 "--kinds", kinds)
    assert not any(soak["faults"].values())
    assert sum(kind["count"] for kind in soak["kinds"].values()) == 8 - soak["postponed"]
    assert soak["streams"] >= 4
    broken = [kind for name, kind in soak["kinds"].items() if name in ("model-drop", "model-closes-1011")]
    assert soak["hushes"]["to_sound"]["count"] >= sum(kind["count"] for kind in broken) > 0
    assert soak["after"]["sockets"] == soak["idle"]["sockets"]
    assert soak["memory"]["trend_kib"]["samples"] > 5
    assert soak["each_minute"][-1]["p99_to_model_ms"] > 0


@pytest.mark.slow
def test_a_stalled_call_is_ended_and_its_neighbours_lose_nothing(tmp_path: Path) -> None:
    phone, model = run(tmp_path, "--stalled", "--calls", "3", "--seconds", "5")
    assert (phone["stalled"], model["stalled"]) == ("phone", "model")
    assert phone["reasons"] == ["phone stalled"]
    for each in phone, model:
        assert all(each[beside]["to_model"]["count"] > 200 for beside in ("alone", "beside"))
        assert each["p99_ratio"]["to_phone"][0] > 0
