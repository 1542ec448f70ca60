"""A session at the Realtime API that is ready for a phone call.

Ready means: connected, session.created, our session.update, and a session.updated that echoes mu-law both ways.
Before that no audio may pass, or the caller hears loud static.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket
"""

import asyncio
import logging

import aiohttp
from aiohttp import ClientWebSocketResponse, ClientWSTimeout, WSMsgType
from yarl import URL

from bridge.openai_side import realtime
from bridge.settings import Settings

log = logging.getLogger(__name__)

#: Until the session is ready, in all.
READY_S = 10.0
#: A ping that often finds a dead path, which TCP alone does not.
HEARTBEAT_S = 20.0
CLOSE_S = 0.5

ModelSocket = ClientWebSocketResponse[bool]


class ModelUnreachable(Exception):
    """No session could be had; the message says why and what to do."""


def address(settings: Settings) -> URL:
    """The session's address, with the model as a query."""
    return URL(settings.OPENAI_REALTIME_URL).update_query(model=settings.OPENAI_MODEL)


def headers(settings: Settings) -> dict[str, str]:
    """How the session is paid for: Azure takes its key in a header of its own."""
    host = URL(settings.OPENAI_REALTIME_URL).host or ""
    if host.endswith((".azure.com", ".azure.us", ".azure.cn")):
        return {"api-key": settings.OPENAI_API_KEY}
    return {"Authorization": f"Bearer {settings.OPENAI_API_KEY}"}


async def open_session(http: aiohttp.ClientSession, settings: Settings, setup: bytes) -> ModelSocket:
    """Connects and sends `setup`, a session.update. Raises ModelUnreachable, within READY_S."""
    try:
        async with asyncio.timeout(READY_S):
            socket = await _connect(http, settings)
            try:
                await _set_up(socket, setup)
            except BaseException:
                await socket.close()
                raise
            return socket
    except TimeoutError:
        raise ModelUnreachable(f"no session within {READY_S:.0f} s: is OPENAI_REALTIME_URL right?") from None
    except aiohttp.WSServerHandshakeError as error:
        raise ModelUnreachable(_refusal(error.status)) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ModelUnreachable(f"no connection ({error})") from None


async def _connect(http: aiohttp.ClientSession, settings: Settings) -> ModelSocket:
    return await http.ws_connect(
        address(settings), headers=headers(settings), heartbeat=HEARTBEAT_S, decode_text=False,
        timeout=ClientWSTimeout(ws_close=CLOSE_S),
    )


def _refusal(status: int) -> str:
    advice = {
        401: "check OPENAI_API_KEY", 403: "check OPENAI_API_KEY and its project's permissions",
        404: "check OPENAI_MODEL and OPENAI_REALTIME_URL", 429: "the account's limit or credit is used up",
    }
    return f"refused with status {status}: {advice.get(status, 'check OPENAI_REALTIME_URL and OPENAI_MODEL')}"


async def _set_up(socket: ModelSocket, setup: bytes) -> None:
    await _session(socket, realtime.SessionCreated)
    await socket.send_frame(setup, WSMsgType.TEXT)
    session = await _session(socket, realtime.SessionUpdated)
    if not session.speaks_pcmu():
        raise ModelUnreachable("the session did not take audio/pcmu both ways: its audio would be static")


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
            raise ModelUnreachable(f"refused ({event.error.code or event.error.type}): {event.error.message}")
        if isinstance(event, kind):
            return event.session
    raise ModelUnreachable(f"the connection was closed with code {socket.close_code}")
