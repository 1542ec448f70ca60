"""The floor of the benchmark: a relay that passes websocket messages both ways and looks at none of them.

What it costs is what aiohttp costs; what the bridge costs above it is the bridge's own. It reads two variables
of the bridge, PORT and OPENAI_REALTIME_URL, so that both are started the same way.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, web

MODEL_URL = web.AppKey("MODEL_URL", str)
HTTP = web.AppKey("HTTP", ClientSession)

Socket = web.WebSocketResponse[bool] | ClientWebSocketResponse[bool]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop's where that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def pump(source: Socket, sink: Socket) -> None:
    """Pass on text messages until either side is gone, then close the other."""
    try:
        async for message in source:
            await sink.send_frame(message.data, WSMsgType.TEXT)
    except ConnectionError:
        pass
    finally:
        await sink.close()


async def relay(request: web.Request) -> web.StreamResponse:
    phone = web.WebSocketResponse(compress=False, decode_text=False)
    await phone.prepare(request)
    async with request.app[HTTP].ws_connect(request.app[MODEL_URL], decode_text=False) as model:
        await asyncio.gather(pump(phone, model), pump(model, phone))
    return phone


def create_app(model_url: str) -> web.Application:
    app = web.Application()
    app[MODEL_URL] = model_url

    async def open_http(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=0)) as app[HTTP]:
            yield

    app.cleanup_ctx.append(open_http)
    app.add_routes([web.get("/media-stream/{number}", relay)])
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(os.environ["OPENAI_REALTIME_URL"]), host="127.0.0.1", port=int(os.environ["PORT"]),
        access_log=None, print=None, loop=new_event_loop(),
    )
