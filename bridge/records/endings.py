"""The ways in which a call can end, and what each means for what follows.

Pure.
"""

from enum import StrEnum


class Ending(StrEnum):
    """Why a call's stream is over, in the words of the log, the metrics and the database.

    - caller hung up, phone lost: the phone's socket closed, in order or not.
    - assistant ended, caller silent, line too noisy, time used up, money used up: the call ended after a goodbye.
    - transferred: Twilio's REST API has led the call to a person. It is not ours any more, and must not be completed.
    - server stopping: after a recorded goodbye. server killed: at once.
    - model unreachable, model refused, model failed, wrong audio format, internal error: the phone's stream is closed,
      and the caller hears the fallback, which is what follows the stream (twilio_side/twiml.py).
    - no start: a stream that does not say in time which call it is, or says other things first.
    - stream refused: its token is not that of a webhook's answer to this call. No session was opened.
    - phone too fast: a phone that sends more than MAX_MESSAGES_PER_S for too long.
    - phone stalled: a socket that took nothing for too long, or that much was waiting for.
    - server lost: the process that carried the call was killed, or its machine was. Another process has found that out.
    - fallback: the call never had a stream. Its webhook was answered with the fallback.
    - rejected: the call was not answered, because of a limit or the block list.
    - unknown: the word in the database was written by another version.

    An ending in order is known before the phone's stream is closed, so that no fallback follows. With REST the call is
    completed. Without REST Twilio asks a server what follows, and that server knows the ending.
    """

    CALLER_HUNG_UP = "caller hung up"
    PHONE_LOST = "phone lost"
    ASSISTANT_ENDED = "assistant ended"
    CALLER_SILENT = "caller silent"
    LINE_TOO_NOISY = "line too noisy"
    TIME_USED_UP = "time used up"
    MONEY_USED_UP = "money used up"
    TRANSFERRED = "transferred"
    SERVER_STOPPING = "server stopping"
    SERVER_KILLED = "server killed"
    MODEL_UNREACHABLE = "model unreachable"
    MODEL_REFUSED = "model refused"
    MODEL_FAILED = "model failed"
    WRONG_AUDIO_FORMAT = "wrong audio format"
    INTERNAL_ERROR = "internal error"
    NO_START = "no start"
    STREAM_REFUSED = "stream refused"
    PHONE_TOO_FAST = "phone too fast"
    PHONE_STALLED = "phone stalled"
    SERVER_LOST = "server lost"
    FALLBACK = "fallback"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @classmethod
    def read(cls, word: str) -> "Ending":
        """The ending that a stored word stands for. UNKNOWN for a word that this version does not have."""
        return cls(word) if word in _WORDS else cls.UNKNOWN

    @property
    def in_order(self) -> bool:
        """Whether nothing more is owed to the caller. After any other ending the caller may still be on the line."""
        return self in _IN_ORDER

    @property
    def by_caller(self) -> bool:
        """Whether the call has left us when its stream ends. No more can be done for it, and Twilio asks nothing."""
        return self in (Ending.CALLER_HUNG_UP, Ending.TRANSFERRED)

    @property
    def by_server(self) -> bool:
        """Whether the server ended the call because it stops. The phone's socket is closed as "going away" (1001)."""
        return self in (Ending.SERVER_STOPPING, Ending.SERVER_KILLED)

    @property
    def by_model(self) -> bool:
        """Whether the call ended because the model did not answer."""
        return self in (Ending.MODEL_UNREACHABLE, Ending.MODEL_REFUSED, Ending.MODEL_FAILED)

    @property
    def comes_back(self) -> bool:
        """Whether the caller may come back to the assistant, so that the conversation is kept."""
        return self is Ending.TRANSFERRED


_WORDS = frozenset(each.value for each in Ending)
_IN_ORDER = frozenset({
    Ending.CALLER_HUNG_UP, Ending.ASSISTANT_ENDED, Ending.CALLER_SILENT, Ending.LINE_TOO_NOISY, Ending.TIME_USED_UP,
    Ending.MONEY_USED_UP, Ending.TRANSFERRED, Ending.SERVER_STOPPING,
})
