"""When the owner is busy elsewhere: what AVAILABILITY_URL answers."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import aiohttp
import msgspec
from yarl import URL

#: The caller waits meanwhile, seconds.
TIMEOUT_S = 3.0
#: A longer answer is not read, bytes.
MAX_ANSWER = 64 * 1024

Interval = tuple[datetime, datetime]


class NotAsked(Exception):
    """The calendar gave no usable answer; the message says why, for the log."""


class _Busy(msgspec.Struct):
    start: datetime
    end: datetime


class Availability:
    """A calendar that says when it is busy: GET with `from` and `to` (ISO 8601, UTC).

    It answers with a JSON list of objects with `start` and `end`, ISO 8601 with an offset.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, URL(url)

    async def busy(self, start: datetime, end: datetime) -> Sequence[Interval]:
        """The busy intervals from `start` to `end`. Raises NotAsked, within TIMEOUT_S."""
        address = self._url.update_query({"from": _utc(start), "to": _utc(end)})
        try:
            async with self._http.get(
                address, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    raise NotAsked(f"it answered with status {answer.status}")
                body = await _bounded(answer.content)
            intervals = msgspec.json.decode(body, type=list[_Busy])
        except asyncio.TimeoutError:
            raise NotAsked(f"it did not answer within {TIMEOUT_S:.0f} s") from None
        except aiohttp.ClientError as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotAsked(f"it could not be reached ({reason})") from None
        except msgspec.DecodeError as error:
            raise NotAsked(f"its answer is not a list of busy intervals ({error})") from None
        if any(each.start.tzinfo is None or each.end.tzinfo is None for each in intervals):
            raise NotAsked("its answer has times without an offset")
        return [(each.start, each.end) for each in intervals]


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_chunked(8192):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise NotAsked(f"its answer is longer than {MAX_ANSWER} bytes")
    return bytes(body)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
