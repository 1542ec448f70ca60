"""The model: whether the key counts, the model exists and lasts, and a session opens as a call needs it.

Nothing is said to the model and nothing asked of it, so this costs nothing. For the same reason it does not prove that
the account has credit: a session may open without, and only an answer would show it.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket and /api/reference/resources/models
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import aiohttp
import msgspec
from aiohttp import WSCloseCode
from yarl import URL

from bridge.delivery.reach import why
from bridge.doctor.finding import Finding, sentence
from bridge.openai_side import models, realtime
from bridge.openai_side.connection import Account, ModelUnreachable, headers, open_session
from bridge.wire.websocket import Websocket

#: How long the list of models, and a session, may take, seconds.
LIST_S, SESSION_S = 5.0, 8.0
#: A refusal may come right behind a session that is ready, seconds.
AFTERWARDS_S = 0.3
#: A model that ends within so many days is worth replacing now.
SOON_DAYS = 60
MAX_LIST = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listing:
    """What `GET /v1/models` answered: `ends` has a day, "" for none announced, by each model.

    `status`: 0 where nothing came, and `problem` says why. `date`: the header; `at`: this machine's time when it came.
    """

    status: int = 0
    ends: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    date: str = ""
    at: float = 0.0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Session:
    """`problem`: why none could be had, with what to do; "": it opened."""

    problem: str = ""
    took_s: float = 0.0


class _Model(msgspec.Struct):
    id: str
    shutdown_date: str | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


def models_address(realtime_url: str) -> URL:
    """Beside the Realtime API: /v1/models for /v1/realtime."""
    address = URL(realtime_url)
    return (address.with_scheme("https" if address.scheme == "wss" else "http")
            .with_path(address.path.rstrip("/").rpartition("/")[0] + "/models").with_query(None))


async def list_models(http: aiohttp.ClientSession, account: Account) -> Listing:
    begun = time.monotonic()
    try:
        async with http.get(models_address(account.url), headers=headers(account), allow_redirects=False,
                            timeout=aiohttp.ClientTimeout(total=LIST_S)) as answer:
            told, at, took_s = answer.headers.get("Date", ""), time.time(), time.monotonic() - begun
            ends: dict[str, str] = {}
            if answer.status == 200:
                found = msgspec.json.decode(await _all_of(answer), type=_Models)
                ends = {each.id: each.shutdown_date or "" for each in found.data}
            return Listing(answer.status, ends, date=told, at=at, took_s=took_s)
    except msgspec.MsgspecError:
        return Listing(answer.status, problem="its list cannot be read", date=told, at=at, took_s=took_s)
    except TimeoutError:
        return Listing(problem=f"no answer within {LIST_S:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Listing(problem=f"no connection ({why(error)})")


async def _all_of(answer: aiohttp.ClientResponse) -> bytes:
    """MAX_LIST at most; `read` of so many would give what has come so far."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_LIST:
            break
    return bytes(body)


async def try_session(
    http: aiohttp.ClientSession, account: Account, setup: bytes, afterwards_s: float = AFTERWARDS_S,
) -> Session:
    """Opens a session, sets it up, and closes it."""
    begun = time.monotonic()
    try:
        session = await open_session(http, account, setup, SESSION_S)
        took_s = time.monotonic() - begun
        try:
            return Session(await _refused_afterwards(session.wire, afterwards_s), took_s)
        finally:
            await session.wire.close(WSCloseCode.OK)
    except ModelUnreachable as problem:
        return Session(str(problem), time.monotonic() - begun)


async def _refused_afterwards(wire: Websocket, within_s: float) -> str:
    try:
        async with asyncio.timeout(within_s):
            while (message := await wire.receive()) is not None:
                event = realtime.parse(message)
                if isinstance(event, realtime.Error):
                    return f"refused ({event.error})"
    except (TimeoutError, realtime.Malformed):
        return ""
    return f"the connection was closed with code {wire.close_code}"


# ---- what it means: pure

def judged(model: str, transcription: str, listing: Listing, session: Session, today: date) -> list[Finding]:
    if listing.status == 401:
        return [
            Finding("key", "failure", "OpenAI refuses OPENAI_API_KEY.",
                    "Make a key at https://platform.openai.com/api-keys, and set OPENAI_API_KEY to it."),
            *(Finding(name, "skipped", "The key comes first.") for name in ("model", "session", "credit"))]
    found = [_key(listing), *_model(model, listing, session, today)]
    unknown = any(each.state == "failure" for each in found)
    if not unknown:
        found += _transcription(transcription, listing, today)
    if unknown:
        return [*found, *(Finding(name, "skipped", "The model comes first.") for name in ("session", "credit"))]
    if session.problem:
        says = sentence(f"No session of {model} can be had: {session.problem}")
        return [*found, Finding("session", "failure", says, "Mend that: until then callers get the fallback."),
                Finding("credit", "skipped", "A session comes first.")]
    return [
        *found,
        Finding("session", "ok", f"A session of {model} opens, and speaks audio/pcmu both ways.",
                took_s=session.took_s),
        Finding("credit", "not proven", "Whether the account has credit shows only when the model speaks, which "
                "costs something.", "Call your number.")]


def _key(listing: Listing) -> Finding:
    if listing.status == 200:
        return Finding("key", "ok", "OPENAI_API_KEY counts.", took_s=listing.took_s)
    reason = listing.problem or f"the list of models was answered with status {listing.status}"
    return Finding("key", "not proven", f"Whether OPENAI_API_KEY counts could not be asked: {reason}.")


def _model(model: str, listing: Listing, session: Session, today: date) -> Iterator[Finding]:
    if listing.ends and model not in listing.ends:
        if session.problem:
            yield Finding("model", "failure", f"OPENAI_MODEL={model} is not among the models of this key.",
                          f"Set OPENAI_MODEL={models.INSTEAD}")
        else:
            yield Finding("model", "ok", f"{model} is not listed, and opens a session all the same.")
        return
    if not listing.ends and session.problem:
        yield Finding("model", "not proven", f"Whether there is a model {model} could not be asked.")
        return
    yield _lasting("model", "OPENAI_MODEL", model, _last_day(model, listing, models.ends), models.INSTEAD, today)


def _transcription(name: str, listing: Listing, today: date) -> Iterator[Finding]:
    """Told only when it ends."""
    day = _last_day(name, listing, models.transcription_ends)
    if name and day and (day - today).days <= SOON_DAYS:
        yield _lasting("model", "OPENAI_TRANSCRIPTION_MODEL", name, day, models.TRANSCRIPTION_INSTEAD, today)


def _last_day(model: str, listing: Listing, known: "models.Ends") -> date | None:
    """As the list says, or else as was known when this was written."""
    said = listing.ends.get(model, "")
    try:
        return date.fromisoformat(said[:10]) if said else known(model)
    except ValueError:
        return known(model)


def _lasting(check: str, setting: str, model: str, day: date | None, instead: str, today: date) -> Finding:
    if day is None:
        return Finding(check, "ok", f"{model} exists, and no end of it is announced.")
    left = (day - today).days
    if left > SOON_DAYS:
        return Finding(check, "ok", f"{model} exists until {day}.")
    when = f"ends on {day}, in {left} days" if left > 0 else f"was to end on {day}"
    return Finding(check, "warning", f"{setting}={model} {when}.", f"Set {setting}={instead}")
