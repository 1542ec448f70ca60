"""The words in which a demo or a test writes what the simulated model says, and what goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """One message of the assistant: its words and their sound (mu-law, 8 kHz)."""

    text: str
    audio: bytes = b""


@dataclass(frozen=True)
class Call:
    """One function call. A text as `arguments` is sent as it is, broken JSON too."""

    name: str
    arguments: str | Mapping[str, object]


@dataclass(frozen=True)
class Turn:
    """The output of one response. `caller`: the transcript of the utterance that led to it.

    `incomplete`: the response ends incomplete, for this reason: `max_output_tokens` or `content_filter`.
    """

    output: tuple[Line | Call, ...] = ()
    caller: str = ""
    incomplete: str = ""


#: The turn after the end of a script, because a real model goes on to say something: a hum of 500 Hz, 300 ms.
AFTERWARDS = Turn((Line("Mm-hm.", (b"\x30" * 8 + b"\xb0" * 8) * 150),))


@dataclass(frozen=True)
class Faults:
    """What goes wrong with a connection. A server's faults may be changed between two connections."""

    #: The upgrade is answered with this HTTP status.
    refuse_status: int | None = None
    #: The upgrade is never answered.
    hang_handshake: bool = False
    #: Neither `session.created` nor any other event comes.
    never_created: bool = False
    #: An `error` with this code comes in the place of `session.created`, then the connection is closed: how a key that
    #: may not use the Realtime API, an account without credit or an unknown model is often refused.
    refuse_session: str | None = None
    #: `session.update` leaves the output at audio/pcm: loud static on a phone.
    wrong_format: bool = False
    #: An `error` with this code follows `session.created`, then the connection is closed.
    error_after_created: str | None = None
    #: The TCP connection breaks after n audio deltas.
    drop_after_deltas: int | None = None
    #: The TCP connection breaks right after this event was sent or received.
    drop_after: str | None = None
    #: (n, code): the server closes with that code after n audio deltas.
    close_after_deltas: tuple[int, int] | None = None
    #: Events of unknown kinds come between the others, and every event has an unknown field.
    unknown_events: bool = False
    #: The server hangs: it reads nothing more after the first `session.updated`.
    stop_reading: bool = False
    #: After `session.updated` come a text that is no JSON, and JSON that is no object.
    malformed: bool = False
    #: After n audio deltas nothing is sent or answered any more, not even pings. The connection stays open.
    silent_after_deltas: int | None = None
    #: Pings are not answered. Everything else goes on.
    no_pongs: bool = False
    #: The first n responses of a session end `failed`, with this code and these words.
    fail_responses: int = 0
    failure: tuple[str, str] = ("rate_limit_exceeded", "Rate limit reached for requests per minute.")
    #: The first n `response.create` of a session get the error `rate_limit_exceeded`, in these words.
    limit_responses: int = 0
    limit: str = "Rate limit reached for requests per minute."
    #: The first n responses of a session are created, and send nothing more.
    mute_responses: int = 0
    #: After the end of the script, responses are completed without a word or a sound.
    empty_when_used_up: bool = False
    #: The caller's first n turns in a session are heard, and no response begins.
    ignore_turns: int = 0
    #: n deltas of a cancelled response still come after `speech_started`, before its `response.done`.
    late_deltas: int = 0
    #: Responses lack the metadata of their request, and errors the event that they are about.
    no_metadata: bool = False
    #: Fields that only inform are wrong in every event: numbers as text, `null` for lists, and so on.
    odd_fields: bool = False
    #: The first n events of a kind are never sent.
    lost: Mapping[str, int] = field(default_factory=dict)
    #: How long a session lasts, in ms. Then come `session_expired` and a close with 1001.
    expire_after_ms: int = 60 * 60 * 1000
    #: The end that the session announces, in seconds since 1970. None: the true one.
    says_expires_at: int | None = None
