"""What the simulated model says, and what goes wrong on the way: the words a demo or a test writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """One message of the assistant: its words and their sound (mu-law, 8 kHz)."""

    text: str
    audio: bytes = b""


@dataclass(frozen=True)
class Call:
    """One function call; text as `arguments` is sent as it is, broken JSON too."""

    name: str
    arguments: str | Mapping[str, object]


@dataclass(frozen=True)
class Turn:
    """What one response brings. `caller`: how the utterance that led to it is transcribed.

    `incomplete`: the response ends so after its output, for this reason: `max_output_tokens` or `content_filter`.
    """

    output: tuple[Line | Call, ...] = ()
    caller: str = ""
    incomplete: str = ""


#: What is said once a script is used up, as a real model goes on to say something: 300 ms, a hum of 500 Hz.
AFTERWARDS = Turn((Line("Mm-hm.", (b"\x30" * 8 + b"\xb0" * 8) * 150),))


@dataclass(frozen=True)
class Faults:
    """What goes wrong with a connection. Those of a server may be changed between two connections."""

    #: The upgrade is answered by this HTTP status.
    refuse_status: int | None = None
    #: The upgrade is never answered.
    hang_handshake: bool = False
    #: No `session.created` comes, nor anything else.
    never_created: bool = False
    #: An `error` with this code comes in the place of `session.created`, then the connection is closed: how a key that
    #: may not use the Realtime API, an account without credit or an unknown model is often refused.
    refuse_session: str | None = None
    #: `session.update` leaves the output at audio/pcm: loud static on a phone.
    wrong_format: bool = False
    #: An `error` with this code follows `session.created`, then the connection is closed.
    error_after_created: str | None = None
    #: After so many audio deltas the TCP connection breaks.
    drop_after_deltas: int | None = None
    #: Right after this event was sent, or received, the TCP connection breaks.
    drop_after: str | None = None
    #: (n, code): after n audio deltas the server closes with that code.
    close_after_deltas: tuple[int, int] | None = None
    #: Unknown kinds of events between the others, and an unknown field in every event.
    unknown_events: bool = False
    #: After the first `session.updated` nothing is read any more: a server that hangs.
    stop_reading: bool = False
    #: After `session.updated`: a text that is no JSON, and JSON that is no object.
    malformed: bool = False
    #: After n audio deltas nothing is sent or answered any more, pings neither; the connection stays open.
    silent_after_deltas: int | None = None
    #: Pings are not answered; everything else goes on.
    no_pongs: bool = False
    #: The first n responses of a session end `failed`, as they do when a rate limit is reached: the code and the words.
    fail_responses: int = 0
    failure: tuple[str, str] = ("rate_limit_exceeded", "Rate limit reached for requests per minute.")
    #: The first n `response.create` of a session are answered by the error `rate_limit_exceeded`, in these words.
    limit_responses: int = 0
    limit: str = "Rate limit reached for requests per minute."
    #: The first n responses of a session are created, and nothing of them ever comes.
    mute_responses: int = 0
    #: Once the script is used up, responses are completed without a word or a sound.
    empty_when_used_up: bool = False
    #: The caller's first n turns in a session are heard, and no response begins.
    ignore_turns: int = 0
    #: So many deltas of a cancelled response still come after `speech_started`, before its `response.done`.
    late_deltas: int = 0
    #: No response tells the metadata of its request, and no error the event that it is about.
    no_metadata: bool = False
    #: What only informs has the wrong shape in every event: numbers as text, `null` in the place of lists, and so on.
    odd_fields: bool = False
    #: The first n events of a kind are never sent.
    lost: Mapping[str, int] = field(default_factory=dict)
    #: The longest a session lasts, ms: `session_expired`, then close 1001.
    expire_after_ms: int = 60 * 60 * 1000
    #: When it says that it ends, seconds since 1970, whenever it does; None: the truth.
    says_expires_at: int | None = None
