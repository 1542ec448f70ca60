"""What the server is, as its log says at the start: where it is, who answers, what callers are offered, what is kept.

Pure but for the name of the folder. No key, no whole number and no path of an address stands in it.
"""

import os
from collections.abc import Iterator

from sqlalchemy import URL as DatabaseUrl
from yarl import URL

from bridge import __version__
from bridge.settings import Settings

#: As much of a greeting as tells which it is, characters.
GREETING = 60
#: What a caller gets when the assistant cannot speak, by FALLBACK.
_FALLBACKS = {"apology": "an apology", "message": "a message that is recorded", "human": "a person, who is dialled"}


def lines(settings: Settings, host: str, port: int, *, tunnel: bool = False) -> Iterator[str]:
    """A line for each; `host` and `port`: where the server listens. That stands last, where one looks first."""
    days = settings.RETENTION_DAYS
    yield (f"who answers: {settings.OPENAI_MODEL} at {URL(settings.OPENAI_REALTIME_URL).host}, with the voice "
           f"{settings.OPENAI_VOICE}: {_shortened(settings.GREETINGS_RESPONSE)}")
    yield (f"what callers are offered: {_meetings(settings)}; {_transfer(settings)}; when the assistant cannot speak, "
           f"{_FALLBACKS[settings.FALLBACK]}")
    yield f"records: {_database(settings.DATABASE_URL)}, kept {f'for {days} days' if days else 'until you erase them'}"
    address = f"Twilio's voice URL is {settings.PUBLIC_URL or 'https://<your host>'}/incoming-call"
    yield (f"bridge {__version__} listens on {host} port {port}; "
           f"{'a tunnel to it is being opened' if tunnel else address}")


def _shortened(words: str) -> str:
    words = " ".join(words.split())
    return f"“{words if len(words) <= GREETING else words[:GREETING - 1].rstrip() + '…'}”"


def _meetings(settings: Settings) -> str:
    if not settings.WEBHOOK_URL:
        return "no meetings (WEBHOOK_URL is not set)"
    hosts = ", ".join(dict.fromkeys(URL(each).host or "" for each in settings.WEBHOOK_URL))
    return f"meetings of {settings.MEETING_MINUTES} minutes, by the clocks of {settings.TIMEZONE.key}, told to {hosts}"


def _transfer(settings: Settings) -> str:
    if not settings.TRANSFER_NUMBER:
        return "no transfer (TRANSFER_NUMBER is not set)"
    return f"a transfer to {', '.join(settings.TRANSFER_NUMBER)}"


def _database(url: DatabaseUrl) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the file {os.path.abspath(url.database or '')}"
    return f"PostgreSQL, {url.database} on {url.host}"
