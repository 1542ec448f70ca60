"""The owner's webhooks: whether each can be reached, by TLS, at a public address, and answers.

Nothing is sent but HEAD, which books nothing. With `--receiver` one signed booking, marked `"test": true`, shows what a
real one would be answered with.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ssl import SSLContext
from zoneinfo import ZoneInfo

import aiohttp
from yarl import URL

from bridge.delivery import reach
from bridge.delivery.answer import Answer
from bridge.delivery.statuses import advice
from bridge.delivery.webhook import post
from bridge.doctor.finding import Finding
from bridge.meetings import event
from bridge.meetings.meeting import Meeting
from bridge.program import command
from bridge.records.deliveries import Delivery

#: How long a caller waits for a webhook's answer, and how long it is waited for here, seconds.
SLOW_S, ASK_S = 3.0, 5.0
#: What many answer to HEAD who take a POST: it is not allowed, or nobody has signed it.
_USUAL = frozenset({400, 401, 403, 405, 411, 415, 422, 501})


async def examine(
    http: aiohttp.ClientSession, receivers: Sequence[str], tls: SSLContext | bool = True, slow_s: float = SLOW_S,
) -> list[Finding]:
    """`http`: a session of reach.py, which refuses private addresses."""
    if not receivers:
        return [Finding("webhook", "skipped", "WEBHOOK_URL is not set: no meetings are offered.")]
    return list(await asyncio.gather(*(_one(http, each, tls, slow_s) for each in receivers)))


async def _one(http: aiohttp.ClientSession, receiver: str, tls: SSLContext | bool, slow_s: float) -> Finding:
    if found := editor(receiver):
        return found
    begun, host = time.monotonic(), _host(receiver)
    try:
        async with http.head(receiver, allow_redirects=False, ssl=tls,
                             timeout=aiohttp.ClientTimeout(total=slow_s + ASK_S - SLOW_S)) as answer:
            return answered(receiver, answer.status, answer.headers.get("Location", ""), time.monotonic() - begun,
                            slow_s)
    except TimeoutError:
        return _warning(host, f"{host} does not answer within {slow_s + ASK_S - SLOW_S:g} s.", _SLOWLY)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _warning(host, f"{host} cannot be reached: {reach.why(error)}.", "Check WEBHOOK_URL, and its server.")


async def send_test(
    http: aiohttp.ClientSession, receivers: Sequence[str], secrets: Sequence[str], zone: ZoneInfo,
) -> list[Finding]:
    """One booking, marked as a test, to each."""
    if not receivers:
        return [Finding("webhook", "skipped", "WEBHOOK_URL is not set: there is nobody to send a test to.")]
    return list(await asyncio.gather(*(_sent(http, each, secrets, zone) for each in receivers)))


async def _sent(http: aiohttp.ClientSession, receiver: str, secrets: Sequence[str], zone: ZoneInfo) -> Finding:
    if found := editor(receiver):
        return found
    begun = time.monotonic()
    answer = await post(http, delivery(receiver, zone, time.time()), secrets)
    return taken(_host(receiver), answer, time.monotonic() - begun)


def delivery(receiver: str, zone: ZoneInfo, now: float) -> Delivery:
    """A booking of nobody's, in a week."""
    moment = datetime.fromtimestamp(now, UTC)
    start = (moment.astimezone(zone) + timedelta(days=7)).replace(hour=10, minute=0, second=0, microsecond=0)
    id = str(uuid.uuid4())
    meeting = Meeting(
        id=id, caller="", call_sid="", name="Test of bridge", email="", phone_number="", start=start, minutes=30,
        zone=zone, read_back="", description="A test by `python -m bridge doctor --receiver`: nobody wants to meet.")
    body = json.dumps(json.loads(event.body(meeting, "meeting.booked", moment)) | {event.TEST: True})
    return Delivery(
        id=f"test_{id}", about_kind="meeting", about_id=id, url=receiver, type="meeting.booked", body=body,
        created_at=now, since=now, attempts=1, state="pending", next_at=now, last_error="", answer="")


# ---- what it means: pure

_SLOWLY = "Let it answer within 3 s, and do its work afterwards: then callers hear that the meeting is confirmed."


def editor(receiver: str) -> Finding | None:
    """n8n's editor listens at an address of its own, for one delivery."""
    if "/webhook-test/" not in URL(receiver).path:
        return None
    host = _host(receiver)
    return _warning(host, f"WEBHOOK_URL is an address of n8n's editor at {host} (/webhook-test/), which takes one "
                    "delivery after a click.", "Set WEBHOOK_URL to the production address of the node (/webhook/).")


def answered(receiver: str, status: int, location: str, took_s: float, slow_s: float = SLOW_S) -> Finding:
    """What an answer to HEAD means."""
    host = _host(receiver)
    if 300 <= status < 400:
        where = f" to {_host(location)}" if "://" in location else ""
        return _warning(host, f"{host} redirects{where} (status {status}), which deliveries do not follow.",
                        "Set WEBHOOK_URL to the address that it leads to.")
    if status == 404 and "/webhook/" in URL(receiver).path:
        return Finding("webhook", "not proven", f"{host} answers 404 to HEAD, as n8n does to all but POST.",
                       "Send it one booking that is marked as a test:", command("doctor", "--receiver"), host)
    if status >= 400 and status not in _USUAL:
        do = advice(status) or "See the log of its server"
        return _warning(host, f"{host} answers with status {status}.", f"{do[:1].upper()}{do[1:]}.")
    if took_s > slow_s:
        return _warning(host, f"{host} takes {took_s:.1f} s to answer.", _SLOWLY)
    return Finding("webhook", "ok", f"{host} answers, by {URL(receiver).scheme}.", subject=host, took_s=took_s)


def taken(host: str, answer: Answer, took_s: float) -> Finding:
    """What the answer to a booking means."""
    if answer.meaning == "taken":
        if took_s > SLOW_S:
            return _warning(host, f"{host} took the test, after {took_s:.1f} s.", _SLOWLY)
        words = f", and says: {answer.message}" if answer.message else ""
        return Finding("webhook", "ok", f"{host} took the test{words}.", subject=host, took_s=took_s)
    if answer.meaning == "no":
        return Finding("webhook", "ok", f"{host} says no to the test, on purpose ({answer.problem}).", subject=host,
                       took_s=took_s)
    return _warning(host, f"{host} did not take the test: it {answer.problem}.", "Mend that, and try again:",
                    command("doctor", "--receiver"))


def _warning(host: str, says: str, do: str, command: str = "") -> Finding:
    return Finding("webhook", "warning", says, do, command, host)


def _host(address: str) -> str:
    """All that may be told of an address: the rest may be a secret."""
    return URL(address).host or ""
