"""A function's arguments as a model gives them. The schema does not guarantee them, and a caller may have dictated
them.

Pure. They are read strictly and tidied up. A wrong one is refused with a sentence that the model can speak about or act
on.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from bridge.meetings.schedule import Refused
from bridge.meetings.tidy import one_line, several_lines, without_formula

#: The most that all arguments of a function may have together, in characters. It bounds the work of the parsers.
MAX_ARGUMENTS = 16_000

#: The name of each argument in sentences, and how long it may be, in characters.
_ARGUMENTS = {
    "name": ("name", 200),
    "email": ("e-mail address", 254),
    "phone_number": ("phone number", 64),
    "datetime": ("date and time", 200),
    "description": ("description", 2000),
    "time_zone": ("time zone", 64),
    "confirmation_id": ("confirmation_id", 64),
    "meeting_id": ("meeting_id", 64),
    "earliest_day": ("earliest day", 64),
}
#: How an argument is tidied up. The others are put on one line.
_TIDY: dict[str, Callable[[str], str]] = {
    "name": lambda text: without_formula(one_line(text)),
    "description": lambda text: without_formula(several_lines(text)),
}


def read(arguments: str) -> dict[str, str]:
    """The given arguments, tidied up, by name. One that is missing, null or empty is left out. Raises Refused."""
    if len(arguments) > MAX_ARGUMENTS:
        raise Refused("The function's arguments are wrong: they are too long. Call it again with fewer words.")
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        given = None
    if not isinstance(given, dict):
        raise Refused("The function's arguments are wrong: they cannot be read. Call it again, each of them as text.")
    tidy = {name: _text(name, given.get(name)) for name in _ARGUMENTS}
    return {name: text for name, text in tidy.items() if text}


def _text(name: str, value: Any) -> str:
    what, most = _ARGUMENTS[name]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"The {what} cannot be read: give it as text.")
    if len(value) > most:
        raise Refused(f"The {what} is too long: give a shorter one.")
    return _TIDY.get(name, one_line)(value)
