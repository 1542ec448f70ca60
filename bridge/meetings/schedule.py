"""From the date and time that were said to an instant.

Pure: the present moment is an argument.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class Refused(Exception):
    """No meeting can be made of this; the message is a sentence for the caller's ear."""


def instant(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The aware, future moment of an ISO 8601 date-time, local to `zone` where it has no offset. Raises Refused."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused("I could not read the date and time; please pass it as ISO 8601, 2030-01-31T15:00.") from None
    if len(text.strip()) <= len("2030-01-31"):
        raise Refused("The time of day is missing: ask the caller for it.")
    if moment.tzinfo is None:
        moment = _local(moment, zone)
    try:
        moment = moment.astimezone(zone)
    except OverflowError:
        raise Refused("That date is too far away.") from None
    if moment.timestamp() <= now.timestamp():        # `<=` within one zone compares what its clocks show
        raise Refused("That moment has already passed: ask the caller for a later one.")
    return moment


def _local(naive: datetime, zone: ZoneInfo) -> datetime:
    """The one instant at which clocks in `zone` show this. Raises Refused where there is none, or two."""
    first, second = naive.replace(tzinfo=zone), naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise Refused("The clocks are put forward at that hour, so this time does not exist: ask for another.")
    raise Refused("The clocks are put back at that hour, so this time comes twice: ask for another.")
