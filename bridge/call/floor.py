"""Who has the floor: the caller, or a response of the model's; and what the model is asked to say.

Pure; times are ms.

1. A response is asked for only when nobody has the floor: none is active, none is on its way, the caller does not
   speak, and the server is not about to answer the caller's turn by itself. One response answers all that is owed.
2. The server answers a turn of the caller's by itself. Where it does not within `answer_ms`, it is asked to. A response
   of its own that has seen what one of ours was asked for takes its place.
3. A response is known by the name that the server echoes. Until a server has echoed one, a new response is the one that
   was asked for, unless a turn of the caller's waits for its answer.
4. The caller's speech overtakes a response that was asked for and has not begun: it is cancelled as it begins.
5. A response that fails is asked for again RETRIES times, after growing pauses, and not before the server says. Then
   the model has failed. A filler or a notice can be spared.
6. A response that does not begin within `request_ms`, or brings nothing for `mute_ms`, is the session's fault; one that
   is complete but for its end is taken for over.
7. A turn of the caller's of which the server finds no end is ended by us; MOST_ENDLESS of them in a row are answered.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from bridge.call import words
from bridge.call.bounds import Bounds
from bridge.call.steps import ToModel
from bridge.call.timing import Timing
from bridge.openai_side import realtime

MOST_ENDLESS = 3
RETRIES = 2
#: The longest pause that is made because the server says so, ms: what takes longer is no use to a caller.
LONGEST_WAIT_MS = 10_000


class Wish(NamedTuple):
    """A response that is wanted: what for, and the instructions that take the place of the session's."""

    purpose: Literal["greeting", "answer", "filler", "notice", "farewell"]
    instructions: str | None = None
    note: str = ""               # what the model is told before


ANSWER = Wish("answer")
GO_ON = Wish("answer", note=words.GO_ON)


class Ended(NamedTuple):
    """A response that is done: what it was for, whether it brought audio, and whether it called a function."""

    wish: Wish
    spoke: bool
    called: bool


