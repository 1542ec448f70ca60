"""One response, from `response.created` to `response.done`: a task that sends its events at the model's pace."""

import asyncio
import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any, Literal, Protocol

from bridge.sim.clock import Clock
from bridge.sim.realtime.items import Conversation, Item
from bridge.sim.realtime.output import Calling, Output, Spoken, Written
from bridge.sim.realtime.script import Call, Faults, Line, Turn
from bridge.sim.realtime.usage import NOTHING, Tokens, usage

#: A response that fails, or sends nothing after `response.created`.
Outage = Literal["failed", "mute"]


class Manner(Protocol):
    """How the model speaks. `RealtimeServer` documents the fields."""

    delta_ms: int
    speed: float
    think_ms: int


class Session(Protocol):
    """What a response needs of the session that it belongs to."""

    clock: Clock
    faults: Faults
    config: dict[str, Any]
    conversation: Conversation
    conversation_id: str

    @property
    def server(self) -> Manner: ...
    def new_id(self, prefix: str) -> str: ...
    def emit(self, kind: str, **fields: Any) -> None: ...
    def add_item(self, item: Item) -> None: ...
    def item_done(self, item: Item) -> None: ...
    def transcribed(self, item: Item) -> None: ...
    def billed(self, prefix: str, context: Tokens) -> tuple[Tokens, Tokens]: ...
    def finished(self, response: "Response") -> None: ...


class Response:
    """A response under way. `asked`: the parameters of the `response.create`, empty if turn detection started it.

    `heard`: the caller's items that no response has answered. They are transcribed while this one is sent.
    """

    def __init__(
        self, session: Session, turn: Turn | Outage, asked: dict[str, Any], heard: list[Item],
    ) -> None:
        self.session, self.turn, self.asked, self._heard = session, turn, asked, heard
        self._read, self._cached = NOTHING, NOTHING     # tokens
        self.id = session.new_id("resp")
        self.out_of_band = asked.get("conversation") == "none"
        output = copy.deepcopy(session.config["audio"]["output"]) | asked.get("audio", {}).get("output", {})
        self.format, self._voice = output["format"], output["voice"]
        self.modalities: list[str] = asked.get("output_modalities") or session.config["output_modalities"]
        self.status = "in_progress"
        self.items: list[Item] = []
        self.delta_ms = session.server.delta_ms
        self._current: Output | None = None
        self._steps: Iterator[float] = iter(())
        self._task: asyncio.Task[None] | None = None

    @property
    def audio_ms(self) -> int:
        """How much sound it has sent, in ms."""
        return sum(item.audio_ms for item in self.items)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        if self.turn != "failed":
            self._read, self._cached = self.session.billed(self._prefix(), self._context())
        self.session.emit("response.created", response=self.wire())
        self._task = tasks.create_task(self._run())

    def stop(self) -> None:
        """Send no more, because the connection is gone."""
        if self._task:
            self._task.cancel()

    def cancel(self, reason: str, late_deltas: int = 0) -> None:
        """End early. `reason`: `turn_detected` or `client_cancelled`. `late_deltas` more pieces still come."""
        self.stop()
        for _ in itertools.islice(self._steps, late_deltas):
            pass
        self._close("incomplete")
        self._finish("cancelled", {"type": "cancelled", "reason": reason})

    # -- what its outputs need

    def emit(self, kind: str, **fields: Any) -> None:
        self.session.emit(kind, response_id=self.id, **fields)

    def keep(self, item: Item) -> None:
        """An item begins. The conversation gets it, unless the response is out of band."""
        self.items.append(item)
        if not self.out_of_band:
            self.session.add_item(item)

    def kept(self, item: Item) -> None:
        """An item is complete, or was cut off."""
        if not self.out_of_band:
            self.session.item_done(item)

    # -- its course

    async def _run(self) -> None:
        due = self.session.clock.ms() + self.session.server.think_ms
        await self.session.clock.until(due)
        if self.turn == "failed":
            code, message = self.session.faults.failure
            kind = "requests" if code == "rate_limit_exceeded" else code
            return self._finish("failed", {
                "type": "failed", "error": {"type": kind, "code": code, "message": message}})
        if self.turn == "mute":
            return                      # it stays active until the client cancels it
        for index, part in enumerate(self.turn.output):
            self._current = self._output(index, part)
            self._current.open()
            self._steps = self._current.steps()
            for ms in self._steps:
                self._transcribe()
                if self.session.server.speed:
                    due += ms / self.session.server.speed
                    await self.session.clock.until(due)
            self._close("incomplete" if self.turn.incomplete and part is self.turn.output[-1] else "completed")
        if self.turn.incomplete:
            return self._finish("incomplete", {"type": "incomplete", "reason": self.turn.incomplete})
        self._finish("completed", None)

    def _output(self, index: int, part: Line | Call) -> Output:
        item_id = self.session.new_id("item")
        if isinstance(part, Call):
            return Calling(self, index, part, item_id, self.session.new_id("call"))
        if self.modalities == ["text"]:
            return Written(self, index, part, item_id)
        return Spoken(self, index, part, item_id, self.format["type"])

    def _close(self, status: str) -> None:
        if self._current:
            self._current.close(status)
            self._current = None

    def _transcribe(self) -> None:
        """Sends the caller's words. They come late, amid the response that answers them."""
        heard, self._heard = self._heard, []
        for item in heard:
            self.session.transcribed(item)

    def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        self._transcribe()
        self.status = status
        self.session.finished(self)
        self.session.emit("response.done", response={**self.wire(), "status_details": details, "usage": self._usage()})

    def wire(self) -> dict[str, Any]:
        """The response as `response.created` shows it, with its items so far."""
        voice = self._voice["id"] if isinstance(self._voice, dict) else self._voice
        return {
            "object": "realtime.response", "id": self.id, "status": self.status, "status_details": None,
            "output": [item.wire() for item in self.items], "usage": None,
            "conversation_id": None if self.out_of_band else self.session.conversation_id,
            "output_modalities": list(self.modalities),
            "max_output_tokens": self.asked.get("max_output_tokens", self.session.config["max_output_tokens"]),
            "audio": {"output": {"format": dict(self.format), "voice": voice}},
            "metadata": None if self.session.faults.no_metadata else self.asked.get("metadata"),
        }

    def _prefix(self) -> str:
        """What the model reads before the conversation: instructions and tools."""
        def of(name: str) -> Any:
            return self.asked.get(name, self.session.config[name])
        return f"{of('instructions')}{json.dumps(of('tools'))}"

    def _context(self) -> Tokens:
        """The tokens of everything that the model reads: the prefix and the conversation."""
        text, audio = self.session.conversation.tokens()
        return Tokens(text + len(self._prefix()) // 4, audio)

    def _usage(self) -> dict[str, Any] | None:
        """The billed tokens. A cancelled response is billed for what was generated, a failed one is not billed."""
        if self.status == "failed":
            return None
        said = Tokens(sum(len(item.texts) // 4 for item in self.items), self.audio_ms // 50)
        return usage(self._read, self._cached, said)
