"""The functions about meetings, as they are declared to the model. Pure."""

from dataclasses import dataclass

from bridge.tools.tool import Declaration, declaration

_DATETIME = (
    "When it begins, in the caller's words in English, such as 'next Tuesday at half past ten in the morning', "
    "or as an ISO 8601 local date and time. Do not work dates out yourself.")
_TIME_ZONE = "The caller's IANA time zone, such as America/New_York, only if the caller named another zone."
_CONFIRMATION = "The id that the first call returned, once the caller has agreed to what you read back."
#: With one step, one question is left: whether another name is a correction.
_ANSWERED = "Only if an answer of this function said to give it: the id that stands there."
_MEETING = "Which meeting, if the caller has several."
_EMAIL = "The caller's e-mail address, as the caller spelled it. Never make one up."
_LEAVE_OUT = " Leave it out for a caller who has none or does not want to give it."
_PHONE_NUMBER = (
    "A phone number at which the caller, who hides the one of this call, can be reached: + and the country's code "
    "first. Leave it out for a caller who does not want to give it.")


@dataclass(frozen=True, slots=True)
class Terms:
    """How meetings are made in a call: in two steps (`confirm`) or at once, and whether they need an e-mail address.

    `number_hidden`: the caller hides the number, so a phone number can be given in place of an e-mail address.
    """

    confirm: bool = True
    email_required: bool = False
    number_hidden: bool = False


def schedule_meeting(terms: Terms) -> Declaration:
    steps = (
        "Books a meeting, in two steps: the first call answers with what to read back and a confirmation_id; when the "
        "caller has agreed, call it again with that id." if terms.confirm else
        "Books a meeting, at once: call it when the caller has said all of it, and tell the caller what it answers.")
    correct = ("To correct the name, e-mail address or description of a meeting that is booked, call it for the same "
               "moment with what is right.")
    required = ["name", "email", "datetime"] if terms.email_required else ["name", "datetime"]
    return declaration(
        f"{steps} {correct}", required,
        name="The caller's full name.", email=_EMAIL if terms.email_required else _EMAIL + _LEAVE_OUT,
        **({"phone_number": _PHONE_NUMBER} if terms.number_hidden else {}), datetime=_DATETIME,
        description="All that the caller said of what the meeting is about, in a sentence or two.",
        time_zone=_TIME_ZONE, confirmation_id=_CONFIRMATION if terms.confirm else _ANSWERED)


def reschedule_meeting(terms: Terms) -> Declaration:
    return declaration(
        f"Moves a meeting of this caller, {_steps(terms)}.", ["datetime"],
        datetime=_DATETIME, meeting_id=_MEETING, time_zone=_TIME_ZONE, **_confirmation(terms))


def cancel_meeting(terms: Terms) -> Declaration:
    sure = "" if terms.confirm else " Ask whether the caller is sure first."
    return declaration(
        f"Cancels a meeting of this caller, {_steps(terms)}.{sure}", [],
        meeting_id=_MEETING, **_confirmation(terms))


def list_meetings(terms: Terms) -> Declaration:
    return declaration("The meetings of this caller that are still to come. Nobody else's can be seen.", [])


def check_availability(terms: Terms) -> Declaration:
    return declaration(
        "Up to three free times, for a caller who does not know when to come.", [],
        earliest_day="Not before this day: the caller's words, or an ISO 8601 date. Leave it out for as soon as "
                     "possible.")


def _steps(terms: Terms) -> str:
    return "in the same two steps as schedule_meeting" if terms.confirm else "at once"


def _confirmation(terms: Terms) -> dict[str, str]:
    return {"confirmation_id": _CONFIRMATION} if terms.confirm else {}
