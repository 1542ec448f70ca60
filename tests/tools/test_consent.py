"""What the caller says to being recorded is noted, and only what the caller says."""

from datetime import UTC, datetime

import pytest

from bridge.tools.consent import consent
from bridge.tools.registry import Tools
from bridge.tools.tool import CallContext, OnBehalfOf, Output

CONTEXT = CallContext(datetime.now(UTC))


async def noted(arguments: str, turn: int = 1) -> Output:
    return await Tools(consent()).for_call().run("record_consent", arguments, OnBehalfOf("CA1", "", turn))


@pytest.mark.parametrize(("arguments", "agreed"), [('{"agreed": true}', True), ('{"agreed": false}', False)])
async def test_a_yes_and_a_no_are_noted(arguments: str, agreed: bool) -> None:
    assert (await noted(arguments)).consent is agreed


async def test_a_yes_before_the_caller_has_spoken_is_refused_and_a_no_is_not() -> None:
    early = await noted('{"agreed": true}', turn=0)
    assert early.consent is None and "has not answered yet" in early.answer["error"]
    assert (await noted('{"agreed": false}', turn=0)).consent is False


@pytest.mark.parametrize("arguments", ["", "{}", "yes", '{"agreed": "true"}', '{"agreed": 1}', "[" * 100_000, "\udc80"])
async def test_what_is_neither_is_no_answer(arguments: str) -> None:
    output = await noted(arguments)
    assert output.consent is None and output.answer["error"] == "`agreed` must be true or false."


def test_the_model_is_told_when_to_call_it() -> None:
    functions = Tools(consent()).for_call()
    [declared] = functions.declarations(CONTEXT)
    assert declared["name"] == "record_consent" and declared["parameters"]["required"] == ["agreed"]
    assert "call record_consent" in functions.prompt(CONTEXT)
