"""The functions that the model may call in a call, and what all of them share.

1. A function is registered once, as a `Tool` or an `Immediate` (tool.py), by the kit that it comes with.
2. Kits make their tools anew for each call: what was agreed in a call belongs to it.
3. Whatever goes wrong in a function is an answer that the model can speak about.
4. One that promises nothing is given up after WITHIN_S: the caller waits.
5. What ran is told to `observe`, but for what was decided at once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Any

from bridge.tools.tool import CallContext, Immediate, Kit, OnBehalfOf, Output, Tool

log = logging.getLogger(__name__)

#: How long a caller waits at most for a function that promises nothing, seconds. The database takes 10 to give up.
WITHIN_S = 15.0

#: Is told of a function that has run: its name, what came of it in a word, and how long it took, seconds.
Observe = Callable[[str, str, float], None]

_FAILED = Output({"error": "The function failed. Tell the caller that this cannot be done right now."})
_LATE = Output({"error": "The function did not answer in time. Tell the caller that this cannot be done right now."})


class Tools:
    """What the model may do in every call; `kits` in the order in which it is told of them.

    `within_s`: how long a caller waits at most for a function that promises nothing.
    """

    def __init__(self, *kits: Kit, within_s: float = WITHIN_S) -> None:
        self._kits, self._within_s = kits, within_s

    def for_call(self, observe: Observe = lambda name, status, seconds: None) -> "Functions":
        """The functions of one call: what was read back in it is known only there.

        `observe` is told of each that has run. Raises ValueError where two have the same name.
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
        """The functions as session.update declares them."""
        return [tool.declare(context).named(tool.name) for tool in self._tools.values()]

    def prompt(self, context: CallContext) -> str:
        """What the session's instructions say of the functions, a paragraph each."""
        return "\n\n".join(filter(None, (tool.prompt(context) for tool in self._tools.values())))

    @property
    def immediate(self) -> Mapping[str, Callable[[str], Output]]:
        """Those that are answered in the turn in which they are called, by their names. None of them raises."""
        return {tool.name: partial(_decided, tool) for tool in self._tools.values() if isinstance(tool, Immediate)}

    async def run(self, name: str, arguments: str, call: OnBehalfOf) -> Output:
        """A function's answer; whatever goes wrong is an answer too."""
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
