"""The webhook as a receiver: one attempt to hand a delivery over by HTTP, signed by the rules of Standard Webhooks.

`webhook-id` is the delivery's id, the same at every attempt. `webhook-timestamp` is the attempt's moment.
`webhook-signature` holds one signature for each secret, so that a receiver may know the old secret or the new one while
they change.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
import base64
import binascii
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import aiohttp
import msgspec
from standardwebhooks import Webhook as Signer

from bridge import __version__
from bridge.delivery import reach
from bridge.delivery.answer import Answer
from bridge.delivery.statuses import answered
from bridge.loop.yielding import yield_loop
from bridge.records.deliveries import Delivery

#: The schemes of webhooks' addresses.
SCHEMES = ("https", "http")
#: How long an attempt may take (s).
TIMEOUT_S = 15.0
#: How long to wait for the answer's body (s). The status has already told what to do.
BODY_S = 1.0
#: How much of the answer's body is read (bytes).
MAX_ANSWER = 64 * 1024
#: How much of the message for the caller is kept (characters).
MAX_MESSAGE = 500
#: Characters that no database and no model should get: controls, other line ends, halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")

_Kind = TypeVar("_Kind", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Webhook:
    """The receiver for the schemes SCHEMES. `secrets`: those of WEBHOOK_SECRET. `clock` gives seconds since 1970."""

    http: aiohttp.ClientSession
    secrets: Sequence[str] = ()
    clock: Callable[[], float] = time.time

    async def hand_over(self, delivery: Delivery) -> Answer:
        """Makes one attempt, within TIMEOUT_S."""
        return await post(self.http, delivery, self.secrets, self.clock)


async def post(
    http: aiohttp.ClientSession, delivery: Delivery, secrets: Sequence[str], clock: Callable[[], float] = time.time,
) -> Answer:
    """Posts a delivery to its address once, within TIMEOUT_S. A problem outside is an Answer, never an exception."""
    try:
        async with http.post(
            delivery.url, data=delivery.body.encode(), headers=headers_for(delivery, secrets, clock()),
            allow_redirects=False, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), middlewares=(_in_two_pieces,),
        ) as response:
            body = await _beginning(response)
            answer = answered(response.status, response.headers, message_of(body), clock())
            formerly = _read(body, _SaidFormerly) if answer.meaning == "taken" and not answer.message else None
            return replace(answer, untold=True) if formerly and formerly.message else answer
    except TimeoutError:
        return Answer(problem=f"did not answer within {TIMEOUT_S:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:     # ValueError: an address that aiohttp cannot read
        return Answer("set-up" if reach.is_misconfigured(error) else "later",
                      problem=f"could not be reached ({reach.why(error)})")


async def _in_two_pieces(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Gives way to the calls between making a request and sending it."""
    await yield_loop()
    return await send(request)


def headers_for(delivery: Delivery, secrets: Sequence[str], now: float) -> dict[str, str]:
    """The request's headers, signed if there are secrets. `now` is seconds since 1970."""
    moment = datetime.fromtimestamp(int(now), UTC)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"bridge/{__version__}",
        "Idempotency-Key": delivery.id,
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now)),
    }
    if secrets:
        headers["webhook-signature"] = " ".join(
            Signer(secret).sign(delivery.id, moment, delivery.body) for secret in secrets)
    return headers


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first MAX_ANSWER bytes of the body. If the body breaks or does not come, the status still counts."""
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            while chunk := await response.content.read(MAX_ANSWER - len(body)):
                body += chunk
    except (aiohttp.ClientError, OSError):           # TimeoutError is an OSError
        pass
    return body


class _Said(msgspec.Struct):
    message_to_caller: str = ""


class _SaidFormerly(msgspec.Struct):
    message: str = ""


def message_of(body: bytes) -> str:
    """The words for the caller in a receiver's JSON answer, on one line, MAX_MESSAGE at most. "": there are none.

    They stand under `message_to_caller`, because platforms put words like "Workflow was started" under `message`.
    """
    said = _read(body, _Said)
    return _FORBIDDEN.sub(" ", said.message_to_caller).strip()[:MAX_MESSAGE] if said else ""


def _read(body: bytes, kind: type[_Kind]) -> _Kind | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def parse_secrets(text: str) -> tuple[str, ...]:
    """Reads the setting WEBHOOK_SECRET: secrets separated by spaces or commas.

    Raises ValueError. Its message is the end of a sentence that begins with the setting's name. It holds no part of a
    secret.
    """
    secrets = tuple(re.findall(r"[^\s,]+", text))
    for number, secret in enumerate(secrets, 1):
        which = f"(secret {number} of {len(secrets)}) " if len(secrets) > 1 else ""
        _check(secret, which)
    return secrets


def _check(secret: str, which: str) -> None:
    prefix, encoded = secret[:len("whsec_")], secret[len("whsec_"):].rstrip("=")
    if prefix != "whsec_":
        raise ValueError(f"{which}must begin with whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{which}must be base64 after whsec_") from None
    if not key:
        raise ValueError(f"{which}holds nothing after whsec_")
