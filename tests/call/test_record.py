"""What is written down of a call: its turns in the order of the conversation, with what was heard of them."""

from typing import Any

from bridge.call.events import (
    Answered, AssistantSaid, AssistantSpeaks, AssistantUnheard, AssistantWrote, CallerSaid, CallerSpeaks, CallerUnclear,
    ClipPlayed, Closed, Connected, Event, Fault, Figures, FirstAudio, FunctionAnswered, FunctionCalled,
    FunctionReturned, Interrupted, KeysPressed, Opened, Placed, SessionReplaced, Spent, TokensUsed, Transferred,
)
from bridge.call.record import MOST_CHARACTERS, MOST_OF_REASON, MOST_TURNS, NEWEST, Record
from bridge.records.call_record import Call, Turn
from bridge.records.endings import Ending
from bridge.twilio_side.caller import Caller


class Desk:
    """A record of a call that is open, and the clock beside it."""

    def __init__(self) -> None:
        self.ms = 5_000.0
        self.record = Record(lambda: 1_900_000_000.0, lambda: self.ms, process="p", model="m", voice="v")
        self.hears(Connected(), Opened("CA1", Caller("+15551234567"), "+15550001111"))
        self.kept: dict[int, Turn] = {}

    def hears(self, *events: Event, after_ms: float = 0) -> None:
        self.ms += after_ms
        for event in events:
            self.record.hear(event)

    @property
    def call(self) -> Call:
        assert self.record.call
        return self.record.call

    @property
    def turns(self) -> list[Turn]:
        """All that was kept until now, in order."""
        self.kept |= {turn.n: turn for turn in self.record.take()}
        return sorted(self.kept.values(), key=lambda turn: turn.position)

    def texts(self) -> list[tuple[str, str]]:
        return [(turn.by, turn.text) for turn in self.turns]


def answers(desk: Desk, item_id: str, words: str, ms: int, purpose: str = "answer", after: str | None = None) -> None:
    desk.hears(Placed(item_id, "assistant", after), AssistantSpeaks(item_id, purpose), AssistantWrote(item_id, words))
    desk.hears(AssistantSaid(words, item_id, ms, ms), after_ms=ms)


def asks(desk: Desk, item_id: str, words: str, after: str | None = None) -> None:
    desk.hears(CallerSpeaks(item_id))
    desk.hears(Placed(item_id, "caller", after), CallerSaid(words, item_id), after_ms=800)


# ---- the call

def test_a_call_is_known_by_who_called_whom_and_when() -> None:
    assert Desk().call == Call(
        "CA1", 1_900_000_000.0, "+15551234567", "+15550001111", process="p", model="m", voice="v")


def test_a_stream_that_was_not_let_in_leaves_no_record() -> None:
    record = Record(lambda: 0.0, lambda: 0.0)
    for event in (Connected(), Fault("no token"), Closed(None, Ending.STREAM_REFUSED, 0.1, Figures())):
        record.hear(event)
    assert record.call is None and not record.changed and record.take() == []


def test_its_figures_go_on_with_it() -> None:
    desk = Desk()
    desk.hears(
        FirstAudio(0.31), TokensUsed({("input", "audio"): 7, ("output", "text"): 0}),
        TokensUsed({("input", "audio"): 5}), Spent(0.01), Spent(0.02), Interrupted(), SessionReplaced(0.4),
        Closed("CA1", Ending.ASSISTANT_ENDED, 12.0, Figures(turns=3)))
    call = desk.call
    assert (call.first_audio_ms, call.tokens, round(call.usd, 6)) == (310, {"input audio": 12}, 0.03)
    assert (call.interruptions, call.sessions, call.turns) == (1, 2, 3)
    assert (call.ended_at, call.ending) == (1_900_000_000.0, "assistant ended")


def test_the_waits_of_a_call_are_its_usual_one_its_longest_and_its_longest_silence() -> None:
    desk = Desk()
    for number, (answer_s, first_s, silence_s) in enumerate(((0.5, 0.5, 0.5), (4.0, 0.7, 2.1), (0.6, 0.6, 0.6))):
        desk.hears(AssistantSpeaks(f"a{number}", "answer"), Answered(answer_s, first_s, silence_s))
    assert (desk.call.answer_p50_ms, desk.call.answer_max_ms, desk.call.silence_ms) == (600, 4_000, 2_100)
    slow = desk.turns[1]
    assert (slow.first_ms, slow.answer_ms, slow.silence_ms) == (700, 4_000, 2_100)


# ---- the turns

