"""A session at the Realtime API that is ready for a phone call.

Ready means: connected, session.created, our session.update, and a session.updated that echoes mu-law both ways.
Before that no audio may pass, or the caller hears loud static.

A failure is final when trying again is of no use: what is refused stays refused, and so does a mistake of ours. What
only did not come about, because of the network or the server's own trouble, may come about a moment later.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket
"""

import asyncio
import logging
from dataclasses import dataclass

import aiohttp
from aiohttp import ClientWebSocketResponse, ClientWSTimeout, WSMsgType
from yarl import URL

from bridge.openai_side import realtime
from bridge.settings import Settings

log = logging.getLogger(__name__)

#: Until the session is ready, in all.
READY_S = 10.0
#: A ping after so long without a word finds a dead path, which TCP alone does not: half of it later, without an
#: answer, the connection counts as lost. A caller who speaks into a dead path must not wait for long, seconds.
HEARTBEAT_S = 1.3
CLOSE_S = 0.5

#: Close codes that stand for a refusal: a policy's, and those an application gives a meaning of its own.
_REFUSALS = (1008, *range(3000, 5000))

#: What to do about an error, by its code or type.
_ADVICE = {
    "invalid_api_key": "check OPENAI_API_KEY",
    "account_deactivated": "the account of OPENAI_API_KEY is closed",
    "insufficient_quota": "the account's credit is used up: see its billing page",
    "credit_balance_exhausted": "the account's credit is used up: see its billing page",
    "billing_hard_limit_reached": "the account's spending limit is reached: see its billing page",
    "model_not_found": "check OPENAI_MODEL",
    "invalid_model": "check OPENAI_MODEL",
    "beta_api_shape_disabled": "check OPENAI_REALTIME_URL: the beta is switched off",
    "rate_limit_exceeded": "too much at once for this account: see its limits page",
    realtime.EXPIRED: "a new session may work",
    "server_error": "the model's own trouble: see its status page",
    "invalid_request_error": "check OPENAI_MODEL, OPENAI_VOICE and the other settings of the model",
}

ModelSocket = ClientWebSocketResponse[bool]


@dataclass(frozen=True, slots=True)
class ModelSession:
    """A session that is ready, and when the server will end it: seconds since the epoch, None if it does not say."""

    socket: ModelSocket
    expires_at: float | None


class ModelUnreachable(Exception):
    """No session could be had; the message says why and what to do. `final`: trying again is of no use."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


def address(settings: Settings) -> URL:
    """The session's address, with the model as a query."""
    return URL(settings.OPENAI_REALTIME_URL).update_query(model=settings.OPENAI_MODEL)


def headers(settings: Settings) -> dict[str, str]:
    """How the session is paid for: Azure takes its key in a header of its own."""
    host = URL(settings.OPENAI_REALTIME_URL).host or ""
    if host.endswith((".azure.com", ".azure.us", ".azure.cn")):
        return {"api-key": settings.OPENAI_API_KEY}
    return {"Authorization": f"Bearer {settings.OPENAI_API_KEY}"}


async def open_session(
    http: aiohttp.ClientSession, settings: Settings, setup: bytes, within: float | None = None,
) -> ModelSession:
    """Connects and sends `setup`, a session.update. Raises ModelUnreachable, `within` seconds (READY_S) at most."""
    seconds = READY_S if within is None else min(within, READY_S)
    try:
        async with asyncio.timeout(seconds):
            socket = await _connect(http, settings)
            try:
                return ModelSession(socket, await _set_up(socket, setup))
            except BaseException:
                await socket.close()
                raise
    except TimeoutError:
        raise ModelUnreachable(
            f"no session within {seconds:.1f} s: is OPENAI_REALTIME_URL right?", final=False) from None
    except aiohttp.WSServerHandshakeError as error:
        raise _refused_upgrade(error.status) from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise ModelUnreachable(
            f"no connection ({error}): check OPENAI_REALTIME_URL and this machine's certificates", final=True) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ModelUnreachable(
            f"no connection ({error}): check OPENAI_REALTIME_URL and this machine's network", final=False) from None


async def _connect(http: aiohttp.ClientSession, settings: Settings) -> ModelSocket:
    return await http.ws_connect(
        address(settings), headers=headers(settings), heartbeat=HEARTBEAT_S, decode_text=False,
        timeout=ClientWSTimeout(ws_close=CLOSE_S),
    )


async def _set_up(socket: ModelSocket, setup: bytes) -> float | None:
    """Makes the new session a phone call; returns when it will end."""
    created = await _session(socket, realtime.SessionCreated)
    await socket.send_frame(setup, WSMsgType.TEXT)
    session = await _session(socket, realtime.SessionUpdated)
    if not session.speaks_pcmu():
        raise ModelUnreachable(
            "the session did not take audio/pcmu both ways, its audio would be static: check OPENAI_MODEL", final=True)
    return session.expires_at or created.expires_at or None


async def _session(
    socket: ModelSocket, kind: type[realtime.SessionCreated | realtime.SessionUpdated],
) -> realtime.Session:
    """The session in the next event of this kind; what else comes before it is of no use yet."""
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        try:
            event = realtime.parse(message.data)
        except realtime.Malformed as error:
            log.warning("an event of the model could not be read: %s", error)
            continue
        if isinstance(event, realtime.Error):
            raise _refused_session(event.error)
        if isinstance(event, kind):
            return event.session
    raise _closed(socket.close_code)


# ---- what went wrong, and what to do

def _refused_upgrade(status: int) -> ModelUnreachable:
    """Any status but a server's own trouble is an answer to what we asked for, and would be given again."""
    advice = {
        401: "check OPENAI_API_KEY", 403: "check OPENAI_API_KEY and its project's permissions",
        404: "check OPENAI_MODEL and OPENAI_REALTIME_URL", 429: "the account's limit or credit is used up",
    }
    fallback = _ADVICE["server_error"] if status >= 500 else "check OPENAI_REALTIME_URL and OPENAI_MODEL"
    return ModelUnreachable(f"refused with status {status}: {advice.get(status, fallback)}", final=status < 500)


def _refused_session(error: realtime.ErrorDetails) -> ModelUnreachable:
    """What the request itself is to blame for is final; a session's age and too much at once are not."""
    passing = error.back_off or error.code == realtime.EXPIRED
    final = error.fatal or error.type == "invalid_request_error" and not passing
    advice = _ADVICE.get(error.code or "") or _ADVICE.get(error.type or "", "it may pass")
    message = " ".join(error.message.split())
    return ModelUnreachable(f"refused ({error.code or error.type}): {message} ({advice})", final=final)


def _closed(code: int | None) -> ModelUnreachable:
    final = code in _REFUSALS
    advice = "check OPENAI_REALTIME_URL and OPENAI_MODEL" if final else "it may pass"
    return ModelUnreachable(f"the connection was closed with code {code}: {advice}", final=final)
