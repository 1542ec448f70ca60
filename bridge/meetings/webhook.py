"""A meeting, and its way to the owner's webhook."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime

import aiohttp

log = logging.getLogger(__name__)

#: The caller waits meanwhile, so the receiver has this long, seconds.
TIMEOUT_S = 8.0


class NotDelivered(Exception):
    """The receiver did not take the meeting; the message says how it failed, for the log."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What was agreed with the caller; `start` is aware, in the business's time zone."""

    id: str
    name: str
    email: str
    start: datetime
    description: str
    phone_number: str
    call_sid: str

    def body(self) -> dict[str, str]:
        """The webhook's JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "email": self.email,
            "datetime": self.start.isoformat(),
            "description": self.description,
            "phone_number": self.phone_number,
            "time_zone": str(self.start.tzinfo),
            "call_sid": self.call_sid,
        }


class Webhook:
    """The owner's receiver of meetings."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def deliver(self, meeting: Meeting) -> None:
        """Returns when the receiver answered with a 2xx status. Raises NotDelivered, within TIMEOUT_S."""
        try:
            async with self._http.post(
                self._url, json=meeting.body(), allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as answer:
                if answer.ok and answer.status < 300:
                    return
                raise NotDelivered(f"the receiver answered with status {answer.status}")
        except asyncio.TimeoutError:
            raise NotDelivered(f"the receiver did not answer within {TIMEOUT_S:.0f} s") from None
        except aiohttp.ClientError as error:
            raise NotDelivered(f"the receiver could not be reached ({type(error).__name__})") from None
