"""What a call costs at the model, from the usage that the model reports.

Pure. The list below was read on the models' pages in November 2026; prices change, so a setting overrides any of
them. What is not known is taken at the dearest that it can be, so that a ceiling on what a call may cost is reached
too early rather than too late: a model that is not listed, tokens of a kind that the server does not name or that
no phone call has.
Source: https://developers.openai.com/api/docs/guides/realtime-costs and the models' own pages
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from bridge.openai_side.realtime import InputTokens, Tokens, TranscriptionUsage, Usage


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens, read anew, read from the cache, or written; and for a minute transcribed."""

    audio_in: float
    audio_cached: float
    audio_out: float
    text_in: float
    text_cached: float
    text_out: float
    transcription_minute: float = 0.017


#: When, and what was read.
READ = "2026-11"
MODELS = {
    "gpt-realtime-2": Prices(32, 0.40, 64, 4, 0.40, 24),
    "gpt-realtime-2.1": Prices(32, 0.40, 64, 4, 0.40, 24),
    "gpt-realtime-2.1-mini": Prices(10, 0.30, 20, 0.60, 0.06, 2.40),
    "gpt-realtime-1.5": Prices(32, 0.40, 64, 4, 0.40, 16),
}
NAMES = tuple(each.name for each in fields(Prices))
DEAREST = Prices(*(max(getattr(prices, name) for prices in MODELS.values()) for name in NAMES))

#: The caller's audio, for a transcription that is billed by tokens: their price is taken from its length.
TOKENS_PER_SECOND = 10
_DATED = re.compile(r"-\d{4}-\d\d-\d\d$")
_AMOUNT = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)


def prices_for(model: str, override: Mapping[str, float] | None = None) -> Prices:
    """A model's prices, also under its name with a date; `override`: those of NAMES that are known better."""
    return replace(MODELS.get(_DATED.sub("", model), DEAREST), **(override or {}))


def parse(text: str) -> dict[str, float]:
    """`audio_in=32,audio_out=64,...`, any of NAMES. Raises ValueError with what is wrong, as the end of a sentence."""
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
    """What a response costs, US dollars."""
    return max(_read(usage, prices) + _written(usage, prices), 0.0) / 1_000_000      # 0.0: floats round


def transcription_cost(usage: TranscriptionUsage, prices: Prices) -> float:
    """What writing down a turn of the caller's costs, US dollars."""
    if usage.seconds is not None:
        seconds = max(usage.seconds, 0.0)
    else:
        details = usage.input_token_details or Tokens()
        seconds = max(_count(usage.input_tokens), _count(details.audio_tokens)) / TOKENS_PER_SECOND
    return seconds / 60 * prices.transcription_minute


def _read(usage: Usage, prices: Prices) -> float:
    """Millionths of a dollar for the input: the cached tokens are among the others, and cost less."""
    details = usage.input_token_details or InputTokens()
    kinds = {
        "text": (_count(details.text_tokens), prices.text_in, prices.text_cached),
        "audio": (_count(details.audio_tokens), prices.audio_in, prices.audio_cached),
    }
    unnamed = max(_count(usage.input_tokens) - sum(tokens for tokens, _, _ in kinds.values()), 0)
    total = unnamed * max(price for _, price, _ in kinds.values())
    cached = details.cached_tokens_details or Tokens()
    unsaid = _count(details.cached_tokens)           # cached tokens of which no kind is named
    saved: list[tuple[float, float]] = []              # what a token less of a kind saves, and how many could still
    for kind, (tokens, price, cached_price) in kinds.items():
        known = min(_count(getattr(cached, f"{kind}_tokens")), tokens)
        unsaid -= known
        total += (tokens - known) * price + known * cached_price
        saved.append((max(price - cached_price, 0), tokens - known))
    for saving, tokens in sorted(saved):             # where they save the least: it is not less than that
        tokens = max(min(tokens, unsaid), 0)
        unsaid -= tokens
        total -= tokens * saving
    return total


def _written(usage: Usage, prices: Prices) -> float:
    """Millionths of a dollar for the output. Where kinds are named, what is left over was thought, not spoken."""
    details = usage.output_token_details
    text, audio = (_count(details.text_tokens), _count(details.audio_tokens)) if details else (0, 0)
    unnamed = max(_count(usage.output_tokens) - text - audio, 0)
    dearest = prices.text_out if text or audio else max(prices.text_out, prices.audio_out)
    return text * prices.text_out + audio * prices.audio_out + unnamed * dearest


def _count(tokens: float | None) -> float:
    return max(tokens or 0, 0)
