"""What a call costs: from the usage that the model reports, and prices that may be known or not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.openai_side.prices import (
    DEAREST, MODELS, NAMES, READ, Prices, cost, parse, prices_for, transcription_cost)
from bridge.openai_side.realtime import InputTokens, Tokens, TranscriptionUsage, Usage
from bridge.settings import BadSettings
from tests.stage.settings import make_settings

LISTED = prices_for("gpt-realtime-2.1")


def read(audio: int | None = None, text: int | None = None, *, cached: int | None = None,
         cached_audio: int | None = None, cached_text: int | None = None) -> Usage:
    details = Tokens(cached_text, cached_audio) if cached_audio is not None or cached_text is not None else None
    return Usage(input_token_details=InputTokens(text, audio, None, cached, details))


def written(audio: int | None = None, text: int | None = None) -> Usage:
    return Usage(output_token_details=Tokens(text, audio))


# ---- prices

@pytest.mark.parametrize(("model", "listed"), [
    ("gpt-realtime-2.1", "gpt-realtime-2.1"), ("gpt-realtime-2.1-2026-07-06", "gpt-realtime-2.1"),
    ("gpt-realtime-2.1-mini", "gpt-realtime-2.1-mini"), ("gpt-realtime-2.1-mini-2026-07-06", "gpt-realtime-2.1-mini"),
    ("gpt-realtime-2", "gpt-realtime-2"), ("gpt-realtime-1.5-2026-02-23", "gpt-realtime-1.5")])
def test_a_model_has_its_price_under_a_dated_name_too(model: str, listed: str) -> None:
    assert prices_for(model) == MODELS[listed]


@pytest.mark.parametrize("model", ["gpt-realtime-3", "gpt-realtime-2.1-pro", "my-deployment", "", "-2026-07-06"])
def test_a_model_that_is_not_listed_costs_what_the_dearest_does(model: str) -> None:
    assert prices_for(model) == DEAREST
    assert all(getattr(DEAREST, name) >= getattr(prices, name) for prices in MODELS.values() for name in NAMES)


def test_the_list_says_of_when_it_is() -> None:
    assert re.fullmatch(r"20\d\d-\d\d", READ)


def test_a_setting_overrides_what_it_names_and_no_more() -> None:
    settings = make_settings(OPENAI_PRICES="audio_in=40, audio_out=0.5 text_in=0")
    prices = prices_for("gpt-realtime-2.1", settings.OPENAI_PRICES)
    assert (prices.audio_in, prices.audio_out, prices.text_in) == (40, 0.5, 0)
    assert (prices.audio_cached, prices.text_out) == (LISTED.audio_cached, LISTED.text_out)


def test_without_the_setting_the_list_is_in_force() -> None:
    assert prices_for("gpt-realtime-2.1", make_settings().OPENAI_PRICES) == LISTED


@pytest.mark.parametrize(("text", "complaint"), [
    ("sound_in=3", "has no 'sound_in', only audio_in, audio_cached"), ("32", "has no '32', only"),
    ("audio_in=1,audio_in=2", "names audio_in twice"), ("audio_in", "needs audio_in as an amount in US dollars"),
    ("audio_in=", "needs audio_in"), ("audio_in=-1", "needs audio_in"), ("audio_in=nan", "needs audio_in"),
    ("audio_in=1e9", "needs audio_in"), ("audio_in=$3", "needs audio_in"), ("audio_in=٣", "needs audio_in"),
    ("audio_in=3=4", "needs audio_in")])
def test_a_price_that_is_none_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(BadSettings, match="^OPENAI_PRICES " + re.escape(complaint)):
        make_settings(OPENAI_PRICES=text)


@pytest.mark.parametrize(("text", "limit"), [("", 0), ("0", 0), ("2", 2), ("0.75", 0.75), ("999999", 999_999)])
def test_a_call_may_have_a_limit(text: str, limit: float) -> None:
    assert make_settings(MAX_CALL_USD=text).MAX_CALL_USD == limit


@pytest.mark.parametrize("text", ["-1", "$2", "2 dollars", "1,50", "nan", "inf", "1e3", ".5"])
def test_a_limit_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadSettings, match="^MAX_CALL_USD must be an amount in US dollars, for example"):
        make_settings(MAX_CALL_USD=text)


# ---- costs

@pytest.mark.parametrize(("usage", "usd"), [
    (read(audio=1_000_000), 32), (read(text=1_000_000), 4), (written(audio=1_000_000), 64),
    (written(text=1_000_000), 24),
    (read(audio=1_000_000, cached=1_000_000, cached_audio=1_000_000), 0.40),
    (read(audio=1_000_000, text=1_000_000, cached=750_000, cached_audio=250_000, cached_text=500_000),
     24 + 0.10 + 2 + 0.20),
    (read(audio=600), 0.0192), (written(audio=1200), 0.0768),                # a minute of each voice
])
def test_tokens_are_paid_for_by_kind_and_cached_ones_are_cheaper(usage: Usage, usd: float) -> None:
    assert cost(usage, LISTED) == pytest.approx(usd)


@pytest.mark.parametrize(("usage", "usd"), [
    (Usage(), 0), (Usage(None, None, None, InputTokens(), Tokens()), 0), (Usage(total_tokens=0, input_tokens=0), 0),
    (Usage(input_tokens=1_000_000), 32), (Usage(output_tokens=1_000_000), 64),      # as if all of it were audio
    (Usage(input_tokens=1_000_000, input_token_details=InputTokens(text_tokens=900_000)), 3.6 + 3.2),
    (Usage(output_tokens=100_000, output_token_details=Tokens(0, 50_000)), 3.2 + 1.2),      # the rest was thought
    (read(audio=1_000_000, text=1_000_000, cached=1_500_000), 0.40 + 16 + 0.20),    # first where it saves least
])
def test_what_is_not_said_is_taken_at_its_dearest(usage: Usage, usd: float) -> None:
    assert cost(usage, LISTED) == pytest.approx(usd)


@pytest.mark.parametrize(("usage", "usd"), [
    (TranscriptionUsage("duration", 60), 0.017), (TranscriptionUsage("duration", 2.8), 0.017 * 2.8 / 60),
    (TranscriptionUsage("tokens", None, 600, 50, 650, Tokens(0, 600)), 0.017),
    (TranscriptionUsage("tokens", None, 600, 50, 650), 0.017), (TranscriptionUsage(), 0),
    (TranscriptionUsage("duration", -1), 0)])
def test_writing_down_the_caller_s_words_costs_by_their_length(usage: TranscriptionUsage, usd: float) -> None:
    assert transcription_cost(usage, LISTED) == pytest.approx(usd)


counts = st.none() | st.integers(-10, 10**7)
kinds = st.builds(Tokens, counts, counts, counts)
usages = st.builds(
    Usage, counts, counts, counts,
    st.none() | st.builds(InputTokens, counts, counts, counts, counts, st.none() | kinds), st.none() | kinds)
rates = st.floats(0, 1000)
any_prices = st.builds(Prices, rates, rates, rates, rates, rates, rates, rates)


@given(usages, any_prices)
def test_whatever_is_reported_a_cost_is_never_negative_nor_beyond_the_dearest_rate(
    usage: Usage, prices: Prices,
) -> None:
    details = (usage.input_token_details, usage.output_token_details)
    tokens = sum(abs(count or 0) for count in (
        usage.input_tokens, usage.output_tokens, *(
            count for each in details if each for count in (each.text_tokens, each.audio_tokens, each.image_tokens))))
    dearest = max(getattr(prices, name) for name in NAMES)
    assert 0 <= cost(usage, prices) <= tokens * dearest / 1e6 + 1e-6


@given(audio=st.integers(0, 10**6), text=st.integers(0, 10**6), share=st.floats(0, 1), other=st.floats(0, 1))
def test_without_the_kinds_of_the_cached_tokens_a_cost_is_not_less_than_with_them(
    audio: int, text: int, share: float, other: float,
) -> None:
    cached_audio, cached_text = int(audio * share), int(text * other)
    cached = cached_audio + cached_text
    exact = cost(read(audio, text, cached=cached, cached_audio=cached_audio, cached_text=cached_text), LISTED)
    assert cost(read(audio, text, cached=cached), LISTED) >= exact - 1e-9
    assert exact <= cost(read(audio, text), LISTED) + 1e-9


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10**9).map(lambda micro: micro / 10**4), min_size=1))
def test_any_prices_written_down_are_read_as_they_were(override: dict[str, float]) -> None:
    assert parse(",".join(f"{name}={amount:.6f}" for name, amount in override.items())) == pytest.approx(override)
