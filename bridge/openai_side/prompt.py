"""The instructions for the model: the owner's words first, then the facts of this call.

Pure. The present moment is an argument.
"""

from datetime import datetime


def instructions(system_message: str, now: datetime, caller_number: str, *paragraphs: str) -> str:
    """The session's instructions. `now` is aware, in the business's time zone. `caller_number` "": it is hidden.

    `paragraphs`: more about the business and about the functions (tools/). Empty ones are left out.
    """
    parts = [system_message, moment(now), "This is a phone call: speak, keep it short, and never read out symbols."]
    if caller_number:
        parts.append(f"The caller's phone number is {caller_number}; do not ask for it.")
    return "\n\n".join(filter(None, [*parts, *paragraphs]))


def moment(now: datetime) -> str:
    """The local date, weekday, time and zone as a sentence."""
    offset = now.isoformat()[-6:]
    return f"It is now {now:%A}, {now.day} {now:%B %Y}, {now:%H:%M}, time zone {now.tzinfo} (UTC{offset})."


def greeting(system_message: str, words: str) -> str:
    """Instructions for the first response. They replace the session's, so they repeat the system message."""
    return (
        f"{system_message}\n\nThe caller has just been connected. Say exactly the following words, all of them, "
        f"in their own language, and nothing before or after them:\n\n{words}"
    )