def test_a_conversation_stands_in_its_order_with_its_times() -> None:
    desk = Desk()
    answers(desk, "a1", "Hello there.", 1_000, "greeting")
    asks(desk, "c1", "When?", after="a1")
    answers(desk, "a2", "Friday.", 500, after="c1")
    assert desk.texts() == [("assistant", "Hello there."), ("caller", "When?"), ("assistant", "Friday.")]
    assert [turn.at_ms for turn in desk.turns] == [0, 1_000, 1_800]


def test_words_that_come_late_stand_where_they_were_said() -> None:
    desk = Desk()
    desk.hears(CallerSpeaks("c1"), Placed("c1", "caller", None))
    answers(desk, "a1", "Friday.", 500, after="c1")
    desk.hears(CallerSaid("When?", "c1"))
    assert desk.texts() == [("caller", "When?"), ("assistant", "Friday.")]


def test_an_item_stands_behind_the_one_that_the_server_says() -> None:
    desk = Desk()
    asks(desk, "c1", "One.")
    desk.hears(CallerSpeaks("c2"))
    answers(desk, "a1", "Two.", 100, after="c1")
    desk.hears(Placed("c2", "caller", "a1"), CallerSaid("Three.", "c2"))
    desk.hears(Placed("late", "caller", "c1"), CallerSaid("Between.", "late"))
    assert desk.texts() == [
        ("caller", "One."), ("caller", "Between."), ("assistant", "Two."), ("caller", "Three.")]


def test_of_an_interrupted_answer_the_heard_words_are_told_from_the_unheard() -> None:
    desk = Desk()
    desk.hears(AssistantSpeaks("a", "answer"), AssistantWrote("a", "I can offer Friday or Monday."))
    desk.hears(AssistantSaid("I can offer", "a", 900, 2_500), after_ms=900)
    [turn] = desk.turns
    assert (turn.text[:turn.heard], turn.text[turn.heard:]) == ("I can offer", " Friday or Monday.")
    assert (turn.heard_ms, turn.sent_ms, turn.was_cut) == (900, 2_500, True)


def test_all_words_may_come_after_it_is_known_what_was_heard() -> None:
    desk = Desk()
    for item_id, heard_ms in (("cut", 900), ("whole", 2_500)):
        desk.hears(AssistantSpeaks(item_id, "answer"), AssistantSaid("I can offer", item_id, heard_ms, 2_500))
        desk.hears(AssistantWrote(item_id, "I can offer Friday."))
    cut, whole = desk.turns
    assert (cut.text, cut.heard) == ("I can offer Friday.", 11)
    assert (whole.text, whole.heard) == ("I can offer Friday.", 19)


def test_an_answer_of_which_nothing_was_heard_is_wholly_unheard() -> None:
    desk = Desk()
    desk.hears(AssistantSpeaks("a", "answer"), AssistantWrote("a", "Friday."), AssistantUnheard("a", 0, 400))
    [turn] = desk.turns
    assert (turn.text, turn.heard, turn.was_cut) == ("Friday.", 0, True)


def test_what_nobody_could_write_down_says_so() -> None:
    desk = Desk()
    desk.hears(Placed("c1", "caller", None), Placed("c2", "caller", "c1"), CallerUnclear("c1", "audio_unintelligible"))
    unclear, not_yet = desk.turns
    assert (unclear.text, unclear.data) == ("", {"unclear": "audio_unintelligible"})
    assert (not_yet.text, not_yet.data) == ("", {})


def test_noise_and_answers_without_a_sound_are_no_turns() -> None:
    desk = Desk()
    desk.hears(CallerSpeaks("noise"), Placed("silent", "assistant", None))
    asks(desk, "c", "Hello?")
    assert desk.texts() == [("caller", "Hello?")]


def test_fillers_are_told_from_answers() -> None:
    desk = Desk()
    desk.hears(ClipPlayed("moment"))
    answers(desk, "f", "One moment.", 900, "filler")
    desk.hears(AssistantSpeaks("a", "answer"), Answered(2.0, 0.5, 0.5))
    kinds = [turn.kind for turn in desk.turns]
    assert kinds == ["filler", "filler", "words"]
    assert [turn.answer_ms for turn in desk.turns] == [None, None, 2_000]


