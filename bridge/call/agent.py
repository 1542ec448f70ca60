"""Who answers a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Who answers: what the model is told of itself, and whom it may hand a caller over to."""

    system_message: str
    voice: str
    turn_detection: dict[str, Any]
    transcription_model: str             # "": what callers say is not written down
    noise_reduction: str
    zone: tzinfo
    transfer_numbers: Mapping[str, str]  # by their names
