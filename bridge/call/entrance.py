"""The entrance: decides which streams may become a call, and what is known of the caller then.

Pure. `CallSession` is handed the entrance and knows no other way in.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.twilio_side.caller import Caller
from bridge.twilio_side.media_streams import StartBody


class NotLetIn(Exception):
    """The stream may not come in. The message is the kind of `Fault` that this is counted as."""


@dataclass(frozen=True, slots=True)
class Entered:
    """What is known of a call whose stream was let in: the caller, and the number that was called."""

    caller: Caller
    called: str = ""
    #: Returns what was said in an earlier stream of the call, as `History.dump` wrote it, or "". None: this is the
    #: first stream. The call asks while the model's session is being opened.
    recall: Callable[[], Awaitable[str]] | None = None


#: Decides by a stream's `start` message. Raises NotLetIn. No session of the model is opened before it returns.
Enter = Callable[[StartBody], Awaitable[Entered]]
