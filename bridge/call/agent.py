"""The agent that answers a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What the model is told of itself, and the people to whom it may hand a caller over."""

    system_message: str
    voice: str
    turn_detection: dict[str, Any]
    transcription_model: str             # "": callers' words are not written down
    noise_reduction: str
    zone: tzinfo
    transfer_numbers: Mapping[str, str]  # by the names in TRANSFER_NUMBER