class Floor:
    """Owns the bounds "turn", "answer", "request", "retry" and "mute"."""

    __slots__ = (
        "owed", "speaking", "answering", "active", "wish", "_ended", "_spoke", "_called", "_whole", "_requested",
        "_wanted", "_unwanted", "overtaken", "_answered", "_echoes", "_endless", "_failures", "_not_before", "_again",
        "_wishes", "_names", "_timing", "_most_turn_ms", "_turn", "_answer", "_request", "_retry", "_mute")

    def __init__(self, bounds: Bounds, timing: Timing, *, owed: bool, most_turn_ms: float = 0.0) -> None:
        self.owed = owed                             # there is something that no response has seen
        self.speaking = False                        # the caller, as the server hears it
        self.answering = False                       # the server is about to answer a turn by itself
        self.active: str | None = None               # id of the response under way
        self.wish = ANSWER                           # what the response under way is for
        self._ended = ""                             # id of the response before it
        self._spoke = False                          # the response under way has brought audio
        self._called = False                         # the response under way has called a function
        self._whole = False                          # all that it has brought so far is complete
        self._requested: str | None = None           # name of the response that was asked for and has not begun
        self._wanted = ANSWER                        # what it was asked for
        self._unwanted = False                       # the caller has spoken since: it is cancelled when it begins
        self.overtaken = False                      # the server has begun one by itself since
        self._answered = False                       # that one has seen as much
        self._echoes = False                         # the server says which request a response is for
        self._endless = 0                            # turns without an end, in a row
        self._failures = 0                           # in a row
        self._not_before = 0.0                       # the server has said to ask for nothing until then
        self._again = ANSWER                         # what is asked for again when "retry" is due
        self._wishes: list[Wish] = []                # notices that wait for the floor
        self._names = 0
        self._timing, self._most_turn_ms = timing, most_turn_ms
        self._turn, self._answer, self._request = bounds.own("turn"), bounds.own("answer"), bounds.own("request")
        self._retry, self._mute = bounds.own("retry"), bounds.own("mute")

    @property
    def taken(self) -> bool:
        """Whether a response is under way or about to be, or the caller has the floor."""
        return bool(self.active or self._requested or self.speaking or self.answering)

    @property
    def pending(self) -> bool:
        """Whether something is still to be said."""
        return bool(self.owed or self._wishes or self._retry.is_set)

    @property
    def has_failed(self) -> bool:
        """Whether the newest response that was to be given was not."""
        return self._failures > 0

    def name(self, kind: str) -> str:
        """A new name for a request or an item of ours."""
        self._names += 1
        return f"{kind}_{self._names}"

    # ---- the caller

    def caller_speaks(self, now: float) -> None:
        self.speaking, self.answering = True, False
        self.unwant()
        self._retry.clear()
        self._answer.clear()
        if self._most_turn_ms:
            self._turn.begin(now + self._most_turn_ms)

    def caller_stopped(self, now: float) -> None:
        self.speaking, self.answering, self._endless = False, True, 0
        self._turn.clear()
        self._answer.set(now + self._timing.answer_ms)

    def caller_was_understood(self) -> None:
        """The line is not all noise."""
        self._endless = 0

    def end_turn(self) -> bool:
        """The server finds no end of the caller's turn; False: that was once too often for one more answer."""
        self.speaking = False
        self._endless += 1
        return self._endless <= MOST_ENDLESS

    def answer_is_late(self) -> None:
        """The server does not answer the caller's turn: the answer is owed."""
        self.answering, self.owed = False, True

    def unwant(self) -> None:
        """A response that was asked for and has not begun is out of date."""
        self._unwanted = self._requested is not None

    # ---- a response is asked for

    def request(self, wish: Wish, now: float) -> ToModel:
        self._requested, self._wanted = self.name(wish.purpose), wish
        self._unwanted = self.overtaken = self._answered = False
        self._request.set(now + self._timing.request_ms)
        return ToModel(realtime.create_response(self._requested, wish.instructions))

    def next(self) -> Wish | None:
        """What the floor is wanted for next, if anything; it counts as asked for."""
        if self.owed:
            self.owed = False
            return ANSWER
        if self._retry.is_set:                       # a notice in its place would be all that the caller hears
            return None
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
        if self._again.purpose == "answer":
            self.owed = False
        return self._again

    def output_told(self, now: float) -> None:
        """A function's output is owed an answer; the one that the server is about to give may not come."""
        self.owed = True
        if self.answering:
            self._answer.begin(now + self._timing.answer_ms)

    # ---- a response begins

    def is_ours(self, response: realtime.Response) -> bool:
        """Whether a response that begins is the one that was asked for."""
        request = (response.metadata or {}).get("request")
        self._echoes = self._echoes or request is not None
        return self._requested is not None and (
            request == self._requested if self._echoes else self.waits_for_request)

    @property
    def waits_for_request(self) -> bool:
        """Whether a new response can only be the one that was asked for: no turn of the caller's waits for one."""
        return self._requested is not None and not self.answering

    def ours_begins(self, response_id: str, now: float) -> bool:
        """The response that was asked for has begun; True: the caller has overtaken it, and it is to be cancelled."""
        self._begins(response_id, now)
        self.wish = self._wanted
        self.settle_request()
        if not self._unwanted:
            self._caller_is_answered()
            return False
        self._unwanted = False                       # the server's own answer to what the caller has said is to come
        return True

    def other_begins(self, response_id: str, now: float, *, all_seen: bool) -> None:
        """The server has begun a response by itself, as it does when the caller's turn is over.

        `all_seen`: it knows all function outputs.
        """
        self._begins(response_id, now)
        self._caller_is_answered()
        self.speaking = False
        self._turn.clear()
        self.wish, self._answered, self.overtaken = ANSWER, all_seen, True
        self.owed = self.owed and not all_seen

    def knows(self, response_id: str) -> bool:
        """Whether this response is under way, or was the last one that was."""
        return response_id in (self.active, self._ended)

    @property
    def awaits_response(self) -> bool:
        """Whether none is under way, and one is to begin."""
        return self.active is None and (self._requested is not None or self.answering)

    def _begins(self, response_id: str, now: float) -> None:
        self.active = response_id
        self._spoke = self._called = self._whole = False
        self._mute.set(now + self._timing.mute_ms)

    # ---- it goes on, and ends

    def sounded(self, now: float, unheard_ms: float) -> None:
        """It has brought audio."""
        self._spoke, self._whole = True, False
        if self.active:
            self._mute.set(now + unheard_ms + self._timing.mute_ms)

    def item_complete(self) -> None:
        """All of an item of it has come."""
        self._whole = True

    def acted(self, now: float, unheard_ms: float) -> None:
        """It has called a function."""
        self._called = self._whole = True
        if self.active:
            self._mute.set(now + unheard_ms + self._timing.mute_ms)

    @property
    def only_lacks_end(self) -> bool:
        """Whether the response under way has brought all it began."""
        return self.active is not None and self._whole

    def done(self) -> Ended:
        """It is over."""
        self._ended, self.active = self.active or "", None
        self._mute.clear()
        return Ended(self.wish, self._spoke, self._called)

    def answered(self) -> None:
        """It was an answer with sound that did not fail."""
        self._failures = 0

    # ---- it fails

    def failed(self, wish: Wish, wait_ms: float, now: float) -> Literal["spared", "again", "given up"]:
        """A response was not given: it is asked for again after a pause, or can be spared, or the model has failed.

        `wait_ms`: how long the server says to wait.
        """
        if wish.purpose in ("filler", "notice") or self.speaking:
            return "spared"                          # the caller's speech makes it out of date
        if now >= self._not_before:                  # else the caller has spoken meanwhile, and met the same limit
            self._failures += 1
            self._not_before = now + wait_ms
        if self._failures > RETRIES or wait_ms > LONGEST_WAIT_MS:
            return "given up"
        self._again = wish
        self._retry.set(max(now + self._timing.retry_ms * self._failures, now + wait_ms, self._not_before))
        return "again"

    def session_failed(self) -> bool:
        """The session does not do what every session does; True: that was once too often."""
        self._failures += 1
        return self._failures > RETRIES

    def own_answer_failed(self) -> bool:
        """The server says, of no request of ours, that it cannot answer; whether it was about to."""
        answering, self.answering = self.answering, False
        if answering:
            self._answer.clear()
        return answering

    def refused(self, error: realtime.ErrorDetails) -> Wish | None:
        """The wish that a request was for which the server refuses, if this error is about one.

        Where the server never says what an error is about, nothing else explains one like this.
        """
        if self._requested is None:
            return None
        if error.event_id is not None:
            return self._wanted if error.event_id == self._requested else None
        explained = self._echoes or self.answering or not (error.back_off or error.already_active)
        return None if explained else self._wanted

    def give_way(self) -> None:
        """Another response was faster than the one asked for, which follows it unless that one knows as much."""
        self.settle_request()
        self.owed = self.owed or self._wanted.purpose == "answer" and not self._answered
        if self._wanted.purpose == "notice" and not self._unwanted:
            self._wishes.insert(0, self._wanted)

    def settle_request(self) -> None:
        """The response that was asked for has begun, or is waited for no more."""
        self._requested = None
        self._request.clear()

    # ---- the session is gone

    def lost(self, *, leaving: bool) -> None:
        """The session is gone, in the middle of whatever was said. `leaving`: the response under way was a goodbye."""
        under_way = [*self._under_way()]
        caller_first = self.speaking or self.answering       # what the caller says has put it out of date
        self.owed = self.owed or caller_first or not leaving and any(
            wish.purpose in ("greeting", "answer") for wish in under_way)
        if not caller_first:
            self._wishes[:0] = [wish for wish in under_way if wish.purpose == "notice"]

    def forget_session(self) -> None:
        self._requested = self.active = None
        self._unwanted = self.speaking = self.answering = False
        for bound in (self._turn, self._answer, self._request, self._retry, self._mute):
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
