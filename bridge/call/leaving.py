"""How the assistant leaves the caller: it says goodbye, the caller hears it, and the call ends or is transferred.

Pure. Times are ms.

1. If the response in which the model wanted to leave speaks, that speech is the goodbye. Otherwise one is asked for.
2. If the caller speaks, the goodbye is cancelled. A key press cancels a hang-up but not a transfer. A goodbye forced by
   time or money is never cancelled. It is said again once the caller is silent.
3. An answer that the caller is owed comes before a goodbye, but not before a forced one.
4. The call ends, or is transferred, without the goodbye if that does not begin within BEGIN_MS, plays overrun_ms longer
   than its audio, or, when forced, is not heard within LAST_MS.
"""

from dataclasses import dataclass

from bridge.call.bounds import BEGIN_MS, Bounds
from bridge.call.steps import HangUp, Transfer
from bridge.call.timing import Timing
from bridge.records.endings import Ending

#: How long a call with a forced goodbye goes on at most (ms).
LAST_MS = 20_000
#: The pause between the goodbye's last mark and the end of the call (ms): the way from Twilio to the caller's ear.
TAIL_MS = 300


@dataclass(slots=True)
class _Goodbye:
    then: HangUp | Transfer      # done once the goodbye was heard
    words: str                   # the instructions for the goodbye
    response_id: str = ""        # the response in which the model wanted to leave. "": the goodbye is to be asked for
    firm: bool = False           # forced: the caller cannot cancel it
    until: float = float("inf")  # the latest end of a firm goodbye
    said: bool = False           # the model has said it. The caller may still be hearing it
    heard: bool = False


class Leaving:
    """Owns the bound "goodbye". When it is due, `part` returns what to do."""

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
        """Whether a forced goodbye is wanted, under way, or said: the caller cannot cancel it."""
        return self._goodbye is not None and self._goodbye.firm

    # ---- it is wanted

    def model_wants(self, then: HangUp | Transfer, words: str, response_id: str, now: float, unheard_ms: float) -> None:
        """In this response the model has called a function that leaves the caller. A firm goodbye stays as it is."""
        if self._goodbye is None or not self._goodbye.firm:
            self._goodbye = _Goodbye(then, words, response_id)
            self._due.set(now + BEGIN_MS + unheard_ms)

    def server_wants(
        self, then: HangUp | Transfer, words: str, now: float, unheard_ms: float, *, firm: bool,
    ) -> bool:
        """The server wants to leave. False: another goodbye stands, and it weighs as much as this one."""
        if self._goodbye and (self._goodbye.firm or not firm):
            return False
        self._goodbye = _Goodbye(then, words, firm=firm, until=now + LAST_MS if firm else float("inf"))
        self._due.set(self._goodbye.until if firm else now + BEGIN_MS + unheard_ms)
        return True

    def server_stops(self, ending: Ending, now: float, unheard_ms: float) -> None:
        """A recorded goodbye is playing. The call ends with `ending` after it."""
        self._goodbye = _Goodbye(HangUp(ending), "", firm=True, said=True)
        self._due.set(now + unheard_ms + self._overrun_ms)

    # ---- it is said

    def is_next(self, owed: bool) -> bool:
        """Whether it is the goodbye's turn. `owed`: the caller is owed an answer."""
        return self._goodbye is not None and not self._goodbye.said and (self._goodbye.firm or not owed)

    def words_for(self, owed: bool) -> str | None:
        """The instructions to ask for the goodbye with. None: it is not to be asked for now."""
        goodbye = self._goodbye
        return goodbye.words if goodbye and not goodbye.response_id and self.is_next(owed) else None

    def was_wanted_in(self, response_id: str | None) -> bool:
        """Whether this response is the one in which the model wanted to leave."""
        return self._goodbye is not None and bool(response_id) and response_id == self._goodbye.response_id

    def sounded(self, now: float, unheard_ms: float, *, farewell: bool) -> None:
        """Audio was sent. `farewell`: it belongs to a goodbye that was asked for."""
        if self._goodbye and (farewell or not self._goodbye.firm):
            self._due.set(min(now + unheard_ms + self._overrun_ms, self._goodbye.until))

    def function_returned(self, now: float) -> None:
        """A function has returned: the caller hears of that first, and the goodbye gets a new BEGIN_MS."""
        if self._goodbye and not self._goodbye.firm:
            self._due.set(now + BEGIN_MS)

    def response_done(self, response_id: str, now: float, *, spoke: bool, farewell: bool, dropped: bool) -> bool:
        """A response is complete while it is the goodbye's turn. True: it was the goodbye.

        To be called only while `is_next`. `dropped`: the response was cut or cancelled.
        """
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
        """The session is gone, and its goodbye with it: the goodbye is asked for again."""
        if self._goodbye:
            self._goodbye.response_id = ""

    def part(self) -> HangUp | Transfer | None:
        """The goodbye was heard, or is not waited for any more: returns what to do. A transfer may take a while."""
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
