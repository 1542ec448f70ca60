"""What can go wrong in a call on purpose, when, and how it may end. Pure."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tests.load.table import spread

#: How a fault can end for the caller.
#: - recovered: the call went on (or the caller called again and was answered), and is heard both ways.
#: - ended: the server closed the stream in order, after a word of its own or with TwiML that says one.
#: - abrupt: the stream was closed and the caller heard nothing of why.
#: - silent: neither within the time that the kind allows.
Ending = Literal["recovered", "ended", "abrupt", "silent"]
ENDINGS: tuple[Ending, ...] = ("recovered", "ended", "abrupt", "silent")

#: The longest that a caller may hear nothing while the model is away, s.
SILENCE_S = 3.0
#: Reasons in the server's log for the end of a call that no fault explains.
UNEXPLAINED = ("internal error",)


@dataclass(frozen=True)
class Kind:
    """`endings` are the documented ones, due within `within_s`; `loses`: some audio is lost with it.

    `hushes`: the caller hears the server's part of it, so no silence may be longer than SILENCE_S.
    """

    name: str
    within_s: float
    endings: frozenset[Ending]
    loses: bool = True
    hushes: bool = False


_EITHER: frozenset[Ending] = frozenset({"recovered", "ended"})
_GOES_ON: frozenset[Ending] = frozenset({"recovered"})
#: Reconnecting is given up after 15 s; then there is something to be said.
_RECONNECT_S = 30.0
#: A dead path is found by a ping's missing answer: 20 s until the ping, 10 s for the answer.
_DEAF_S = 30.0 + _RECONNECT_S

KINDS = {kind.name: kind for kind in (
    Kind("model reset", _RECONNECT_S, _EITHER, hushes=True),
    Kind("model closes 1001", _RECONNECT_S, _EITHER, hushes=True),
    Kind("model closes 1011", _RECONNECT_S, _EITHER, hushes=True),
    Kind("model closes 1012", _RECONNECT_S, _EITHER, hushes=True),
    Kind("model closes 1013", _RECONNECT_S, _EITHER, hushes=True),
    Kind("model silent", _DEAF_S, _EITHER),
    Kind("model stops reading", _DEAF_S, _EITHER),
    Kind("upgrade refused", _RECONNECT_S, _EITHER, hushes=True),
    Kind("response failed", _RECONNECT_S, _EITHER, loses=False, hushes=True),
    Kind("rate limit", _RECONNECT_S, _EITHER, loses=False, hushes=True),
    Kind("phone lost", _RECONNECT_S, _GOES_ON),
    Kind("phone gap", _RECONNECT_S, _GOES_ON, loses=False),
    Kind("phone stops reading", _DEAF_S, _EITHER),
    Kind("caller hangs up", _RECONNECT_S, _GOES_ON),
    Kind("webhook repeated", _RECONNECT_S, _GOES_ON, loses=False),
)}


class Planned(NamedTuple):
    """A fault that is due `at_s` seconds after the start."""

    at_s: float
    kind: Kind


def plan(seed: int, kinds: Sequence[Kind], calls: int, share: float, minutes: float) -> list[Planned]:
    """Faults of random kinds at random moments: `share` of the calls each minute, one at least in all."""
    dice = random.Random(seed)
    count = max(1, round(calls * share * minutes))
    moments = sorted((number + dice.random()) * 60 * minutes / count for number in range(count))
    return [Planned(moment, dice.choice(kinds)) for moment in moments]


@dataclass(frozen=True)
class Outcome:
    """How one fault ended: `silence_s` is the longest that the caller heard nothing, `call_sid` whose call it was."""

    kind: Kind
    call_sid: str
    ending: Ending
    seconds: float
    silence_s: float

    @property
    def silenced(self) -> bool:
        return self.kind.hushes and self.silence_s > SILENCE_S

    @property
    def documented(self) -> bool:
        return self.ending in self.kind.endings and not self.silenced


def by_kind(outcomes: Iterable[Outcome], reasons: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What became of each kind; `reasons`: of the calls that ended, by their CallSid, in the server's words."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.kind.name, []).append(outcome)
    return {name: {
        "count": len(each), **{ending: sum(one.ending == ending for one in each) for ending in ENDINGS},
        "too_long_silent": sum(one.silenced for one in each),
        "reasons": dict(Counter(reasons[one.call_sid] for one in each if one.call_sid in reasons)),
        "until": spread([one.seconds for one in each]), "silence": spread([one.silence_s for one in each]),
    } for name, each in sorted(found.items())}
