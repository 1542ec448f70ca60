"""The calendar at AVAILABILITY_URL: asks when the owner is busy elsewhere.

A calendar that gives no answer keeps nobody from booking. It is an ERROR, and callers are told that times are not
certain. A call asks several times, so the ERROR comes once a minute and counts the lines left out. The warning about
odd entries comes once an hour.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from time import monotonic

import aiohttp
from yarl import URL

from bridge.calendars.busy import Interval, Unreadable, read, told
from bridge.delivery import reach
from bridge.log import Seldom

log = logging.getLogger(__name__)

#: How long the calendar may take (s). The caller waits meanwhile.
TIMEOUT_S = 3.0
#: The longest answer that is read (bytes).
MAX_ANSWER = 64 * 1024
#: How often the log tells that the calendar gives no answer, and that it has odd entries (s).
NOT_ASKED_S, ODD_S = 60.0, 3600.0


class NotAsked(Exception):
    """The calendar gave no usable answer. The message says why. It is in the log already."""


class Availability:
    """A calendar at an address. It is asked before a time is offered and before it is booked.

    The request is a GET with `from` and `to` (ISO 8601, UTC). The answer is a JSON list of objects with `start` and
    `end` (ISO 8601). `zone` is the business's: whole days and times without an offset are taken in it. `clock` gives
    seconds on any clock.
    """

    def __init__(
        self, http: aiohttp.ClientSession, url: str, zone: tzinfo = UTC, *, clock: Callable[[], float] = monotonic,
    ) -> None:
        self._http, self._url, self._zone, self._clock = http, URL(url), zone, clock
        self._not_asked, self._odd = Seldom(NOT_ASKED_S), Seldom(ODD_S)

    async def busy(self, start: datetime, end: datetime) -> Sequence[Interval]:
        """The busy intervals from `start` to `end`. Raises NotAsked, within TIMEOUT_S."""
        try:
            answer = read(await self._ask(start, end), self._zone)
        except (NotAsked, Unreadable) as reason:
            left_out = self._not_asked.passes(self._clock())
            if left_out is not None:
                log.error(
                    "THE CALENDAR at AVAILABILITY_URL could not be asked: %(reason)s. What is free there is not known: "
                    "callers are told that times are not certain, until it answers again (%(left_out)d more like this "
                    "since the last such line)", {"reason": str(reason), "left_out": left_out})
            raise NotAsked(str(reason)) from None
        if answer.odd and self._odd.passes(self._clock()) is not None:
            log.warning("the calendar at AVAILABILITY_URL has odd entries, which are told once an hour: %(odd)s",
                        {"odd": told(answer.odd)})
        return answer.intervals

    async def _ask(self, start: datetime, end: datetime) -> bytes:
        """The calendar's raw answer. Raises NotAsked."""
        address = self._url.update_query({"from": _utc(start), "to": _utc(end)})
        try:
            async with self._http.get(
                address, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    raise NotAsked(f"it answered with status {answer.status}{_advice(answer.status)}")
                return await _bounded(answer.content)
        except asyncio.TimeoutError:
            raise NotAsked(f"it did not answer within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotAsked(f"it could not be reached ({reach.why(error)})") from None


def _advice(status: int) -> str:
    if 300 <= status < 400:
        return ", and redirects are not followed: AVAILABILITY_URL must be the final address"
    return ", check AVAILABILITY_URL" if 400 <= status < 500 else ""


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(8192):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise NotAsked(f"its answer is longer than {MAX_ANSWER} bytes")
    return bytes(body)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
