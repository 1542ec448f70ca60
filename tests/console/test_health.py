"""What monitors are told: whether the server may be given calls and why not, and all its figures."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge import __version__, keys
from bridge.app import create_app
from bridge.call.events import (
    Answered, CallerSaid, Closed, Connected, Fault, Figures, FirstAudio, FunctionReturned, Interrupted, SessionReplaced,
    Spent, TokensUsed,
)
from bridge.console import health
from bridge.console.metrics import Metrics
from bridge.loop.event_loop import watch_lag
from bridge.openai_side.breaker import FAILURES
from bridge.records.database import open_database, parse_url
from bridge.records.deliveries import Depth
from bridge.records.endings import Ending
from bridge.records.meetings import Meetings
from bridge.sim.demo import serving
from bridge.sim.realtime import Call, Turn
from tests.stage.office import line, office, speech
from tests.stage.postgres import Cluster
from tests.stage.settings import make_settings
from tests.stage.store import NOW, make_meeting, news

PASSWORD = "the operator's password"
Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """The operator's monitor."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {PASSWORD}"}) as session:
        yield session


async def readiness(http: aiohttp.ClientSession, origin: str) -> tuple[int, list[str]]:
    async with http.get(f"{origin}/readyz") as answer:
        said = await answer.json()
        assert said["ready"] is (answer.status == 200) is (not said["reasons"])
        return answer.status, said["reasons"]


def samples(text: str) -> dict[Sample, float]:
    """Every value by its name and labels, as Prometheus's own parser reads them."""
    return {(sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


async def scrape(http: aiohttp.ClientSession, origin: str) -> dict[Sample, float]:
    async with http.get(f"{origin}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return samples(await answer.text())


def value(found: dict[Sample, float], name: str, /, **labels: str) -> float:
    return found["bridge_" + name, frozenset(labels.items())]


# ---- may calls come?

async def test_a_server_is_ready_when_nothing_speaks_against_it(
    database_url: str, http: aiohttp.ClientSession,
) -> None:
    async with serving(create_app(make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=database_url))) as origin:
        assert await readiness(http, origin) == (200, [])


async def test_every_reason_is_told(sqlite_url: str, http: aiohttp.ClientSession) -> None:
    async def unreachable() -> str:
        return "unreachable since noon"
    app = create_app(make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=sqlite_url))
    app[keys.CHECKS]["neighbour"] = unreachable
    async with serving(app) as origin:
        app[keys.STOPPING].draining = True
        assert await readiness(http, origin) == (503, [
            "server: stopping, and new calls go elsewhere", "neighbour: unreachable since noon"])


async def test_a_model_out_of_reach_is_a_reason(sqlite_url: str, http: aiohttp.ClientSession) -> None:
    app = create_app(make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=sqlite_url))
    async with serving(app) as origin:
        for _ in range(FAILURES):
            app[keys.BREAKER].failed(asyncio.get_running_loop().time())
        assert await readiness(http, origin) == (503, ["model: out of reach"])


async def test_a_check_that_does_not_end_is_a_reason(
    sqlite_url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def endless() -> str:
        await asyncio.Event().wait()
        return ""
    monkeypatch.setattr(health, "CHECK_S", 0.2)
    app = create_app(make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=sqlite_url))
    app[keys.CHECKS]["neighbour"] = endless
    async with serving(app) as origin:
        assert await readiness(http, origin) == (503, ["neighbour: no answer within 0.2 s"])


async def test_a_database_that_is_gone_is_a_reason_and_its_figures_are_not_known(
    cluster: Cluster, template: str, http: aiohttp.ClientSession,
) -> None:
    with cluster.database(template) as name:
        settings = make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=cluster.url(name))
        async with serving(create_app(settings)) as origin:
            assert value(await scrape(http, origin), "deliveries", state="dead") == 0
            cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            status, [reason] = await readiness(http, origin)
            assert status == 503 and reason.startswith("database: ")
            figures = await scrape(http, origin)
            assert value(figures, "deliveries", state="dead") != value(figures, "deliveries", state="dead"), "NaN"
            cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


