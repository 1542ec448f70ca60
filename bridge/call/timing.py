"""How long a call waits, and for what.

Pure values. They come with the Plan, so that a test can set a wait that it means to see the end of:
`Timing(answer_ms=200)`. A duration that nobody sets otherwise stands in the file whose rule it is.
"""

from dataclasses import dataclass

from bridge.openai_side import backoff, pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The waits of one call. The end of a name is its unit: ms, or s."""

    # ---- an answer of the model's (floor.py)

    #: How long the server may take to begin its own answer to the caller's turn. Then it is asked to answer. Asked for
    #: sooner, the request would often meet an answer that was just to begin.
    answer_ms: int = 3_000
    #: How long a response that was asked for may take to begin. Then another session is opened, which takes a moment
    #: too, and loses what the slow one may have been about to say.
    request_ms: int = 5_000
    #: How long a response under way may bring nothing new, beyond the audio that the caller still hears. It is longer
    #: than `request_ms`: while a model writes the arguments of a function, nothing comes that counts.
    mute_ms: int = 10_000
    #: The pause before a failed response is asked for again, twice as long the second time. The caller waits meanwhile.
    retry_ms: int = 500

    # ---- what the caller hears (listening.py, leaving.py, voice.py)

    #: How much longer than its audio something may play that is to be heard whole: something protected, or a goodbye.
    #: It leaves room for the network's delays. The caller is kept from speaking, or in the call, for as long.
    overrun_ms: int = 3_000
    #: How much longer than its audio anything may play before it counts as heard. It is longer than `overrun_ms`: what
    #: counts as heard too early could not be cut any more.
    unplayed_ms: int = 10_000

    # ---- a caller who waits in silence (patience.py)

    #: How long until a recorded sentence while the first session is being opened.
    hush_first_ms: int = 2_000
    #: How long while there is a session. An answer should begin sooner, or the sentence would just precede it.
    hush_ms: int = 2_200
    #: How long while the session is lost. No answer can come at once, so the caller hears sooner that the call goes on.
    hush_lost_ms: int = 1_000
    #: How long after each recorded sentence, until the next one.
    hush_again_ms: int = 2_000

    # ---- the phone (ear.py, session.py)

    #: How long the phone may send no frame before the model hears silence in its place. Frames that are only late come
    #: within this time; a server that waits for the end of the caller's turn hears it not much later.
    missing_ms: int = 2_000
    #: How long a stream may take to say which call it is. Twilio says so in its second message.
    start_s: float = 5.0
    #: How long the phone, or the model, may take nothing of what it is sent. A network that stumbles is over it sooner.
    stall_s: float = 5.0
    #: How long the phone may send nothing at all before its socket counts as dead. This ends the call, so it is long:
    #: Twilio sends 50 frames a second.
    dead_s: float = 30.0
    #: For how many seconds in a row the phone may send too many messages. A network that was held up delivers those of
    #: some seconds at once.
    too_fast_s: int = 5
    #: How long a stream may still last when Twilio did not say whether the call was transferred. If it was, Twilio ends
    #: the stream within this time.
    unknown_s: float = 2.0

    # ---- the sessions at the model (model_line.py)

    #: How long a call goes on without a session that serves the caller.
    give_up_s: float = backoff.GIVE_UP_S
    #: After so long a session counts as had that carries the conversation. One that breaks sooner was an attempt.
    had_s: float = 5.0
    #: How often it is looked whether the connection lives.
    tick_s: float = pulse.TICK_S
    #: The least that a session is made to last for. An end that is nearer than this is of another clock than ours, or
    #: counted from another moment.
    least_session_s: float = 60.0
    #: The pause before a renewal that failed is tried again; it doubles. There are minutes left for it.
    renew_again_s: float = 10.0
