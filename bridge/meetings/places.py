"""The zone that a caller's words name: "in Berlin", "London time", "Eastern", "my time".

Pure. The cities are those of the time zone database. Any other place before "time" is asked about. "Any time" and "this
time" name no place.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from bridge.meetings.plain import plain
from bridge.meetings.said import Question
from bridge.meetings.spoken import place

UNKNOWN_ZONE = Question(
    "I do not know that time zone. Which large city has the same time?",
    "Pass the zone's IANA name as time_zone, such as America/New_York, and the day and the time without a place.")

_UTC = ZoneInfo("UTC")
#: The database's names as they are written, by their lower case. Read once, with the module.
_KEYS = {key.lower(): key for key in files("tzdata").joinpath("zones").read_text().split()}
_AREAS = ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian")
#: The zones' names by their cities. Easter Island is left out, because "Easter time" is a date.
_CITIES = {
    plain(city.replace("_", " ")): key for key in _KEYS.values() for area, _, city in [key.partition("/")]
    if area in _AREAS and city != "Easter"}
#: The zones of the mainland of the United States and Canada, by the first letter of their abbreviations.
_AMERICAN = {"E": "eastern", "C": "central", "M": "mountain", "P": "pacific"}

_WHOSE = re.compile(r"(?:^|(?<= ))(?:in )?(my|our|your|local) (?:local )?time(?: zone)?(?: |$)")
_IANA = re.compile(r"(?:^|(?<= ))(?:in )?([a-z]+(?:/[a-z_]+){1,2})(?: time)?(?: |$)")
_CITY_TIME = re.compile(r"(?:^|(?<= ))(?:in )?((?:[a-z]+ ){1,3})time(?: |$)")
_ANY_TIME = re.compile(r"\b(\S+) time\b")
#: Words that name a zone without a city and without "time".
_ABBREVIATIONS = frozenset(
    "eastern central mountain pacific est edt et cst cdt mst mdt pst pdt cet cest bst ist aest jst".split())
#: Words that name no place before "time".
_NO_PLACE = frozenset("any some same this that what which good best better first another other lunch next last".split())


def named(text: str, business: ZoneInfo, caller: ZoneInfo | None) -> tuple[str, ZoneInfo]:
    """The plain text without the zone that it names, and that zone. The default is the caller's or the business's."""
    default = caller or business
    for zone in filter(None, (business, caller, _UTC)):
        rest = _names(zone).sub("", text, count=1)
        if rest != text:
            return rest.strip(), zone
    if found := _WHOSE.search(text):
        return _without(text, found), business if found[1] == "your" else default
    if (found := _IANA.search(text)) and found[1] in _KEYS:
        return _without(text, found), ZoneInfo(_KEYS[found[1]])
    if found := _CITY_TIME.search(text):
        words = found[1].split()
        for name in (" ".join(words[n:]) for n in range(len(words))):
            if name in _CITIES:
                rest = re.sub(rf"(?:\bin )?\b{name} time ?", "", text, count=1)
                return rest.strip(), ZoneInfo(_CITIES[name])
    return text, default


def is_place_unknown(text: str) -> bool:
    """Whether a text that was not understood seems to name a zone."""
    return (bool(_ABBREVIATIONS & set(text.split())) or _IANA.search(text) is not None
            or any(word not in _NO_PLACE for word in _ANY_TIME.findall(text)))


def _without(text: str, found: re.Match[str]) -> str:
    return (text[:found.start()] + text[found.end():]).strip()


@lru_cache
def _names(zone: ZoneInfo) -> re.Pattern[str]:
    """Matches the zone in a plain text: "in Dhaka", "Asia/Dhaka time", "EST", "Eastern"."""
    city = place(zone).removesuffix(" time")
    names = "|".join(re.escape(plain(name)) for name in (str(zone), city, *_called(zone)))
    return re.compile(rf"(?:^|(?<= ))(?:in )?(?:{names})(?: (?:standard |daylight )?time)?(?: |$)")


def _called(zone: ZoneInfo) -> set[str]:
    """The zone's abbreviations, of winter and summer: a caller who says EST in July means New York's time.

    GMT is left out. It is one instant everywhere, also while London's clocks show another.
    """
    if zone is _UTC:
        return {"GMT"}
    both = {datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).tzname() or "" for month in (1, 7)}
    names = {name for name in both if name.isalpha()} - {"GMT", "UTC"}
    if str(zone).startswith(("America/", "US/", "Canada/")):
        for name in [each for each in names if each[0] in _AMERICAN and each[1:] in ("ST", "DT")]:
            names |= {_AMERICAN[name[0]], f"{name[0]}T"}
    return names


def zone_called(key: str) -> ZoneInfo:
    """The zone of an IANA name. Raises Refused for an unknown one."""
    try:
        return ZoneInfo(key)
    except Exception:                # depending on the name, ZoneInfo raises OSError, ValueError and others
        raise UNKNOWN_ZONE.refusal() from None
