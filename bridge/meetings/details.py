"""The details of a meeting, for whom it is and what it is about, compared as people compare them.

Pure. Names that differ in capitals, spaces or punctuation are one name. Names that differ in an accent are two, because
an accent is often the better spelling.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from bridge.meetings.meeting import Meeting

#: The details that a caller may correct without moving the meeting. Arguments and Meeting's fields have these names. A
#: caller who hides the number of the call may correct the phone number too.
DETAILS = ("name", "email", "phone_number", "description")
#: The Unicode categories of punctuation, symbols, separators and controls. Marks belong to their letters. In many
#: scripts they are vowels.
_BETWEEN_WORDS = ("P", "S", "Z", "C")


def same_text(one: str, other: str) -> bool:
    """Whether two names, or two sentences, say the same, such as "ada lovelace" and "Ada  Lovelace."."""
    return _plain(one) == _plain(other)


def same_address(one: str, other: str) -> bool:
    """Whether two e-mail addresses are one. Providers ignore capitals, though the standard does not."""
    return unicodedata.normalize("NFKC", one).casefold() == unicodedata.normalize("NFKC", other).casefold()


def details_of(meeting: Meeting) -> dict[str, str]:
    return {name: getattr(meeting, name) for name in DETAILS}


def with_details(meeting: Meeting, new: Mapping[str, str]) -> Meeting:
    """The meeting with the `new` details. The others stay as they are."""
    said = {**details_of(meeting), **new}
    return replace(meeting, name=said["name"], email=said["email"], phone_number=said["phone_number"],
                   description=said["description"])


def differing(meeting: Meeting, given: Mapping[str, str]) -> dict[str, str]:
    """The `given` details that differ from the meeting's. "" counts as not given."""
    return {
        name: given[name] for name in DETAILS if given.get(name)
        and not (same_address if name == "email" else same_text)(getattr(meeting, name), given[name])}


def better_spelled(meeting: Meeting, given: Mapping[str, str]) -> dict[str, str]:
    """The given name, if it is the meeting's with better capitals: "Ada Lovelace" for "ada lovelace"."""
    name = given.get("name", "")
    better = same_text(meeting.name, name) and _in_one_case(meeting.name) and not _in_one_case(name)
    return {"name": name} if better else {}


def another_person(meeting: Meeting, given: Mapping[str, str]) -> bool:
    """Whether the details may be another person's: another name, and no e-mail address in common."""
    other_name = "name" in differing(meeting, given)
    return other_name and not (meeting.email and same_address(meeting.email, given.get("email", "")))


def _in_one_case(text: str) -> bool:
    return text in (text.lower(), text.upper())


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(" " if unicodedata.category(each)[0] in _BETWEEN_WORDS else each for each in folded)
    return " ".join(words.split()) or folded         # a text of signs alone is compared as it is
