"""Who has the floor: what the model is asked to say, and when. Pure; times are ms.

1. A response is asked for only when nobody has the floor: none is active, none is on its way, the caller does not
   speak, and the server is not about to answer the caller's turn by itself. One response answers all that is owed.
2. The server answers a turn of the caller's by itself. Where it does not within ANSWER_MS, it is asked to. A response
   of its own that has seen what one of ours was asked for takes its place.
3. The caller's speech overtakes a response that was asked for and has not begun: it is cancelled as it begins.
4. A response that fails is asked for again RETRIES times, after growing pauses. Then the model has failed. A filler or
   a notice can be spared.
5. A response that does not begin within REQUEST_MS, or brings nothing for MUTE_MS, is the session's fault.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from bridge.call.bounds import Bounds
from bridge.call.steps import ToModel
from bridge.openai_side import realtime

ANSWER_MS = 3_000
REQUEST_MS = 5_000
MUTE_MS = 10_000
RETRIES = 2
#: The pause before a failed response is asked for again, ms; twice as long the second time.
RETRY_MS = 500


class Wish(NamedTuple):
    """A response that is wanted: what for, and the instructions that take the place of the session's."""

    purpose: Literal["greeting", "answer", "filler", "notice", "farewell"]
    instructions: str | None = None


ANSWER = Wish("answer")


class Ended(NamedTuple):
    """A response that is done: what it was for, and whether it brought audio."""

    wish: Wish
    spoke: bool


