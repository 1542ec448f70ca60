"""What all functions that the model may call have in common, whatever they do."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.tools.registry import Tools
from bridge.tools.tool import (
    CallContext, Declaration, EndCall, Immediate, OnBehalfOf, Output, Tool, declaration)

CALL = OnBehalfOf("CA" + "1" * 32, "+15551234567", turn=1)
CONTEXT = CallContext(datetime(2026, 11, 23, tzinfo=UTC))


def declare(context: CallContext) -> Declaration:
    return declaration("Does it.", ["what"], what="What to do.")


def tool(run: Callable[[str, OnBehalfOf], Awaitable[Output]], name: str = "work", **more: Any) -> Tool:
    return Tool(name=name, declare=declare, run=run, **more)


async def work(arguments: str, call: OnBehalfOf) -> Output:
    return Output({"status": "done", "arguments": arguments, "turn": call.turn})


async def break_down(arguments: str, call: OnBehalfOf) -> Output:
    raise ZeroDivisionError


def now(name: str = "leave", decide: Callable[[str], Output] = lambda arguments: Output({}, EndCall())) -> Immediate:
    return Immediate(name=name, declare=declare, decide=decide)


# ---- what is told of them

def test_they_are_declared_and_described_in_the_order_of_their_kits() -> None:
    first = tool(work, prompt=lambda context: f"Work on {context.now:%A}.")
    functions = Tools(lambda: [first, tool(work, "rest")], lambda: [now()]).for_call()
    assert [each["name"] for each in functions.declarations(CONTEXT)] == ["work", "rest", "leave"]
    assert functions.prompt(CONTEXT) == "Work on Monday."


def test_a_declaration_allows_no_other_arguments() -> None:
    assert Tools(lambda: [tool(work)]).for_call().declarations(CONTEXT) == [{
        "type": "function", "name": "work", "description": "Does it.", "parameters": {
            "type": "object", "properties": {"what": {"type": "string", "description": "What to do."}},
            "required": ["what"], "additionalProperties": False}}]


def test_two_of_the_same_name_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="two functions are called work"):
        Tools(lambda: [tool(work)], lambda: [tool(break_down)]).for_call()


# ---- what becomes of a call of one

async def test_one_that_runs_is_given_the_arguments_and_the_call_and_is_observed() -> None:
    seen: list[tuple[str, str]] = []
    functions = Tools(lambda: [tool(work)]).for_call(
        lambda name, status, seconds: seen.append((name, status)))
    output = await functions.run("work", '{"what": "all"}', CALL)
    assert output.answer == {"status": "done", "arguments": '{"what": "all"}', "turn": 1}
    assert seen == [("work", "done")]


async def test_a_fault_in_one_is_an_answer_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, str]] = []
    functions = Tools(lambda: [tool(break_down)]).for_call(
        lambda name, status, seconds: seen.append((name, status)))
    output = await functions.run("work", "{}", CALL)
    assert "cannot be done right now" in output.answer["error"] and output.then is None
    assert seen == [("work", "error")]
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert CALL.call_sid in caplog.text


async def test_one_that_answers_too_late_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def never(arguments: str, call: OnBehalfOf) -> Output:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Output({})

    output = await Tools(lambda: [tool(never)], within_s=0.01).for_call().run("work", "{}", CALL)
    assert "did not answer in time" in output.answer["error"]
    assert ended.is_set()
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.ERROR, None)]


async def test_one_that_promises_something_is_not_cut_off() -> None:
    async def late(arguments: str, call: OnBehalfOf) -> Output:
        await asyncio.sleep(0.05)
        return Output({"status": "confirmed"})

    functions = Tools(lambda: [tool(late, promises=True), tool(late, "other")], within_s=0.01).for_call()
    assert (await functions.run("work", "{}", CALL)).answer == {"status": "confirmed"}
    assert "error" in (await functions.run("other", "{}", CALL)).answer


async def test_one_that_is_ended_with_the_server_ends() -> None:
    async def never(arguments: str, call: OnBehalfOf) -> Output:
        await asyncio.Event().wait()
        return Output({})

    running = asyncio.ensure_future(Tools(lambda: [tool(never)]).for_call().run("work", "{}", CALL))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


# ---- those that are answered at once

async def test_only_those_that_decide_are_answered_at_once() -> None:
    functions = Tools(lambda: [tool(work), now()]).for_call()
    assert [*functions.immediate] == ["leave"]
    assert functions.immediate["leave"]("{}") == await functions.run("leave", "{}", CALL) == Output({}, EndCall())


def test_a_fault_in_one_that_decides_does_not_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    def decide(arguments: str) -> Output:
        raise ZeroDivisionError

    output = Tools(lambda: [now(decide=decide)]).for_call().immediate["leave"]("{}")
    assert "error" in output.answer and output.then is None
    assert [record.exc_info is not None for record in caplog.records] == [True]
