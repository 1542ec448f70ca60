"""Who has the floor, the caller or a response of the model, and what the model is asked to say.

Pure. Times are ms.

1. We ask for a response only when nobody has the floor: no response is active or on its way, the caller does not speak,
   and the server is not about to answer the caller's turn by itself. One response answers everything that is owed.
2. The server answers the caller's turn by itself. If it does not within answer_ms, we ask it to. If the server begins a
   response by itself that has seen everything ours was asked for, that response takes the place of ours.
3. A response is recognized by the name that the server echoes. Until a server has echoed one, a new response is taken
   for the requested one, unless a turn of the caller waits for its answer.
4. The caller's speech overtakes a response that was asked for and has not begun. It is cancelled when it begins.
5. A response that fails is asked for again RETRIES times, after growing pauses, and not before the server says. Then
   the model has failed. A filler or a notice is not repeated.
6. If a response does not begin within request_ms, or brings nothing for mute_ms, the session is at fault. If a response
   lacks nothing but its end, it is taken for over.
7. If the server finds no end of the caller's turn, we end it. MOST_ENDLESS such turns in a row are answered.
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
#: The longest pause that the server may ask for (ms). A caller does not wait longer, so the model has failed then.
LONGEST_WAIT_MS = 10_000


class Wish(NamedTuple):
    """A wanted response: its purpose, and the instructions that replace the session's. None: the session's own."""

    purpose: Literal["greeting", "answer", "filler", "notice", "farewell"]
    instructions: str | None = None
    note: str = ""               # the model is told this before it is asked again


ANSWER = Wish("answer")
GO_ON = Wish("answer", note=words.GO_ON)


class Ended(NamedTuple):
    """A response that is over: what it was for, whether it brought audio, and whether it called a function."""

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
        self.owed = owed                             # the caller is owed an answer to something no response has seen
        self.speaking = False                        # the caller is speaking, as the server hears it
        self.answering = False                       # the server is about to answer a turn by itself
        self.active: str | None = None               # id of the response under way
        self.wish = ANSWER                           # what the response under way is for
        self._ended = ""                             # id of the response before it
        self._spoke = False                          # the response under way has brought audio
        self._called = False                         # the response under way has called a function
        self._whole = False                          # every item of the response under way is complete so far
        self._requested: str | None = None           # name of the response that was asked for and has not begun
        self._wanted = ANSWER                        # what the requested response is for
        self._unwanted = False                       # the caller has spoken since: cancel it when it begins
        self.overtaken = False                       # the server has begun another response by itself since
        self._answered = False                       # that other response has seen all function outputs
        self._echoes = False                         # the server says which request a response is for
        self._endless = 0                            # turns without an end, in a row
        self._failures = 0                           # failed responses, in a row
        self._not_before = 0.0                       # the server has said to ask for nothing until then
        self._again = ANSWER                         # what to ask for again when "retry" is due
        self._wishes: list[Wish] = []                # notices that wait for the floor
        self._names = 0                              # how many names were given
        self._timing, self._most_turn_ms = timing, most_turn_ms
        self._turn, self._answer, self._request = bounds.own("turn"), bounds.own("answer"), bounds.own("request")
        self._retry, self._mute = bounds.own("retry"), bounds.own("mute")

    @property
    def taken(self) -> bool:
        """Whether a response is under way, requested or about to begin, or the caller speaks."""
        return bool(self.active or self._requested or self.speaking or self.answering)

    @property
    def pending(self) -> bool:
        """Whether something is still to be said."""
        return bool(self.owed or self._wishes or self._retry.is_set)

    @property
    def has_failed(self) -> bool:
        """Whether a response, or the session, has failed since the last good answer."""
        return self._failures > 0

    def name(self, kind: str) -> str:
        """A new name for a request or an item of ours, such as "answer_7"."""
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
        """A word of the caller was understood: the line is not all noise."""
        self._endless = 0

    def end_turn(self) -> bool:
        """The server finds no end of the caller's turn. False: too many in a row had none, this one is not answered."""
        self.speaking = False
        self._endless += 1
        return self._endless <= MOST_ENDLESS

    def answer_is_late(self) -> None:
        """The server does not answer the caller's turn by itself: the answer is owed."""
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
        """Takes the next wish off the list, to be requested now. None: nothing is wished for."""
        if self.owed:
            self.owed = False
            return ANSWER
        if self._retry.is_set:                       # else the notice would take the place of the repeated answer
            return None
        return self._wishes.pop(0) if self._wishes else None

    def notice(self, instructions: str) -> None:
        """Queues a notice for the caller, until the floor is free."""
        self._wishes.append(Wish("notice", instructions))

    def leave(self) -> None:
        """From now on only a goodbye is to be said."""
        self.owed = False
        self._wishes.clear()

    def retry(self) -> Wish | None:
        """The pause after a failure is over: the wish to ask for again. None: the floor is taken."""
        if self.taken:
            return None
        if self._again.purpose == "answer":
            self.owed = False
        return self._again

    def output_told(self, now: float) -> None:
        """A function's output was sent, so an answer is owed. The server's own answer to the turn may not come."""
        self.owed = True
        if self.answering:
            self._answer.begin(now + self._timing.answer_ms)

    # ---- a response begins

    def is_ours(self, response: realtime.Response) -> bool:
        """Whether a response that begins is the requested one."""
        request = (response.metadata or {}).get("request")
        self._echoes = self._echoes or request is not None
        return self._requested is not None and (
            request == self._requested if self._echoes else self.waits_for_request)

    @property
    def waits_for_request(self) -> bool:
        """Whether a new response can only be the requested one: no turn of the caller waits for an answer."""
        return self._requested is not None and not self.answering

    def ours_begins(self, response_id: str, now: float) -> bool:
        """The requested response has begun. True: the caller has overtaken it, and it is to be cancelled."""
        self._begins(response_id, now)
        self.wish = self._wanted
        self.settle_request()
        if not self._unwanted:
            self._caller_is_answered()
            return False
        self._unwanted = False                       # the server will answer the caller's speech by itself
        return True

    def other_begins(self, response_id: str, now: float, *, all_seen: bool) -> None:
        """The server has begun a response by itself, as it does when the caller's turn is over.

        `all_seen`: the response has seen all function outputs.
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
        """Whether no response is under way, and one is to begin."""
        return self.active is None and (self._requested is not None or self.answering)

    def _begins(self, response_id: str, now: float) -> None:
        self.active = response_id
        self._spoke = self._called = self._whole = False
        self._mute.set(now + self._timing.mute_ms)

    # ---- it goes on, and ends

    def sounded(self, now: float, unheard_ms: float) -> None:
        """The response has brought audio."""
        self._spoke, self._whole = True, False
        if self.active:
            self._mute.set(now + unheard_ms + self._timing.mute_ms)

    def item_complete(self) -> None:
        """An item of the response is complete."""
        self._whole = True

    def acted(self, now: float, unheard_ms: float) -> None:
        """The response has called a function."""
        self._called = self._whole = True
        if self.active:
            self._mute.set(now + unheard_ms + self._timing.mute_ms)

    @property
    def only_lacks_end(self) -> bool:
        """Whether the response under way has completed every item that it began."""
        return self.active is not None and self._whole

    def done(self) -> Ended:
        """The response under way is over."""
        self._ended, self.active = self.active or "", None
        self._mute.clear()
        return Ended(self.wish, self._spoke, self._called)

    def answered(self) -> None:
        """The response brought sound and did not fail: the count of failures begins anew."""
        self._failures = 0

    # ---- it fails

    def failed(self, wish: Wish, wait_ms: float, now: float) -> Literal["spared", "again", "given up"]:
        """A response failed. `wait_ms`: how long the server says to wait.

        "spared": the response is not needed any more. "again": it is to be repeated when the bound "retry" is due.
        "given up": the model has failed.
        """
        if wish.purpose in ("filler", "notice") or self.speaking:
            return "spared"                          # the caller's speech makes it out of date
        if now >= self._not_before:                  # else this is the same limit, met by the caller's next turn
            self._failures += 1
            self._not_before = now + wait_ms
        if self._failures > RETRIES or wait_ms > LONGEST_WAIT_MS:
            return "given up"
        self._again = wish
        self._retry.set(max(now + self._timing.retry_ms * self._failures, now + wait_ms, self._not_before))
        return "again"

    def session_failed(self) -> bool:
        """The session does not do what every session does. True: it has failed too often in a row."""
        self._failures += 1
        return self._failures > RETRIES

    def own_answer_failed(self) -> bool:
        """An error says that the server cannot answer by itself. True: it was about to answer the caller's turn."""
        answering, self.answering = self.answering, False
        if answering:
            self._answer.clear()
        return answering

    def refused(self, error: realtime.ErrorDetails) -> Wish | None:
        """The wish of our request, if the error is about that request. None: the error is about something else.

        A server may never say what an error is about. Then our request is taken for refused, if nothing else explains
        the error.
        """
        if self._requested is None:
            return None
        if error.event_id is not None:
            return self._wanted if error.event_id == self._requested else None
        explained = self._echoes or self.answering or not (error.back_off or error.already_active)
        return None if explained else self._wanted

    def give_way(self) -> None:
        """The server's own response was faster than ours. Ours follows, unless the other has seen as much."""
        self.settle_request()
        self.owed = self.owed or self._wanted.purpose == "answer" and not self._answered
        if self._wanted.purpose == "notice" and not self._unwanted:
            self._wishes.insert(0, self._wanted)

    def settle_request(self) -> None:
        """The requested response has begun, or is not waited for any more."""
        self._requested = None
        self._request.clear()

    # ---- the session is gone

    def lost(self, *, leaving: bool) -> None:
        """The session is gone, perhaps in mid-answer. `leaving`: the response under way was the model's goodbye."""
        under_way = [*self._under_way()]
        caller_first = self.speaking or self.answering       # the caller's speech has put our requests out of date
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
        """The wishes of the response under way, of the requested one, and of the one to be repeated."""
        if self.active:
            yield self.wish
        if self._requested:
            yield self._wanted
        if self._retry.is_set:
            yield self._again

    def _caller_is_answered(self) -> None:
        self.answering = False
        self._answer.clear()
