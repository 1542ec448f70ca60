"""OpenAI's models that speak the Realtime API, and when they end.

Pure. Read in November 2026 on https://developers.openai.com/api/docs/deprecations and the models' own pages. An unknown
name may be a newer model's. Only names that are known to be something else are refused.
"""

import re
from collections.abc import Callable
from datetime import date

#: The last day of a model by its name, where one is announced.
Ends = Callable[[str], date | None]

#: What to set instead.
INSTEAD, TRANSCRIPTION_INSTEAD = "gpt-realtime-2.1", "gpt-transcribe"

_DATED = r"(-\d{4}-\d\d-\d\d)?"
_ENDS = {rf"gpt-realtime(-mini)?{_DATED}": date(2027, 1, 20)}
_TRANSCRIPTION_ENDS = {
    "whisper-1": date(2027, 2, 26),
    r"gpt-4o(-mini)?-transcribe(-[\w-]+)?": date(2027, 2, 26),
}
_OTHERS = re.compile(r"gpt-[345]|gpt-audio|gpt-transcribe|o\d|chatgpt-|whisper-|tts-")


def not_realtime(model: str) -> str:
    """Why a model cannot carry a call, as the end of a sentence. "": it can, as far as is known.

    Used to check OPENAI_MODEL at the start.
    """
    if model.startswith("gpt-live"):
        return "is a model of the Live API, which is another protocol"
    if re.match("gpt-4o(-mini)?-realtime-preview", model):
        return "has been shut down"
    if re.match("gpt-realtime-(whisper|translate)", model) or is_unknown(model) and _OTHERS.match(model):
        return "is no model of the Realtime API"
    return ""


def is_unknown(model: str) -> bool:
    """Whether a model's name does not say that it speaks the Realtime API."""
    return "realtime" not in model


def ends(model: str) -> date | None:
    """The last day of a model. None: none is announced."""
    return _found(model, _ENDS)


def transcription_ends(model: str) -> date | None:
    """The last day of a model that transcribes the caller's words. None: none is announced."""
    return _found(model, _TRANSCRIPTION_ENDS)


def _found(model: str, days: dict[str, date]) -> date | None:
    return next((day for pattern, day in days.items() if re.fullmatch(pattern, model)), None)
