"""The entrance: who is let into a call, and with what. It is handed to `CallSession`, which knows no other way in.

Pure.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.twilio_side.caller import Caller
from bridge.twilio_side.media_streams import StartBody


class NotLetIn(Exception):
    """The stream is not one that may come in. The message is the `Fault` that this is counted as."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Who has come in: the caller, and the number that was called."""

    caller: Caller
    called: str = ""
    #: Asks for what was said in an earlier stream of the call, as `History.dump` wrote it, or "". None: it is the first
    #: stream. It is asked for while the model's session is being opened.
    recall: Callable[[], Awaitable[str]] | None = None


#: Lets a stream in that says this of itself. Raises NotLetIn. Nothing is opened at the model before it returns.
Enter = Callable[[StartBody], Awaitable[Entered]]
