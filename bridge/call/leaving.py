"""How the assistant leaves the caller: it says goodbye, the caller hears it, and the call ends or is transferred.

Pure; times are ms.

1. A goodbye comes with the response in which the model wanted to leave, if that speaks; else one is asked for.
2. If the caller speaks, the goodbye is cancelled; a key press cancels a hang-up but not a transfer. A goodbye forced by
   time or money is never cancelled: it is said again once the caller is silent.
3. What the caller is owed comes before a goodbye, unless that is forced.
4. Where the goodbye does not begin within BEGIN_MS, plays `overrun_ms` longer than its audio, or, forced, is not heard
   within LAST_MS, the caller is left without.
"""

from dataclasses import dataclass

from bridge.call.bounds import BEGIN_MS, Bounds
from bridge.call.steps import HangUp, Transfer
from bridge.call.timing import Timing
from bridge.records.endings import Ending

#: How long a call goes on at most that has to end, ms.
LAST_MS = 20_000
#: Between the last heard word and the end of the call, ms: the way from Twilio to the caller's ear.
TAIL_MS = 300


@dataclass(slots=True)
class _Goodbye:
    then: HangUp | Transfer      # done once the goodbye was heard
    words: str                   # the instructions for it
    response_id: str = ""        # the response in which the model wanted to leave; "": the goodbye is to be asked for
    firm: bool = False           # the caller cannot cancel it
    until: float = float("inf")  # a firm one is over then at the latest
    said: bool = False           # it is complete; only the caller's ear is awaited
    heard: bool = False


class Leaving:
    """Owns the bound "goodbye": when it is due, `part` says what is done."""

    __slots__ = ("connecting", "_goodbye", "_overrun_ms", "_due")

    def __init__(self, bounds: Bounds, timing: Timing) -> None:
        self.connecting = False                      # the caller is being connected with a person
        self._goodbye: _Goodbye | None = None
        self._overrun_ms = timing.overrun_ms
        self._due = bounds.own("goodbye")

    def __bool__(self) -> bool:
        """Whether a goodbye is wanted, under way, or said."""
        return self._goodbye is not None

    @property
    def is_firm(self) -> bool:
        """Whether a goodbye is wanted that the caller cannot cancel."""
        return self._goodbye is not None and self._goodbye.firm

    # ---- it is wanted

    def model_wants(self, then: HangUp | Transfer, words: str, response_id: str, now: float, unheard_ms: float) -> None:
        """The model has called the function that leaves, in this response. A firm goodbye stays as it is."""
        if self._goodbye is None or not self._goodbye.firm:
            self._goodbye = _Goodbye(then, words, response_id)
            self._due.set(now + BEGIN_MS + unheard_ms)

    def server_wants(
        self, then: HangUp | Transfer, words: str, now: float, unheard_ms: float, *, firm: bool,
    ) -> bool:
        """The server wants to leave; False: a goodbye that weighs as much is under way."""
        if self._goodbye and (self._goodbye.firm or not firm):
            return False
        self._goodbye = _Goodbye(then, words, firm=firm, until=now + LAST_MS if firm else float("inf"))
        self._due.set(self._goodbye.until if firm else now + BEGIN_MS + unheard_ms)
        return True

    def server_stops(self, ending: Ending, now: float, unheard_ms: float) -> None:
        """A recorded goodbye is playing, and the call ends after it."""
        self._goodbye = _Goodbye(HangUp(ending), "", firm=True, said=True)
        self._due.set(now + unheard_ms + self._overrun_ms)

    # ---- it is said

    def is_next(self, owed: bool) -> bool:
        """Whether the goodbye's turn has come; `owed`: the caller is owed an answer."""
        return self._goodbye is not None and not self._goodbye.said and (self._goodbye.firm or not owed)

    def words_for(self, owed: bool) -> str | None:
        """The instructions of the response that is to be asked for now, if one is."""
        goodbye = self._goodbye
        return goodbye.words if goodbye and not goodbye.response_id and self.is_next(owed) else None

    def was_wanted_in(self, response_id: str | None) -> bool:
        """Whether this response is the one in which the model wanted to leave."""
        return self._goodbye is not None and bool(response_id) and response_id == self._goodbye.response_id

    def sounded(self, now: float, unheard_ms: float, *, farewell: bool) -> None:
        """Audio was sent; `farewell`: of a goodbye that was asked for."""
        if self._goodbye and (farewell or not self._goodbye.firm):
            self._due.set(min(now + unheard_ms + self._overrun_ms, self._goodbye.until))

    def function_returned(self, now: float) -> None:
        """First the caller hears what came of it."""
        if self._goodbye and not self._goodbye.firm:
            self._due.set(now + BEGIN_MS)

    def response_done(self, response_id: str, now: float, *, spoke: bool, farewell: bool, dropped: bool) -> bool:
        """A response is complete while the goodbye's turn has come: whether it was the goodbye."""
        goodbye = self._goodbye
        assert goodbye
        by_model = bool(goodbye.response_id) and (spoke or response_id != goodbye.response_id)
        goodbye.said = by_model or farewell and not dropped
        if not goodbye.said:
            goodbye.response_id = ""
            if not goodbye.firm:
                self._due.set(now + BEGIN_MS)
        return goodbye.said

    def all_heard(self, now: float) -> None:
        """The caller has heard all that was sent."""
        if self._goodbye and self._goodbye.said and not self._goodbye.heard:
            self._goodbye.heard = True
            self._due.set(now + TAIL_MS)

    # ---- it is taken back, or over

    def caller_speaks(self) -> None:
        if self._goodbye is None:
            return
        if not self._goodbye.firm:
            self._take_back()
        else:
            self._goodbye.said = self._goodbye.heard = False
            self._due.set(self._goodbye.until)

    def key_pressed(self) -> None:
        if self._goodbye and isinstance(self._goodbye.then, HangUp) and not self._goodbye.firm:
            self._take_back()

    def forget_session(self) -> None:
        """What the session said of a goodbye is lost: it is asked for."""
        if self._goodbye:
            self._goodbye.response_id = ""

    def part(self) -> HangUp | Transfer | None:
        """The goodbye was heard, or is not waited for any more: what is done. A transfer may take a while."""
        goodbye, self._goodbye = self._goodbye, None
        if goodbye is None:
            return None
        self.connecting = isinstance(goodbye.then, Transfer)
        return goodbye.then

    def transfer_failed(self) -> None:
        self.connecting = False

    def _take_back(self) -> None:
        self._goodbye = None
        self._due.clear()
