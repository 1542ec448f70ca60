"""The tokens of a response, as `response.done` says them.

Pure. Every response reads the whole conversation again. The part that the one before has read is cached and costs less.
Source: https://developers.openai.com/api/docs/guides/realtime-costs
"""

from typing import Any, NamedTuple


class Tokens(NamedTuple):
    """Tokens of each kind."""

    text: int
    audio: int


NOTHING = Tokens(0, 0)


def shared(before: Tokens, now: Tokens) -> Tokens:
    """The tokens that two readings of one conversation share, if it only grew or lost items between them."""
    return Tokens(min(before.text, now.text), min(before.audio, now.audio))


def usage(read: Tokens, cached: Tokens, said: Tokens) -> dict[str, Any]:
    """The object `usage`. Cached tokens are part of the input."""
    return {
        "total_tokens": sum(read) + sum(said), "input_tokens": sum(read), "output_tokens": sum(said),
        "input_token_details": {
            "text_tokens": read.text, "audio_tokens": read.audio, "image_tokens": 0, "cached_tokens": sum(cached),
            "cached_tokens_details": {
                "text_tokens": cached.text, "audio_tokens": cached.audio, "image_tokens": 0}},
        "output_token_details": {"text_tokens": said.text, "audio_tokens": said.audio},
    }
