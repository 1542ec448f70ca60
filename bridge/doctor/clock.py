"""Whether this machine's clock is right: against the header Date of a vendor's answer.

Pure.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime

from bridge.doctor.finding import Finding

#: A header Date has whole seconds, and an answer takes time: less than this is no difference, seconds.
RIGHT_S = 5.0
#: More than this is worth setting right: callers are told wrong times, and receivers refuse signatures that are five
#: minutes old or not yet made.
WRONG_S = 30.0


def judged(date: str, now: float, took_s: float) -> Finding:
    """`date`: the header; `now`: this machine's seconds since 1970 when it came, `took_s` after it was asked for."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return Finding("clock", "not proven", "No answer told the time, so this machine's clock was not compared.")
    told = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() + 0.5       # of a second cut off
    off_s = now - took_s / 2 - told
    if abs(off_s) < WRONG_S:
        amount = "right" if abs(off_s) < RIGHT_S else f"{abs(off_s):.0f} s {'fast' if off_s > 0 else 'slow'}"
        return Finding("clock", "ok", f"The clock is {amount}.")
    amount = f"{abs(off_s) / 60:.0f} minutes" if abs(off_s) >= 120 else f"{abs(off_s):.0f} s"
    return Finding(
        "clock", "warning", f"This machine's clock is {amount} {'fast' if off_s > 0 else 'slow'}.",
        "Set it by NTP: callers are told wrong times, and receivers refuse signatures that are 5 minutes off.")
