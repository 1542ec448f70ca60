"""The cost of a call at the model, from the usage that the model reports.

Pure. The list below was read on the models' pages in November 2026. Prices change, so a setting overrides any of them.
An unknown model, and tokens of an unknown kind, are counted at the dearest price they can have. So a limit on what a
call may cost is reached too early rather than too late.
Source: https://developers.openai.com/api/docs/guides/realtime-costs and the models' own pages
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from bridge.openai_side.realtime import InputTokens, Tokens, TranscriptionUsage, Usage


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a model: for a million tokens of input, cached input and output, and for a minute transcribed (USD)."""

    audio_in: float
    audio_cached: float
    audio_out: float
    text_in: float
    text_cached: float
    text_out: float
    transcription_minute: float = 0.017


#: When the prices were read, and what they were.
READ = "2026-11"
MODELS = {
    "gpt-realtime-2": Prices(32, 0.40, 64, 4, 0.40, 24),
    "gpt-realtime-2.1": Prices(32, 0.40, 64, 4, 0.40, 24),
    "gpt-realtime-2.1-mini": Prices(10, 0.30, 20, 0.60, 0.06, 2.40),
    "gpt-realtime-1.5": Prices(32, 0.40, 64, 4, 0.40, 16),
}
NAMES = tuple(each.name for each in fields(Prices))
DEAREST = Prices(*(max(getattr(prices, name) for prices in MODELS.values()) for name in NAMES))

#: Tokens of a caller's audio. A transcription that is billed by tokens is counted by its length, from these.
TOKENS_PER_SECOND = 10
_DATED = re.compile(r"-\d{4}-\d\d-\d\d$")
_AMOUNT = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)


def prices_for(model: str, override: Mapping[str, float] | None = None) -> Prices:
    """A model's prices, also under its name with a date. `override`: the owner's own prices, by NAMES."""
    return replace(MODELS.get(_DATED.sub("", model), DEAREST), **(override or {}))


def parse(text: str) -> dict[str, float]:
    """Reads a setting like `audio_in=32,audio_out=64`, with any of NAMES.

    Raises ValueError. Its message is the end of a sentence that begins with the setting's name.
    """
    override: dict[str, float] = {}
    for each in re.split(r"[,\s]+", text.strip(", \t\n")):
        name, _, amount = each.partition("=")
        if name not in NAMES:
            raise ValueError(f"has no {name!r}, only " + ", ".join(NAMES))
        if name in override:
            raise ValueError(f"names {name} twice")
        if not _AMOUNT.fullmatch(amount):
            raise ValueError(f"needs {name} as an amount in US dollars")
        override[name] = float(amount)
    return override


def cost(usage: Usage, prices: Prices) -> float:
    """The cost of a response (USD)."""
    return max(_read(usage, prices) + _written(usage, prices), 0.0) / 1_000_000      # 0.0: floats round


def transcription_cost(usage: TranscriptionUsage, prices: Prices) -> float:
    """The cost of transcribing a turn of the caller (USD)."""
    if usage.seconds is not None:
        seconds = max(usage.seconds, 0.0)
    else:
        details = usage.input_token_details or Tokens()
        seconds = max(_count(usage.input_tokens), _count(details.audio_tokens)) / TOKENS_PER_SECOND
    return seconds / 60 * prices.transcription_minute


def _read(usage: Usage, prices: Prices) -> float:
    """The cost of the input (millionths of a dollar). Cached tokens are counted among the others too, and cost less."""
    details = usage.input_token_details or InputTokens()
    kinds = {
        "text": (_count(details.text_tokens), prices.text_in, prices.text_cached),
        "audio": (_count(details.audio_tokens), prices.audio_in, prices.audio_cached),
    }
    unnamed = max(_count(usage.input_tokens) - sum(tokens for tokens, _, _ in kinds.values()), 0)
    total = unnamed * max(price for _, price, _ in kinds.values())
    cached = details.cached_tokens_details or Tokens()
    unsaid = _count(details.cached_tokens)           # cached tokens whose kind is not named
    saved: list[tuple[float, float]] = []            # by kind: what a cached token saves, how many more may be cached
    for kind, (tokens, price, cached_price) in kinds.items():
        known = min(_count(getattr(cached, f"{kind}_tokens")), tokens)
        unsaid -= known
        total += (tokens - known) * price + known * cached_price
        saved.append((max(price - cached_price, 0), tokens - known))
    for saving, tokens in sorted(saved):             # they count where they save the least: the dearest case
        tokens = max(min(tokens, unsaid), 0)
        unsaid -= tokens
        total -= tokens * saving
    return total


def _written(usage: Usage, prices: Prices) -> float:
    """The cost of the output (millionths of a dollar). If kinds are named, other tokens were thought, not spoken."""
    details = usage.output_token_details
    text, audio = (_count(details.text_tokens), _count(details.audio_tokens)) if details else (0, 0)
    unnamed = max(_count(usage.output_tokens) - text - audio, 0)
    dearest = prices.text_out if text or audio else max(prices.text_out, prices.audio_out)
    return text * prices.text_out + audio * prices.audio_out + unnamed * dearest


def _count(tokens: float | None) -> float:
    return max(tokens or 0, 0)
