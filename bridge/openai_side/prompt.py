"""What the model is told: the owner's words first, then what it needs to know of this call.

Pure: the present moment is an argument.
"""

from datetime import datetime


def instructions(system_message: str, now: datetime, caller_number: str, *paragraphs: str) -> str:
    """The session's instructions; `now` is aware, in the business's time zone.

    `paragraphs`: what else it is told, of the business and of its functions (tools/); "" is left out.
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
    """Instructions for the first response: they replace the session's, so they repeat who speaks."""
    return (
        f"{system_message}\n\nThe caller has just been connected. Say exactly the following words, all of them, "
        f"in their own language, and nothing before or after them:\n\n{words}"
    )
