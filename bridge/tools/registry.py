"""The functions that the model may call, and the rules that all of them share.

1. A kit registers a function once, as a `Tool` or an `Immediate` (tool.py).
2. Kits make new tools for each call, because an agreement belongs to its call.
3. If a function fails, the model gets an answer that it can speak about.
4. A function that promises nothing is cancelled after WITHIN_S, because the caller waits.
5. `observe` hears of every `Tool` that has run, not of an `Immediate`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Any

from bridge.tools.tool import CallContext, Immediate, Kit, OnBehalfOf, Output, Tool

log = logging.getLogger(__name__)

#: The longest that a caller waits for a function that promises nothing, in seconds. The database takes 10 to give up.
WITHIN_S = 15.0

#: Hears of a function that has run: its name, its status in a word, and how long it took, in seconds.
Observe = Callable[[str, str, float], None]

_FAILED = Output({"error": "The function failed. Tell the caller that this cannot be done right now."})
_LATE = Output({"error": "The function did not answer in time. Tell the caller that this cannot be done right now."})


class Tools:
    """The functions of the application. Make one at the start, and ask it `for_call` in each call.

    The model is told of the `kits` in this order. `within_s`: the longest that a caller waits for a function that
    promises nothing, in seconds.
    """

    def __init__(self, *kits: Kit, within_s: float = WITHIN_S) -> None:
        self._kits, self._within_s = kits, within_s

    def for_call(self, observe: Observe = lambda name, status, seconds: None) -> "Functions":
        """New functions for one call, with proposals of their own.

        `observe` hears of each `Tool` that has run. Raises ValueError if two functions have the same name.
        """
        return Functions([tool for kit in self._kits for tool in kit()], observe, self._within_s)


class Functions:
    """The functions of one call."""

    def __init__(self, tools: Iterable[Tool | Immediate], observe: Observe, within_s: float) -> None:
        self._observe, self._within_s = observe, within_s
        self._tools: dict[str, Tool | Immediate] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two functions are called {tool.name}")
            self._tools[tool.name] = tool

    def declarations(self, context: CallContext) -> list[dict[str, Any]]:
        """The functions as the `tools` of session.update declare them."""
        return [tool.declare(context).named(tool.name) for tool in self._tools.values()]

    def prompt(self, context: CallContext) -> str:
        """The functions' part of the session's instructions, a paragraph each."""
        return "\n\n".join(filter(None, (tool.prompt(context) for tool in self._tools.values())))

    @property
    def immediate(self) -> Mapping[str, Callable[[str], Output]]:
        """The functions that are answered in the turn in which they are called, by name. None of them raises."""
        return {tool.name: partial(_decided, tool) for tool in self._tools.values() if isinstance(tool, Immediate)}

    async def run(self, name: str, arguments: str, call: OnBehalfOf) -> Output:
        """Runs a function with the model's arguments, JSON. It does not raise: a failure is an answer too."""
        tool = self._tools.get(name)
        if tool is None:
            return Output({"error": f"There is no function {name[:64]!r}."})
        if isinstance(tool, Immediate):
            return _decided(tool, arguments)
        began = monotonic()
        output = await _answered(tool, arguments, call, None if tool.promises else self._within_s)
        self._observe(name, _status(output), monotonic() - began)
        return output


def _decided(tool: Immediate, arguments: str) -> Output:
    try:
        return tool.decide(arguments)
    except Exception:
        log.exception("function %(function)s failed", {"function": tool.name})
        return _FAILED


async def _answered(tool: Tool, arguments: str, call: OnBehalfOf, within_s: float | None) -> Output:
    try:
        async with asyncio.timeout(within_s) as within:
            return await tool.run(arguments, call)
    except Exception:
        if within.expired():
            log.error("call %(call)s: function %(function)s did not answer within %(seconds)g s",
                      {"call": call.call_sid, "function": tool.name, "seconds": within_s})
            return _LATE
        log.exception("call %(call)s: function %(function)s failed", {"call": call.call_sid, "function": tool.name})
        return _FAILED


def _status(output: Output) -> str:
    status: str = output.answer.get("status", "error" if "error" in output.answer else "ok")
    return status
