"""Whom a meeting is for and what it is about, compared as people do.

Pure. Capital letters, spaces, hyphens and full stops make no other name, and no other address. An accent does: it is
what a better spelling often is.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from bridge.meetings.meeting import Meeting

#: What of a meeting a caller may correct without touching its moment: the arguments' names, and the meeting's. The
#: phone number is among them for a caller who hides that of the call.
DETAILS = ("name", "email", "phone_number", "description")
#: Punctuation, symbols, separators and controls. A mark is a part of its letter, a vowel in many scripts.
_BETWEEN_WORDS = ("P", "S", "Z", "C")


def same_text(one: str, other: str) -> bool:
    """Whether two names, or two sentences, say the same: "ada lovelace", "Ada  Lovelace."."""
    return _plain(one) == _plain(other)


def same_address(one: str, other: str) -> bool:
    """Whether two e-mail addresses are one, as they are everywhere but in the standard."""
    return unicodedata.normalize("NFKC", one).casefold() == unicodedata.normalize("NFKC", other).casefold()


def details_of(meeting: Meeting) -> dict[str, str]:
    return {name: getattr(meeting, name) for name in DETAILS}


def with_details(meeting: Meeting, new: Mapping[str, str]) -> Meeting:
    """The meeting with these details, and what they do not name as it is."""
    said = {**details_of(meeting), **new}
    return replace(meeting, name=said["name"], email=said["email"], phone_number=said["phone_number"],
                   description=said["description"])


def differing(meeting: Meeting, given: Mapping[str, str]) -> dict[str, str]:
    """What of the `given` details the meeting does not say already; what is "" was not given."""
    return {
        name: given[name] for name in DETAILS if given.get(name)
        and not (same_address if name == "email" else same_text)(getattr(meeting, name), given[name])}


def better_spelled(meeting: Meeting, given: Mapping[str, str]) -> dict[str, str]:
    """The name, where it is the meeting's and has its capitals now: "Ada Lovelace" for "ada lovelace"."""
    name = given.get("name", "")
    better = same_text(meeting.name, name) and _in_one_case(meeting.name) and not _in_one_case(name)
    return {"name": name} if better else {}


def another_person(meeting: Meeting, given: Mapping[str, str]) -> bool:
    """Whether this may be somebody else than whom the meeting is for: another name, and no address in common."""
    other_name = "name" in differing(meeting, given)
    return other_name and not (meeting.email and same_address(meeting.email, given.get("email", "")))


def _in_one_case(text: str) -> bool:
    return text in (text.lower(), text.upper())


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(" " if unicodedata.category(each)[0] in _BETWEEN_WORDS else each for each in folded)
    return " ".join(words.split()) or folded         # what is nothing but signs is compared as it is
