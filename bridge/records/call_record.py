"""The record of a call: what was said and heard, in order, and the call's figures. Plain values.

Times within a call are ms since it was opened.
"""

from typing import Any, Literal

import msgspec

#: Who a turn is by. The server's are what happened to the call.
By = Literal["caller", "assistant", "server"]
#: words: of either side. filler: the assistant's, or a recorded sentence, that only bridges a wait. keys: the caller's.
#: function: the assistant has called one. event: what happened to the call.
Kind = Literal["words", "filler", "keys", "function", "event"]


class Turn(msgspec.Struct, omit_defaults=True):
    """One thing that was said or that happened. `n` names it within its call; `position` is its place among them."""

    n: int
    by: By
    kind: Kind
    at_ms: int
    position: float
    text: str = ""               # all of it, heard or not; of a function: its name; of an event: what it is
    heard: int | None = None     # of the assistant: so many characters of the text were heard; None: not known yet
    heard_ms: int | None = None
    sent_ms: int | None = None   # more than heard_ms: it was cut
    first_ms: int | None = None  # from the end of the caller's words to the first sound of any kind
    answer_ms: int | None = None         # ... to the first sound of the answer
    silence_ms: int | None = None        # ... the longest silence meanwhile
    data: dict[str, Any] = {}    # purpose, arguments, answer, status, seconds, unclear

    @property
    def was_cut(self) -> bool:
        """Whether the caller interrupted it, or the call ended in the middle of it."""
        return self.sent_ms is not None and self.heard_ms is not None and self.heard_ms < self.sent_ms


class Call(msgspec.Struct, omit_defaults=True):
    """A call's head: who, when, how it ended, and its figures. Moments are seconds since 1970."""

    call_sid: str
    started_at: float
    caller: str = ""             # E.164; "": the number is hidden
    called: str = ""
    agent: str = ""
    answered_by: str = "assistant"       # or fallback: the model could not be reached; or nobody: it was rejected
    test: bool = False
    process: str = ""
    ended_at: float | None = None
    ending: str = ""             # "": it goes on
    first_audio_ms: int | None = None
    turns: int = 0               # the caller's
    interruptions: int = 0
    sessions: int = 1            # of the model, one after the other
    answer_p50_ms: int | None = None
    answer_max_ms: int | None = None
    silence_ms: int | None = None        # the longest that a caller has waited without a sound
    usd: float = 0.0
    tokens: dict[str, int] = {}  # "input audio", "cached text", ...
    model: str = ""
    voice: str = ""
    summary: str = ""            # JSON of the summary; "": there is none
    consent: str = ""            # JSON of how the caller learned of the recording (call/consent.py); "": in no way
    recording: str = ""          # where the recording is, one line for each stream of the call; "": there is none

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it goes on, and where a clock was set back between two streams of it."""
        return 0.0 if self.ended_at is None else max(0.0, self.ended_at - self.started_at)


class CallRecord(msgspec.Struct):
    """A call and its turns, in their order."""

    call: Call
    turns: list[Turn]
