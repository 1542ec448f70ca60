"""MAX_DAY_USD: what a day may cost, over all processes, and what callers hear when it is used up."""

import asyncio
import logging
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bridge import keys
from bridge.app import create_app
from bridge.reception import budget as budget_module
from bridge.reception.budget import Budget
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.spending import Spending
from bridge.sim.demo import serving
from bridge.sim.realtime import Turn
from bridge.twilio_side.twiml import LEAVE_A_MESSAGE, NO_MORE_TODAY
from tests.stage.office import line, office
from tests.stage.settings import make_settings
from tests.stage.store import rows

NEW_YORK = ZoneInfo("America/New_York")


class Clock:
    """Time that stands still until it is moved; it begins an hour before midnight in New York, a new day in UTC."""

    now = datetime(2026, 11, 28, 23, tzinfo=NEW_YORK).timestamp()

    def __call__(self) -> float:
        return self.now


async def test_processes_spend_one_budget(database_url: str) -> None:
    url, clock = parse_url(database_url), Clock()
    async with open_database(url) as here, open_database(url) as there:
        one = Budget(Spending(here), 1.0, NEW_YORK, clock)
        two = Budget(Spending(there), 1.0, NEW_YORK, clock)
        for each, usd in ((one, 0.5), (two, 0.25), (one, 0.125)):
            each.spent(usd)
            await each.refresh()
        assert not one.used_up and one.today_usd == 0.875
        two.spent(0.125)
        assert not two.used_up, "it has not heard of the last of the other's"
        await two.refresh()
        assert two.used_up
        await one.refresh()
        assert one.used_up
        assert [(row.day, row.usd) for row in await rows(here, "spending")] == [("2026-11-28", 1.0)]


async def test_sums_that_are_told_at_once_are_all_kept(database: Database) -> None:
    await asyncio.gather(*(Spending(database).add("2026-11-28", 0.25) for _ in range(20)))
    assert await Spending(database).add("2026-11-28", 0) == 5.0


async def test_what_a_process_has_spent_counts_at_once(database: Database) -> None:
    budget = Budget(Spending(database), 1.0, NEW_YORK, Clock())
    budget.spent(1.0)
    assert budget.used_up


async def test_a_day_is_the_business_s_and_the_next_one_begins_with_all_its_money(database: Database) -> None:
    clock = Clock()
    budget = Budget(Spending(database), 1.0, NEW_YORK, clock)
    budget.spent(0.75)
    await budget.refresh()
    budget.spent(0.5)
    clock.now += 3599
    assert budget.used_up
    clock.now += 1
    assert not budget.used_up and budget.today_usd == 0
    budget.spent(0.25)
    await budget.refresh()
    assert {row.day: row.usd for row in await rows(database, "spending")} == {"2026-11-28": 1.25, "2026-11-29": 0.25}


async def test_a_server_that_starts_anew_knows_what_was_spent(database: Database) -> None:
    await Spending(database).add("2026-11-28", 1.0)
    budget = Budget(Spending(database), 1.0, NEW_YORK, Clock())
    await budget.refresh()
    assert budget.used_up


async def test_without_the_database_a_process_goes_by_what_it_knows(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    budget = Budget(Spending(database), 1.0, NEW_YORK, Clock())
    budget.spent(0.5)
    await budget.refresh()

    async def fail(*_: object) -> float:
        raise StoreFailed("disk full")
    with monkeypatch.context() as patched:
        patched.setattr(Spending, "add", fail)
        budget.spent(0.5)
        for _ in range(3):
            await budget.refresh()
    assert budget.used_up
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING], "each once"
    assert caplog.messages[1] == (
        "MAX_DAY_USD=1 is used up: callers get the fallback until midnight in America/New_York")
    await budget.refresh()
    assert await Spending(database).add("2026-11-28", 0) == 1.0, "nothing twice"


async def test_without_a_limit_nothing_is_kept(database: Database) -> None:
    budget = Budget(Spending(database), 0, NEW_YORK, Clock())
    budget.spent(1000)
    assert not budget.used_up and budget.today_usd == 0


# ---- what callers hear

async def test_calls_under_way_end_politely_and_who_calls_then_gets_the_fallback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(budget_module, "RENEW_S", 0.05)
    async with office(Turn((line(400),)), MAX_DAY_USD="0.00001", ADMIN_PASSWORD="x" * 12) as world:
        call = await world.greeted()
        await call.until_over()
        assert call.spoken == [], "nothing after the goodbye"
        later = await world.phone.dial()
        await later.until_over()
        assert later.spoken == [NO_MORE_TODAY]
        assert len(world.model.sessions) == 1, "it costs nothing"
        assert world.app[keys.BUDGET].today_usd > 0.00001
    assert "money used up" in caplog.text
    assert f"call {later.sid}: MAX_DAY_USD is used up, and the caller gets the fallback" in caplog.messages


@pytest.mark.parametrize(("settings", "words"), [
    ({"FALLBACK": "message"}, LEAVE_A_MESSAGE), ({"FALLBACK_MESSAGE": "We are closed."}, "We are closed.")])
async def test_the_owner_s_fallback_is_what_it_is_otherwise(settings: dict[str, str], words: str) -> None:
    async with office(MAX_DAY_USD="1", settings=settings) as world:
        world.app[keys.BUDGET].spent(1)
        call = await world.phone.dial()
        await call.hang_up()
        assert call.spoken[:1] == [words]


async def test_what_was_spent_last_is_written_down_when_the_server_stops(sqlite_url: str) -> None:
    settings = make_settings(DATABASE_URL=sqlite_url, MAX_DAY_USD="1", TIMEZONE="America/New_York")
    app = create_app(settings)
    async with serving(app):
        app[keys.BUDGET].spent(1)
    again = create_app(settings)
    async with serving(again):
        assert again[keys.BUDGET].used_up
