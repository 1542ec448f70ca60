"""CLOSED_DAYS as the owner writes it: which days it means, and what is said of what it cannot mean."""

import sys
from datetime import date, timedelta

import pytest

from bridge.meetings.closed_days import ClosedDays, Run
from bridge.settings import BadSettings
from tests.stage.settings import make_settings

DAY = timedelta(days=1)


def closed(text: str, first: str, last: str) -> list[str]:
    """The closed days from `first` to `last`, in ISO 8601."""
    days, begin, end = ClosedDays.parse(text), date.fromisoformat(first), date.fromisoformat(last)
    return [f"{begin + n * DAY}" for n in range((end - begin).days + 1) if days.on(begin + n * DAY) is not None]


def test_a_date_is_one_day_of_one_year() -> None:
    assert closed("2026-12-24", "2026-01-01", "2027-12-31") == ["2026-12-24"]


def test_a_range_has_both_its_ends() -> None:
    assert closed("2026-12-30..2027-01-02", "2026-12-01", "2027-02-01") == [
        "2026-12-30", "2026-12-31", "2027-01-01", "2027-01-02"]


def test_a_star_is_every_year() -> None:
    assert closed("*-12-24", "2026-01-01", "2028-12-31") == ["2026-12-24", "2027-12-24", "2028-12-24"]


def test_a_range_of_every_year_may_go_past_its_end() -> None:
    assert closed("*-12-31..*-01-02", "2026-12-01", "2027-12-31") == [
        "2026-12-31", "2027-01-01", "2027-01-02", "2027-12-31"]


def test_a_leap_day_is_closed_where_there_is_one() -> None:
    assert closed("*-02-29", "2027-01-01", "2028-12-31") == ["2028-02-29"]


def test_entries_are_listed_with_spaces_or_without() -> None:
    assert closed(" 2026-12-24 , 2026-12-27 .. 2026-12-28,", "2026-12-01", "2026-12-31") == [
        "2026-12-24", "2026-12-27", "2026-12-28"]


def test_a_country_s_public_holidays_are_closed_by_their_names() -> None:
    germany = ClosedDays.parse("DE")
    assert germany.on(date(2026, 12, 25)) == "Christmas Day"
    assert germany.on(date(2027, 3, 26)) == "Good Friday" and germany.on(date(2027, 3, 27)) is None
    assert germany.on(date(2027, 1, 6)) is None
    assert ClosedDays.parse("de-by").on(date(2027, 1, 6)) == "Epiphany"
    assert ClosedDays.parse("DE-Augsburg").on(date(2027, 8, 8)) is not None
    assert ClosedDays.parse("US-CA").on(date(2027, 7, 5)) == "Independence Day (observed)"


def test_a_day_of_two_reasons_has_the_holiday_s_name() -> None:
    both = ClosedDays.parse("2026-12-24..2026-12-27,DE")
    assert both.ahead(date(2026, 12, 1), date(2026, 12, 31)) == [
        Run(date(2026, 12, 24), date(2026, 12, 24)), Run(date(2026, 12, 25), date(2026, 12, 25), "Christmas Day"),
        Run(date(2026, 12, 26), date(2026, 12, 26), "Second Day of Christmas"),
        Run(date(2026, 12, 27), date(2026, 12, 27))]


def test_days_in_a_row_are_one_run_and_only_what_was_asked_for() -> None:
    assert ClosedDays.parse("2026-12-20..2026-12-31").ahead(date(2026, 12, 24), date(2026, 12, 26)) == [
        Run(date(2026, 12, 24), date(2026, 12, 26))]


@pytest.mark.parametrize(("text", "fault"), [
    (",", "names no day"), ("24.12.2026", "'24.12.2026'"), ("12-24", "'12-24'"), ("2026-12-24-2026-12-26", "is needed"),
    ("2026-02-29", "'2026-02-29', which is no date"), ("2026-13-01", "which is no date"),
    ("*-02-30", "which is no date"),
    ("0000-01-01", "which is no date"), ("2026-12-26..2026-12-24", "ends before it begins"),
    ("2026-12-24..*-12-26", r"needs? \* for the year"), ("Sundays", "'Sundays'"), ("DE-", "'DE-'"),
    ("XX", "knows no country XX"), ("DE-XX", "the parts of DE that the package holidays knows are: BB, BE, BW"),
    ("KI-1", "are: none"), ("٢٠٢٦-12-24", "is needed"),
])
def test_what_is_wrong_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        ClosedDays.parse(text)


def test_without_the_package_a_country_is_one_clear_line_and_dates_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(BadSettings) as refusal:
        make_settings(CLOSED_DAYS="2026-12-24,DE-BY")
    [line] = str(refusal.value).splitlines()
    assert line.startswith("CLOSED_DAYS names the public holidays of DE-BY") and "`pip install holidays`" in line
    assert make_settings(CLOSED_DAYS="2026-12-24").CLOSED_DAYS is not None
