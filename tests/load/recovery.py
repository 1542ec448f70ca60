"""`python -m tests.load --recovery`: what the caller hears when the connection to the model breaks in mid-speech.

The model is back at once. The silence begins where what was sent before the break has been played, and lasts to the
first sound of any kind, and to the assistant's next words. These come when the server asks for them, else when the
caller's turn has ended (faulty.TURN_S).
"""

import asyncio
from dataclasses import asdict
from itertools import cycle
from time import perf_counter
from typing import Any

from tests.load.calls import SETTINGS, Exchange, Line
from tests.load.faults import ENDINGS, KINDS, Kind, by_kind
from tests.load.faulty import Hush
from tests.load.inject import Injector
from tests.load.journal import Journal, read
from tests.load.table import spread, times
from tests.load.benchmark import CALL_EVERY_S, WARM_UP_S
from tests.load.server import environment, free_port, running

#: What is aimed at for the silence, 99th percentile, s.
AIM_S = 1.5
#: How often the connection of each call is broken; the next break comes after so long, s.
BREAKS, EVERY_S = 4, 0.25
#: How long a call may take to be well again after its last break, and in mid-speech, s.
_TURN_S = 60.0
_KINDS = [kind for kind in KINDS.values() if kind.name.startswith(("model reset", "model closes"))]


async def run(*, calls: int, seed: int, core: int | None) -> dict[str, Any]:
    """All figures, printed. Raises NoServer, TimeoutError where nobody answers at first, OSError."""
    model_port, port = free_port(), free_port()
    settings = {**environment(port, model_port), **SETTINGS}
    async with running("bridge", port, settings, core) as server, Exchange(server, model_port) as exchange:
        breaking = _Breaking(exchange, seed)
        await breaking.open(calls)
        await breaking.go_on()
        figures = breaking.figures(read(server.said().splitlines()))
    print("\n".join(_lines(figures)), flush=True)
    return {"run": "recovery", "calls": calls, "seed": seed, **figures}


class _Breaking:
    def __init__(self, exchange: Exchange, seed: int) -> None:
        self._exchange, self._injector = exchange, Injector(exchange, seed)
        self._hushes: list[Hush] = []

    async def open(self, calls: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(calls):
                tasks.create_task(self._exchange.open_line())
                await asyncio.sleep(CALL_EVERY_S)
        await asyncio.sleep(WARM_UP_S)

    async def go_on(self) -> None:
        """One break after the other, each call's in turn."""
        kinds = cycle(_KINDS)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(BREAKS):
                for line in self._exchange.lines:
                    tasks.create_task(self._break(line, next(kinds)))
                    await asyncio.sleep(EVERY_S)

    async def _break(self, line: Line, kind: Kind) -> None:
        deadline = perf_counter() + _TURN_S
        while perf_counter() < deadline and not (line.steady and line.call and line.call.speaks):
            await asyncio.sleep(0.01)
        if not line.steady or not line.call or not line.call.speaks:
            return                                   # the fault before this one has not ended, and is counted
        call = line.call
        await self._injector.inject(line, kind)
        assert call.phone and call.phone.hush
        self._hushes.append(call.phone.hush)

    def figures(self, journal: Journal) -> dict[str, Any]:
        outcomes = self._injector.outcomes
        return {
            "breaks": len(outcomes), **{ending: sum(one.ending == ending for one in outcomes) for ending in ENDINGS},
            "to_sound": spread([hush.sound_s for hush in self._hushes if hush.sound_s is not None]),
            "to_words": spread([hush.words_s for hush in self._hushes if hush.words_s is not None]),
            "break_to_words": spread([hush.back_s for hush in self._hushes if hush.back_s is not None]),
            "kinds": by_kind(outcomes, journal.reasons),
            "faults": {
                **asdict(self._injector.healthy), "exceptions": len(journal.unhandled),
                "undocumented": sum(not outcome.documented for outcome in outcomes),
                "unanswered": self._injector.unanswered},
            "log": journal.unhandled,
        }


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"{figures['breaks']} breaks in mid-speech: "
        + ", ".join(f"{figures[ending]} {ending}" for ending in ENDINGS if figures[ending]),
        f"silence, p50/p99: to the first sound {times(figures['to_sound'])} ms, "
        f"to the assistant's next words {times(figures['to_words'])} ms",
        f"these come {times(figures['break_to_words'])} ms after the break"]
    words: float | None = figures["to_words"]["p99_ms"]
    if words is None:
        lines.append("no call heard the assistant again")
    elif words > AIM_S * 1000:
        lines.append(f"the silence to the next words is longer than the {AIM_S} s that are aimed at")
    wrong = [f"{count} {name.replace('_', ' ')}" for name, count in figures["faults"].items() if count]
    if wrong:
        lines.append("NOT AS DOCUMENTED: " + ", ".join(wrong))
    return [*lines, *figures["log"][:20]]
