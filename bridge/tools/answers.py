"""The answers of the meeting functions to the model: what to read back, and what became of a meeting.

Pure. A meeting is told in one of three honest ways: the business has confirmed it, the meeting is noted down and the
business will be told, or the business has refused it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.meetings.meeting import Meeting
from bridge.meetings.spoken import details
from bridge.tools.booking import Booked
from bridge.tools.proposal import Proposal
from bridge.tools.tool import Output

_WAITS = ("in our books; the business has not answered yet, and will be told. Say that it is noted down and still to "
          "be confirmed.")
_FUNCTIONS = {"book": "schedule_meeting", "correct": "schedule_meeting", "move": "reschedule_meeting",
              "cancel": "cancel_meeting"}


def proposed(proposal: Proposal, confirmation_id: str) -> Output:
    """Tells the model what to read back, and how to go on once the caller has agreed."""
    meeting = proposal.meeting
    ask = (f"Nothing is cancelled yet. Ask the caller whether the meeting on {meeting.read_back} is to be cancelled"
           if proposal.kind == "cancel" else
           f"Nothing is booked yet. Read {_to_read_back(proposal)} back to the caller")
    which = {} if proposal.kind == "book" else {"meeting_id": meeting.id}
    return Output({
        **which, "confirmation_id": confirmation_id, "read_back": meeting.read_back,
        "next": f"{ask}; once the caller has agreed, call {_FUNCTIONS[proposal.kind]} again with this "
                "confirmation_id."})


def _to_read_back(proposal: Proposal) -> str:
    """The parts that the caller should hear again, because they may have been misheard."""
    meeting, new = proposal.meeting, proposal.kind == "book"
    return " and ".join(["the moment", *(["the e-mail address"] if new and meeting.email else []),
                         *(["the phone number"] if new and meeting.number_hidden and meeting.phone_number else [])])


def somebody_else(own: Meeting, name: str, instead: str, confirmation_id: str) -> Output:
    """The caller has a meeting at that time already, in another name. It may be a correction or a second person."""
    return Output({
        "status": "refused", "confirmation_id": confirmation_id, "meeting_id": own.id, "read_back": own.read_back,
        "message": f"This caller has a meeting on {own.read_back} already, in the name of {own.name}, and nothing has "
                   f"been changed. If {name} is another person, a second meeting needs a time of its own.{instead} "
                   f"If the name of that meeting is to be {name} from now on, ask the caller, and once the caller has "
                   "agreed, call schedule_meeting again with this confirmation_id."})


def booked(made: Booked, new: Mapping[str, str] | None = None) -> Output:
    """A meeting that was booked, moved or cancelled, as it stands. `new`: details that the caller has not heard yet."""
    meeting = made.meeting
    done = "cancelled" if meeting.status == "cancelled" else "booked"
    sentence = {
        "confirmed": f"The meeting on {meeting.read_back} is {done}, and the business has confirmed it.",
        "recorded": f"The meeting on {meeting.read_back} is {done} {_WAITS}",
        "refused": f"The business did not accept the meeting on {meeting.read_back}: it is not booked.",
    }[made.status]
    if made.status == "refused" and made.stays:
        sentence += f" The caller's meeting stays on {made.stays}."
    if made.status != "refused" and new:
        sentence += f" Tell the caller what is new: {details(new)}."
    return _output(made, sentence)


def listed(made: Sequence[Booked], count: int, *, number_hidden: bool) -> Output:
    """The caller's next meetings, the first ones of `count`, each as it stands.

    They have no e-mail address and no description: a caller with a forged number should not learn more than a name and
    a time.
    """
    answer: dict[str, Any] = {"meetings": [{"name": each.meeting.name, **booked(each).answer} for each in made]}
    if not made:
        answer["message"] = "No meeting of this caller is to come." + (
            " The caller hides the number: only meetings of this call can be found." if number_hidden else "")
    elif count > len(made):
        answer["message"] = f"These are the next {len(made)} of {count}."
    return Output(answer)


def corrected(made: Booked, new: Mapping[str, str]) -> Output:
    """A meeting whose details were corrected. `new`: the new ones."""
    meeting = made.meeting
    if made.status == "refused" and not made.stays:  # it was the meeting itself that was refused
        return booked(made)
    sentence = {
        "confirmed": f"The meeting on {meeting.read_back} is changed, and the business has confirmed it.",
        "recorded": f"The meeting on {meeting.read_back} is changed {_WAITS}",
        "refused": f"The business did not accept the change: the caller's meeting stays on {made.stays}, as it was.",
    }[made.status]
    if made.status != "refused":
        sentence += f" Tell the caller what is new: {details(new)}."
    return _output(made, sentence)


def _output(made: Booked, sentence: str) -> Output:
    """The answer, and a note for a session that replaces this one. A refusal has changed nothing and needs no note."""
    meeting = made.meeting
    answer = {"status": made.status, "meeting_id": meeting.id, "read_back": meeting.read_back, "message": sentence}
    said = {"message_from_the_business": made.answer} if made.answer else {}
    return Output(answer | said, note="" if made.status == "refused" else f"{sentence} (meeting_id {meeting.id})")
