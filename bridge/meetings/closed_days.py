"""The days on which the business is closed, as its owner writes them: `2026-12-24, 2027-08-02..2027-08-15, DE-BY`.

Pure. The package `holidays` knows the public holidays of countries (https://holidays.readthedocs.io). Only owners who
name a country need it. So it is no requirement, and is imported when a country is named.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

_DATE = r"(\*|[0-9]{4})-([0-9]{2})-([0-9]{2})"
_DATES = re.compile(rf"{_DATE}(?:\.\.{_DATE})?")
_COUNTRY = re.compile(r"([A-Za-z]{2})(?:-([\w][\w ]*))?")
#: The year that stands for `*`. It is a leap year, so it has every day.
_ANY_YEAR = 2000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Run:
    """Closed days in a row, both ends included. `reason`: a holiday's name, or "" for days of the owner's own."""

    first: date
    last: date
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Country:
    """The public holidays of a country (ISO 3166 code) and of one of its parts, as the package names it, or ""."""

    code: str
    subdivision: str = ""

    def on(self, day: date) -> str | None:
        """The name of that day's holiday, in English if the package has it, or None."""
        return _public_holidays(self.code, self.subdivision, day.year).get(day)


@dataclass(frozen=True, slots=True)
class ClosedDays:
    """CLOSED_DAYS, parsed. `runs` come once. `yearly` come every year, are of _ANY_YEAR, and may pass its end."""

    runs: tuple[Run, ...] = ()
    yearly: tuple[Run, ...] = ()
    countries: tuple[Country, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "ClosedDays":
        """Entries separated by commas: a date, two joined by `..`, `*` for the year for every year, or a country.

        Raises ValueError with what is wrong, as the end of a sentence.
        """
        runs: list[Run] = []
        yearly: list[Run] = []
        countries: list[Country] = []
        for entry in filter(None, map(str.strip, text.split(","))):
            compact = re.sub(r"\s*\.\.\s*", "..", entry)
            if found := _COUNTRY.fullmatch(compact):
                countries.append(_country(*found.groups(default="")))
            elif found := _DATES.fullmatch(compact):
                run, each_year = _run(compact, *found.groups(default=""))
                (yearly if each_year else runs).append(run)
            else:
                raise ValueError(f"has {entry!r} where a date, two joined by .., or a country's code is needed")
        if not (runs or yearly or countries):
            raise ValueError("names no day")
        return cls(tuple(runs), tuple(yearly), tuple(countries))

    def on(self, day: date) -> str | None:
        """Why that day is closed: a holiday's name, or "" for a day of the owner's own. None if it is not closed."""
        holidays = [name for each in self.countries if (name := each.on(day))]
        if holidays:
            return holidays[0]
        own = any(run.first <= day <= run.last for run in self.runs)
        return "" if own or any(_each_year(run, day) for run in self.yearly) else None

    def ahead(self, first: date, last: date) -> list[Run]:
        """The closed days from `first` to `last`, in order. Days in a row with one reason are one run."""
        found: list[Run] = []
        for day in _days(first, last):
            reason = self.on(day)
            if reason is None:
                continue
            if found and found[-1].last == day - _DAY and found[-1].reason == reason:
                found[-1] = Run(found[-1].first, day, reason)
            else:
                found.append(Run(day, day, reason))
        return found


def _days(first: date, last: date) -> Iterable[date]:
    return (first + n * _DAY for n in range((last - first).days + 1))


def _each_year(run: Run, day: date) -> bool:
    day = day.replace(year=_ANY_YEAR)
    if run.first <= run.last:
        return run.first <= day <= run.last
    return day >= run.first or day <= run.last


# ---- reading

def _run(entry: str, *parts: str) -> tuple[Run, bool]:
    """The days of an entry, and whether they come every year. Raises ValueError."""
    year, last_year = parts[0], parts[3] or parts[0]
    if (year == "*") != (last_year == "*"):
        raise ValueError(f"has {entry!r}, where both dates or neither need * for the year")
    first = _date(*parts[:3])
    last = _date(*parts[3:]) if parts[3] else first
    if last < first and year != "*":
        raise ValueError(f"has {entry!r}, which ends before it begins")
    return Run(first, last), year == "*"


def _date(year: str, month: str, day: str) -> date:
    try:
        return date(_ANY_YEAR if year == "*" else int(year), int(month), int(day))
    except ValueError:
        raise ValueError(f"has {f'{year}-{month}-{day}'!r}, which is no date") from None


# ---- public holidays

def _country(code: str, subdivision: str) -> Country:
    """Raises ValueError if the package does not know the country or the part, or is not installed."""
    code = code.upper()
    name = f"{code}-{subdivision}" if subdivision else code
    try:
        from holidays import country_holidays
    except ImportError:
        raise ValueError(f"names the public holidays of {name}, and these need a package that is not installed: run "
                         "`pip install holidays`, or name the dates") from None
    try:
        known = country_holidays(code).subdivisions
    except NotImplementedError:
        raise ValueError(f"has {name!r}, but the package holidays knows no country {code}") from None
    meant = [each for each in known if each.casefold() == subdivision.casefold()] if subdivision else [""]
    if not meant:
        parts = ", ".join(known) or "none"
        raise ValueError(f"has {name!r}, but the parts of {code} that the package holidays knows are: {parts}")
    return Country(code, meant[0])


@lru_cache(maxsize=64)
def _public_holidays(code: str, subdivision: str, year: int) -> Mapping[date, str]:
    """A year takes half a millisecond once the country's data is loaded, which _country has done."""
    from holidays import country_holidays
    spoken = country_holidays(code).supported_languages
    return dict(country_holidays(
        code, subdiv=subdivision or None, years=year, language="en_US" if "en_US" in spoken else None))
