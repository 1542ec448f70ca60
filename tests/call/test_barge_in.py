"""The assistant's audio on its way to the caller, and a caller who talks over it."""

from bridge.twilio_side import media_streams
from tests.stage.talk import DELTA_250_MS, STREAM, Talk


def test_audio_passes_unopened_with_a_mark_behind_it(talk: Talk) -> None:
    talk.begins("r")
    talk.speaks("r")
    kinds = [message["event"] for message in talk.to_caller]
    assert kinds == ["mark", "media", "mark"]        # the first one tells when an idle phone begins to play
    assert talk.heard("media")[0]["media"]["payload"] == DELTA_250_MS


def test_other_tracks_are_not_the_caller(talk: Talk) -> None:
    talk.frame(track="outbound")
    assert not talk.sent("input_audio_buffer.append")


# ---- barge-in

def test_a_caller_who_talks_over_the_assistant_is_heard_at_once(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r", "a")
    greeted.frame(at=100)
    first = greeted.heard("mark")[0]["mark"]["name"]
    greeted.take(greeted.dialogue.from_caller(media_streams.Mark(media_streams.MarkBody(first)), 0))
    greeted.frame(at=220)
    greeted.caller_speaks()
    assert greeted.to_caller[-1] == {"event": "clear", "streamSid": STREAM}
    [cut] = greeted.sent("conversation.item.truncate")
    assert (cut["item_id"], cut["content_index"], cut["audio_end_ms"]) == ("a", 0, 120)


def test_late_audio_of_a_cut_response_does_not_reach_the_caller(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.caller_speaks()
    sent = len(greeted.to_caller)
    greeted.speaks("r")
    greeted.done("r", "cancelled")
    greeted.speaks("r")
    assert len(greeted.to_caller) == sent
    greeted.begins("next")
    greeted.speaks("next", "b")
    assert len(greeted.to_caller) > sent


def test_an_item_of_which_nothing_was_heard_is_deleted_and_never_truncated_at_0(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r", "a")
    greeted.caller_speaks()
    greeted.speaks("r", "a")
    greeted.speaks("r", "late")
    greeted.speaks("r", "late")
    assert not greeted.sent("conversation.item.truncate")
    assert [message["item_id"] for message in greeted.sent("conversation.item.delete")] == ["a", "late"]


def test_audio_that_still_plays_after_the_response_is_done_can_be_interrupted(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.done("r")
    greeted.caller_speaks()
    assert greeted.heard("clear")
    assert greeted.dialogue.figures.interruptions == 1


def test_nothing_is_cleared_when_everything_was_heard(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.marks_return()
    greeted.done("r")
    greeted.caller_speaks()
    assert not greeted.heard("clear")
    assert greeted.dialogue.figures.interruptions == 0


def test_a_second_speech_start_finds_nothing_left_to_cut(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.caller_speaks()
    greeted.caller_speaks()
    assert len(greeted.heard("clear")) == 1
    assert len(greeted.sent("conversation.item.delete")) == 1


def test_a_response_the_caller_overtook_is_cancelled_when_it_begins(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    greeted.returns()
    request = greeted.requests[-1]
    greeted.caller_speaks()                          # before response.created: it cannot be cancelled yet
    greeted.begins("late", request)
    assert [message["response_id"] for message in greeted.sent("response.cancel")] == ["late"]
    greeted.speaks("late")
    assert not greeted.heard("media")