# ---- figures

async def test_a_call_shows_in_the_figures(http: aiohttp.ClientSession) -> None:
    nobody = Call("cancel_meeting", {})
    async with office(Turn((nobody,)), Turn((line(300),)), ADMIN_PASSWORD=PASSWORD) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await world.session.until_received("conversation.item.create")
        assert value(await scrape(http, world.origin), "calls") == 1
        await call.hang_up()
        await world.closed()
        found = await scrape(http, world.origin)
    assert value(found, "calls") == 0
    assert value(found, "calls_ended_total", reason="caller hung up") == 1
    assert value(found, "call_duration_seconds_count") == 1
    assert value(found, "tool_seconds_count", name="cancel_meeting", status="refused") == 1
    assert value(found, "info", version=__version__) == 1


async def test_what_waits_in_the_outbox_shows_in_the_figures(sqlite_url: str, http: aiohttp.ClientSession) -> None:
    async with open_database(parse_url(sqlite_url)) as database:
        await Meetings(database, now=lambda: NOW).book(make_meeting(), news)
    async with serving(create_app(make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=sqlite_url))) as origin:
        found = await scrape(http, origin)
    assert value(found, "deliveries", state="pending") == 2
    assert value(found, "deliveries_oldest_seconds") == 0, "it is from the future"


def test_each_figure_has_its_name_and_unit() -> None:
    metrics = Metrics()
    for event in (
        Connected(), Connected(), FirstAudio(0.3), Answered(0.9, 0.4, 0.4), Interrupted(), SessionReplaced(0.4),
        Fault("model lost"), FunctionReturned("schedule_meeting", "confirmed", 0.2),
        TokensUsed({("output", "audio"): 500}), Spent(0.032), CallerSaid("my number is 555"),
        Closed("CA1", Ending.ASSISTANT_ENDED, 75.0, Figures()),
    ):
        metrics.hear(event)
    metrics.rejected("MAX_CALLS")
    metrics.outbox(Depth(pending=3, delivered=9, dead=1, oldest=NOW - 60), NOW)
    found = samples(metrics.render().decode())
    assert value(found, "calls") == 1
    assert value(found, "calls_ended_total", reason="assistant ended") == 1
    assert value(found, "call_duration_seconds_sum") == 75
    assert value(found, "first_audio_seconds_bucket", le="0.5") == 1
    assert value(found, "turn_latency_seconds_bucket", le="0.8") == 0
    assert value(found, "turn_latency_seconds_bucket", le="1.0") == 1
    assert value(found, "first_sound_seconds_bucket", le="0.3") == 0
    assert value(found, "first_sound_seconds_bucket", le="0.4") == 1
    assert value(found, "interruptions_total") == 1
    assert value(found, "model_reconnect_seconds_count") == 1
    assert value(found, "faults_total", kind="model lost") == 1
    assert value(found, "tool_seconds_sum", name="schedule_meeting", status="confirmed") == 0.2
    assert value(found, "tokens_total", direction="output", kind="audio") == 500
    assert value(found, "spent_usd_total") == 0.032
    assert value(found, "calls_rejected_total", reason="MAX_CALLS") == 1
    assert value(found, "deliveries", state="pending") == 3
    assert value(found, "deliveries", state="dead") == 1
    assert value(found, "deliveries_oldest_seconds") == 60
    assert not [name for name, _ in found if name.endswith("_created")]


def test_two_applications_have_figures_of_their_own() -> None:
    one, two = Metrics(), Metrics()
    one.hear(Interrupted())
    assert value(samples(two.render().decode()), "interruptions_total") == 0


async def test_a_loop_that_was_held_up_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.loop.event_loop.SAMPLE_S", 0.01)
    metrics = Metrics()
    watching = asyncio.create_task(watch_lag(metrics.lag))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(lambda: time.sleep(0.1))
    async with asyncio.timeout(10):
        while not value(found := samples(metrics.render().decode()), "event_loop_lag_seconds_count"):
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.wait({watching})
    assert value(found, "event_loop_lag_seconds_sum") > 0.05