class Floor:
    """Owns the bounds "answer", "request", "retry" and "mute"."""

    __slots__ = (
        "owed", "speaking", "answering", "active", "wish", "_spoke", "_requested", "_wanted", "_unwanted", "_answered",
        "_failures", "_again", "_wishes", "_names", "_answer", "_request", "_retry", "_mute")

    def __init__(self, bounds: Bounds, *, owed: bool) -> None:
        self.owed = owed                             # there is something that no response has seen
        self.speaking = False                        # the caller, as the server hears it
        self.answering = False                       # the server is about to answer a turn by itself
        self.active: str | None = None               # id of the response under way
        self.wish = ANSWER                           # what the response under way is for
        self._spoke = False                          # the response under way has brought audio
        self._requested: str | None = None           # name of the response that was asked for and has not begun
        self._wanted = ANSWER                        # what it was asked for
        self._unwanted = False                       # the caller has spoken since: it is cancelled when it begins
        self._answered = False                       # the server began one by itself that has seen as much
        self._failures = 0                           # in a row
        self._again = ANSWER                         # what is asked for again when "retry" is due
        self._wishes: list[Wish] = []                # notices that wait for the floor
        self._names = 0
        self._answer, self._request = bounds.own("answer"), bounds.own("request")
        self._retry, self._mute = bounds.own("retry"), bounds.own("mute")

    @property
    def taken(self) -> bool:
        """Whether a response is under way or about to be, or the caller has the floor."""
        return bool(self.active or self._requested or self.speaking or self.answering)

    @property
    def pending(self) -> bool:
        """Whether something is still to be said."""
        return bool(self.owed or self._wishes or self._retry.is_set)

    def name(self, kind: str) -> str:
        """A new name for a request or an item of ours."""
        self._names += 1
        return f"{kind}_{self._names}"

    # ---- the caller

    def caller_speaks(self) -> None:
        self.speaking, self.answering = True, False
        self.unwant()
        self._retry.clear()
        self._answer.clear()

    def caller_stopped(self, now: float) -> None:
        self.speaking, self.answering = False, True
        self._answer.set(now + ANSWER_MS)

    def answer_is_late(self) -> None:
        """The server does not answer the caller's turn: the answer is owed."""
        self.answering, self.owed = False, True

    def unwant(self) -> None:
        """A response that was asked for and has not begun is out of date."""
        self._unwanted = self._requested is not None

    # ---- a response is asked for

    def request(self, wish: Wish, now: float) -> ToModel:
        self._requested, self._wanted, self._unwanted, self._answered = self.name(wish.purpose), wish, False, False
        self._request.set(now + REQUEST_MS)
        return ToModel(realtime.create_response(self._requested, wish.instructions))

    def next(self) -> Wish | None:
        """What the floor is wanted for next, if anything; it counts as asked for."""
        if self.owed:
            self.owed = False
            return ANSWER
        return self._wishes.pop(0) if self._wishes else None

    def notice(self, instructions: str) -> None:
        """The caller is to be told something as soon as the floor is free."""
        self._wishes.append(Wish("notice", instructions))

    def leave(self) -> None:
        """Only a goodbye is to be said from here on."""
        self.owed = False
        self._wishes.clear()

    def retry(self) -> Wish | None:
        """The pause after a failure is over: what is asked for again, unless another response has taken its place."""
        if self.taken:
            return None
        if self._again is ANSWER:
            self.owed = False
        return self._again

    def output_told(self, now: float) -> None:
        """A function's output is owed an answer; the one that the server is about to give may not come."""
        self.owed = True
        if self.answering:
            self._answer.begin(now + ANSWER_MS)

    # ---- a response goes on

    def begins(self, response: realtime.Response, now: float, *, all_seen: bool) -> bool:
        """A response has begun; True: the caller has overtaken it, and it is to be cancelled.

        `all_seen`: it knows all function outputs.
        """
        self.active, self._spoke = response.id, False
        self._mute.set(now + MUTE_MS)
        ours = (response.metadata or {}).get("request")
        if ours is None or ours != self._requested:
            self._caller_is_answered()
            self.wish, self._answered = ANSWER, all_seen
            self.owed = self.owed and not all_seen
            return False
        self.wish = self._wanted
        self._settle_request()
        if not self._unwanted:
            self._caller_is_answered()
            return False
        self._unwanted = False                       # the server's own answer to what the caller has said is to come
        return True

    def sounded(self, now: float, unheard_ms: float) -> None:
        """It has brought audio."""
        self._spoke, self._failures = True, 0
        if self.active:
            self._mute.set(now + unheard_ms + MUTE_MS)

    def acted(self) -> None:
        """It has called a function."""
        self._mute.clear()

    def done(self) -> Ended:
        """It is over."""
        self.active = None
        self._mute.clear()
        return Ended(self.wish, self._spoke)

    # ---- a response fails

    def failed(self, wish: Wish, now: float) -> Literal["spared", "again", "given up"]:
        """A response was not given: it is asked for again after a pause, or can be spared, or the model has failed."""
        if wish.purpose in ("filler", "notice") or self.speaking:
            return "spared"                          # the caller's speech makes it out of date
        self._failures += 1
        if self._failures > RETRIES:
            return "given up"
        self._again = wish
        self._retry.set(now + RETRY_MS * self._failures)
        return "again"

    def session_failed(self) -> bool:
        """The session does not do what every session does; True: that was once too often."""
        self._failures += 1
        return self._failures > RETRIES

    def own_answer_failed(self) -> bool:
        """The server says, of no request of ours, that it cannot answer: whether it was about to."""
        answering, self.answering = self.answering, False
        if answering:
            self._answer.clear()
        return answering

    def refused(self, event_id: str | None) -> Wish | None:
        """The server refuses an event: the wish that this one was for, if it asked for a response."""
        if event_id is None or event_id != self._requested:
            return None
        self._settle_request()
        return self._wanted

    def overtaken(self, wish: Wish) -> None:
        """Another response was under way when this one was asked for: it is asked for after that, if still needed."""
        self.owed = self.owed or wish is ANSWER and not self._answered
        if wish.purpose == "notice" and not self._unwanted:
            self._wishes.insert(0, wish)

    # ---- the session is gone

    def lost(self, *, leaving: bool) -> None:
        """The session is gone, in the middle of whatever was said. `leaving`: the response under way was a goodbye."""
        under_way = [*self._under_way()]
        overtaken = self.speaking or self.answering          # what the caller says has put it out of date
        self.owed = self.owed or overtaken or not leaving and any(
            wish.purpose in ("greeting", "answer") for wish in under_way)
        if not overtaken:
            self._wishes[:0] = [wish for wish in under_way if wish.purpose == "notice"]

    def forget_session(self) -> None:
        self._requested = self.active = None
        self._unwanted = self.speaking = self.answering = False
        for bound in (self._answer, self._request, self._retry, self._mute):
            bound.clear()

    def _under_way(self) -> Iterator[Wish]:
        """What a response was asked for, or is about to be asked for again."""
        if self.active:
            yield self.wish
        if self._requested:
            yield self._wanted
        if self._retry.is_set:
            yield self._again

    def _caller_is_answered(self) -> None:
        self.answering = False
        self._answer.clear()

    def _settle_request(self) -> None:
        self._requested = None
        self._request.clear()
