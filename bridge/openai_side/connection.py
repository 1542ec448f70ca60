"""A session at the Realtime API that is ready for a phone call.

Ready means: connected, session.created, our session.update, and a session.updated that echoes mu-law both ways.
Before that no audio may pass, or the caller hears loud static.

A failure is final if trying again is of no use: a refusal, or a mistake of ours. A failure of the network, or the
server's own trouble, may pass a moment later.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket
"""

import asyncio
import logging
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSCloseCode
from yarl import URL

from bridge.openai_side import errors, realtime
from bridge.wire import handshake
from bridge.wire.websocket import Websocket

log = logging.getLogger(__name__)

#: How long a session may take to be ready, in all (s).
READY_S = 10.0

#: Close codes that stand for a refusal: policy violation, and the codes that applications define themselves.
_REFUSALS = (1008, *range(3000, 5000))


@dataclass(frozen=True, slots=True)
class Account:
    """The address of the Realtime API, the model, and the key."""

    url: str
    model: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModelSession:
    """A session that is ready. `expires_at`: when the server will end it (s since 1970). None: it does not say."""

    wire: Websocket
    expires_at: float | None


class ModelUnreachable(Exception):
    """No session could be had. The message says why and what to do.

    `final`: trying again is of no use for this call. `fatal`: nor for any other. `wait_s`: the server says to wait (s).
    """

    def __init__(self, message: str, *, final: bool, fatal: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.final, self.fatal, self.wait_s = final or fatal, fatal, wait_s


def address(account: Account) -> URL:
    """The session's address, with the model as a query."""
    return URL(account.url).update_query(model=account.model)


def headers(account: Account) -> dict[str, str]:
    """The headers that carry the key. Azure takes it in a header of its own."""
    host = URL(account.url).host or ""
    if host.endswith((".azure.com", ".azure.us", ".azure.cn")):
        return {"api-key": account.key}
    return {"Authorization": f"Bearer {account.key}"}


async def open_session(
    http: aiohttp.ClientSession, account: Account, setup: bytes, within: float | None = None,
) -> ModelSession:
    """Connects and sends `setup`, a session.update. Raises ModelUnreachable.

    It takes `within` seconds at most, and READY_S at most. Whoever opens a session closes its socket.
    """
    seconds = READY_S if within is None else min(within, READY_S)
    try:
        async with asyncio.timeout(seconds):
            wire = await handshake.connect(http, address(account), headers(account))
            try:
                return ModelSession(wire, await _set_up(wire, setup))
            except BaseException:
                await wire.close(WSCloseCode.OK)
                raise
    except TimeoutError:
        raise ModelUnreachable(
            f"no session within {seconds:.1f} s: is OPENAI_REALTIME_URL right?", final=False) from None
    except aiohttp.WSServerHandshakeError as error:
        raise _refused_upgrade(error) from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise ModelUnreachable(
            f"no connection ({error}): check OPENAI_REALTIME_URL and this machine's certificates", final=True) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ModelUnreachable(
            f"no connection ({error}): check OPENAI_REALTIME_URL and this machine's network", final=False) from None


async def _set_up(wire: Websocket, setup: bytes) -> float | None:
    """Sets the new session up for a phone call. Returns when it will end (s since 1970), or None."""
    created = await _session(wire, realtime.SessionCreated)
    wire.send(setup)
    session = await _session(wire, realtime.SessionUpdated)
    if not session.speaks_pcmu():
        raise ModelUnreachable(
            "the session did not take audio/pcmu both ways, its audio would be static: check OPENAI_MODEL", final=True)
    return session.expires_at or created.expires_at or None


async def _session(
    wire: Websocket, kind: type[realtime.SessionCreated | realtime.SessionUpdated],
) -> realtime.Session:
    """The session in the next event of this kind. Other events before it are skipped."""
    while (message := await wire.receive()) is not None:
        try:
            event = realtime.parse(message)
        except realtime.Malformed as error:
            log.warning("an event of the model could not be read: %s", error)
            continue
        if isinstance(event, realtime.Error):
            raise _refused_session(event.error)
        if isinstance(event, kind):
            return event.session
    raise _closed(wire.close_code)


# ---- what went wrong, and what to do

#: What to do about a status that every call would meet.
_FATAL_STATUS = {
    401: "check OPENAI_API_KEY", 403: "check OPENAI_API_KEY and its project's permissions",
    404: "check OPENAI_MODEL and OPENAI_REALTIME_URL",
}


def _refused_upgrade(error: aiohttp.WSServerHandshakeError) -> ModelUnreachable:
    """Any status below 500 is an answer to our request, and would be given again. So it is final.

    429 is final too, because it also stands for used-up credit, unless the server says when to come back.
    """
    status, wait_s = error.status, _retry_after(error)
    if status == 429:
        advice = errors.advice("rate_limit_exceeded", None) if wait_s else "the account's limit or credit is used up"
        return ModelUnreachable(f"refused with status 429: {advice}", final=not wait_s, wait_s=wait_s)
    otherwise = errors.advice("server_error", None) if status >= 500 else "check OPENAI_REALTIME_URL and OPENAI_MODEL"
    return ModelUnreachable(
        f"refused with status {status}: {_FATAL_STATUS.get(status, otherwise)}",
        final=status < 500, fatal=status in _FATAL_STATUS, wait_s=wait_s)


def _retry_after(error: aiohttp.WSServerHandshakeError) -> float:
    """The seconds in a Retry-After header. 0: there is none, or it is a date, which is too far off for a caller."""
    text = (error.headers.get("Retry-After", "") if error.headers else "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _refused_session(error: realtime.ErrorDetails) -> ModelUnreachable:
    """An invalid request is final. A session's age and a rate limit are not."""
    passing = error.back_off or error.code == errors.EXPIRED
    final = error.type == "invalid_request_error" and not passing
    return ModelUnreachable(f"refused ({error})", final=final, fatal=error.fatal, wait_s=error.wait_s or 0.0)


def _closed(code: int | None) -> ModelUnreachable:
    final = code in _REFUSALS
    advice = "check OPENAI_REALTIME_URL and OPENAI_MODEL" if final else "it may pass"
    return ModelUnreachable(f"the connection was closed with code {code}: {advice}", final=final)
