"""Whatever is lost, on either side: the call goes on, or ends so that the caller hears it. No state waits for ever."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.call.steps import HangUp, Reconnect, RunFunction, Step, Transfer
from bridge.twilio_side import media_streams
from tests.stage.talk import CLIPS, PEOPLE, STREAM, Talk, press, says

#: How long nobody does anything any more until all that was awaited has been given up, ms.
ALL_OVER_MS = 120_000


class Anything(Talk):
    """A dialogue to which anything happens, in any order: whatever should come between may be lost."""

    def __init__(self, protect: bool, clips: bool) -> None:
        super().__init__(
            protect=protect, clips=CLIPS if clips else {}, silence_prompt_ms=12_000, most_turn_ms=30_000,
            people=PEOPLE, operator_key="0")
        self.over = self.connecting = self.away = False
        self.running: list[str] = []

    def happens(self, event: Callable[["Anything"], None]) -> None:
        if not self.over:
            event(self)

    def take(self, steps: list[Step]) -> None:
        super().take(steps)
        for step in self.steps:
            match step:
                case HangUp():
                    self.over = True
                case Transfer():
                    self.connecting = True
                case RunFunction(call_id):
                    self.running.append(call_id)
                case Reconnect() if not self.over:
                    self.breaks()
                    self.away = True

    def lets_time_pass(self) -> None:
        if self.dialogue.deadline is not None:
            self.time_passes()

    def tells_all(self) -> None:
        """What is bounded elsewhere happens at last: functions answer, a session is had, a transfer is decided."""
        if self.away:
            self.away = False
            self.connects()
        while self.running and not self.over:
            self.returns(self.running.pop())
        if self.connecting and not self.over:
            self.connecting = False
            self.take(self.dialogue.transfer_failed(self.now))


def requested(talk: Anything) -> str | None:
    return talk.requests[-1] if talk.requests else None


def breaks(talk: Anything) -> None:
    talk.breaks()
    talk.away = True


def error(code: str, named: bool) -> Callable[[Anything], None]:
    return lambda talk: talk.model(type="error", error={"code": code, "event_id": requested(talk) if named else None})


def mark(talk: Anything) -> None:
    """The newest mark alone: those before it were lost."""
    for message in talk.heard("mark")[-1:]:
        body = media_streams.MarkBody(message["mark"]["name"])
        talk.take(talk.dialogue.from_caller(media_streams.Mark(body), talk.now))


def ends(response: str, status: str) -> Callable[[Anything], None]:
    return lambda talk: talk.done(response, status)


def of(response: str) -> list[Callable[[Anything], None]]:
    """What may happen to this response."""
    return [
        lambda talk: talk.begins(response),
        lambda talk: talk.begins(response, requested(talk)),
        lambda talk: talk.speaks(response, f"item of {response}"),
        lambda talk: talk.calls(response, "schedule_meeting", f"book of {response}"),
        lambda talk: talk.calls(response, "end_call", f"end of {response}"),
        lambda talk: talk.calls(response, "transfer_call", f"transfer of {response}"),
        *(ends(response, status) for status in ("completed", "failed", "incomplete", "cancelled", "")),
    ]


EVENTS: list[Callable[[Anything], None]] = [
    Anything.caller_speaks, Anything.caller_stops, Anything.lets_time_pass, Anything.tells_all, Anything.marks_return,
    mark, breaks, lambda talk: press(talk, "1"), lambda talk: press(talk, "#"), lambda talk: press(talk, "0"),
    lambda talk: talk.model(type="session.updated", session={"audio": {"input": {"turn_detection": {}}}}),
    *(error(code, named) for named in (True, False) for code in (
        "rate_limit_exceeded", "conversation_already_has_active_response", "server_error",
        "response_cancel_not_active")),
    *of("r1"), *of("r2"),
]


@settings(max_examples=300, deadline=None)
@given(
    protect=st.booleans(), clips=st.booleans(), greeted=st.booleans(),
    events=st.lists(st.integers(0, len(EVENTS) - 1), max_size=25))
def test_after_anything_the_call_comes_to_rest_or_to_its_end(
    protect: bool, clips: bool, greeted: bool, events: list[int],
) -> None:
    talk = Anything(protect, clips)
    talk.take(talk.dialogue.started(STREAM, 0))
    talk.connects()
    if greeted:
        says(talk, "greeting", "hello", "Hello.", request="greeting_1")
    for number in events:
        talk.happens(EVENTS[number])
    until = talk.now + ALL_OVER_MS
    while not talk.over:
        talk.tells_all()
        if talk.over or talk.dialogue.quiet:
            break
        assert talk.dialogue.deadline is not None, "nothing is awaited, and yet it is not the caller's turn"
        assert talk.dialogue.deadline < until, "it goes on without an end"
        talk.time_passes()