def test_functions_keys_and_what_went_wrong_stand_where_they_happened() -> None:
    desk = Desk()
    asks(desk, "c", "Book it.")
    desk.hears(FunctionCalled("schedule_meeting", '{"name": "Ada"}', "call_1"))
    desk.hears(FunctionReturned("schedule_meeting", "confirmed", 0.42), after_ms=420)
    desk.hears(FunctionAnswered("call_1", {"status": "confirmed", "id": "m1"}))
    desk.hears(KeysPressed("42"), Fault("model lost"), SessionReplaced(0.7), Transferred("sales"))
    _, function, keys, fault, session, transfer = desk.turns
    assert function.text == "schedule_meeting" and function.data == {
        "arguments": '{"name": "Ada"}', "status": "confirmed", "seconds": 0.42,
        "answer": {"status": "confirmed", "id": "m1"}, "answered_ms": 1_220}
    assert (keys.by, keys.kind, keys.text) == ("caller", "keys", "42")
    assert [(each.by, each.kind, each.text, each.data) for each in (fault, session, transfer)] == [
        ("server", "event", "model lost", {}), ("server", "event", "new session", {"seconds": 0.7}),
        ("server", "event", "transferred", {"to": "sales"})]


def test_a_function_that_answers_after_the_call_is_still_known_to_have_run() -> None:
    desk = Desk()
    desk.hears(FunctionCalled("schedule_meeting", "{}", "call_1"), Closed("CA1", Ending.CALLER_HUNG_UP, 1.0, Figures()))
    desk.hears(FunctionReturned("schedule_meeting", "recorded", 3.0))
    assert desk.turns[0].data["status"] == "recorded"


# ---- how much of it is kept, and how often

def test_only_what_has_changed_is_taken() -> None:
    desk = Desk()
    answers(desk, "a", "Hello.", 100)
    assert len(desk.record.take()) == 1 and not desk.record.changed and desk.record.take() == []
    desk.hears(AssistantWrote("a", "Hello. And more."))
    assert desk.record.changed and [turn.text for turn in desk.record.take()] == ["Hello. And more."]


def test_what_could_not_be_kept_is_new_again() -> None:
    desk = Desk()
    asks(desk, "c", "Hello?")
    taken = desk.record.take()
    desk.hears(CallerSaid("Hello? Anybody?", "c"))
    desk.record.give_back(taken)
    assert [turn.text for turn in desk.record.take()] == ["Hello? Anybody?"]


def test_a_long_call_is_bounded_in_memory_and_in_what_is_kept() -> None:
    desk = Desk()
    for number in range(MOST_TURNS + 500):
        asks(desk, f"c{number}", "Hello?", after=f"c{number - 1}")
        desk.kept |= {turn.n: turn for turn in desk.record.take()}
    for number in range(500):
        desk.hears(FunctionCalled("f", "{}", f"never answered {number}"))
    assert len(desk.turns) == MOST_TURNS
    assert desk.turns[-1].text == "the rest is not written down"
    held: Any = vars(desk.record)
    for name in ("_turns", "_of_item", "_of_function", "_real"):
        assert len(held[name]) <= 2 * NEWEST, name


def test_long_texts_are_cut() -> None:
    desk = Desk()
    endless = "x" * 2 * MOST_CHARACTERS
    asks(desk, "c", endless)
    desk.hears(FunctionCalled(endless, endless, "1"), FunctionAnswered("1", {"x": endless}))
    answers(desk, "a", endless, 100)
    desk.hears(KeysPressed(endless), CallerUnclear("d", endless))
    caller, function, assistant, keys, unclear = desk.turns
    assert {len(each.text) for each in (caller, function, assistant, keys)} == {MOST_CHARACTERS}
    assert len(function.data["arguments"]) == len(function.data["answer"]["cut"]) == MOST_CHARACTERS
    assert assistant.heard == MOST_CHARACTERS and len(unclear.data["unclear"]) == MOST_OF_REASON


def test_a_call_lasts_as_long_as_it_lasts_though_the_clock_is_set_back() -> None:
    ms, seconds = 0.0, 1_900_000_000.0
    record = Record(lambda: seconds, lambda: ms)
    record.hear(Opened("CA1", Caller("+15551234567")))
    ms, seconds = 60_000.0, seconds - 3_600
    record.hear(Closed("CA1", Ending.CALLER_HUNG_UP, 60.0, Figures()))
    assert record.call and record.call.ended_at == record.call.started_at + 60


def test_what_was_said_without_words_is_not_lost_when_it_could_not_be_kept() -> None:
    desk = Desk()
    for number in range(3 * NEWEST):
        desk.hears(Placed(f"c{number}", "caller", None))
    taken = desk.record.take()
    desk.record.give_back(taken)
    assert desk.record.take() == taken
