"""For tests of callers' words: a Monday in Berlin, and the instant that a text means there, or the question."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.meetings.schedule import OpeningHours, Refused, Rules, resolve

BERLIN, DHAKA, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Dhaka"), ZoneInfo("Europe/London")
NEW_YORK = ZoneInfo("America/New_York")
#: A Monday.
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=BERLIN)
ANY_TIME = Rules(BERLIN, maximum_notice=timedelta(days=800))
OFFICE = Rules(BERLIN, opening=OpeningHours.parse("Mon-Fri 09:00-17:00; Sat 10:00-13:00"))


def local(words: str, rules: Rules = ANY_TIME, now: datetime = NOW, caller_zone: str = "") -> str:
    """The local time of the instant that the words mean."""
    moment = resolve(words, rules, now, caller_zone)
    assert moment.tzinfo is rules.zone
    return f"{moment:%Y-%m-%dT%H:%M}"


def refused(words: str, rules: Rules = ANY_TIME, now: datetime = NOW, caller_zone: str = "") -> str:
    with pytest.raises(Refused) as refusal:
        resolve(words, rules, now, caller_zone)
    return str(refusal.value)


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)
