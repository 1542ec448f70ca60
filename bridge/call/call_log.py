"""The log's two lines for a call: one when it was opened, one that says how it was closed."""

import logging

from bridge.call.events import Closed, Event, Opened

log = logging.getLogger(__name__)


def hear(event: Event) -> None:
    """A listener of calls (events.Audience): writes the two lines."""
    match event:
        case Opened():
            log.info("call %(call)s opened, from %(caller)s", {"call": event.call_sid, "caller": str(event.caller)})
        case Closed():
            _log_close(event)


def _log_close(closed: Closed) -> None:
    figures = closed.figures
    first = figures.first_audio_ms
    log.info(
        "call %(call)s closed after %(seconds).1f s: %(reason)s, %(turns)d turns, "
        "%(interruptions)d interruptions, %(reconnects)d reconnects, %(usd).4f USD, "
        f"{'no audio' if first is None else 'first audio after %(first_audio_ms)d ms'}",
        {"call": closed.call_sid or "unknown", "seconds": round(closed.seconds, 3), "reason": closed.ending.value,
         "turns": figures.turns, "interruptions": figures.interruptions, "reconnects": figures.reconnects,
         "usd": figures.usd, "first_audio_ms": None if first is None else round(first)})
