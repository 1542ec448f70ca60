"""The floor of the benchmark: a relay of raw bytes between two sockets that parses nothing.

The phone's handshake and its frames go to the model as they are, and the model's go back. This costs what the
kernel and the event loop cost. The bridge's own cost is what it takes above that. It reads two variables of the
bridge, PORT and OPENAI_REALTIME_URL, so both are started in the same way.
"""

import asyncio
import os
from typing import cast
from urllib.parse import urlsplit

HOST = "127.0.0.1"
#: The most calls that may come at once.
BACKLOG = 2048


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop, if that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Half(asyncio.Protocol):
    """One of the two sockets of a call. Its bytes are written to the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._other: Half | None = None
        self._early = b""                            # bytes that came before the other one was there

    def join(self, other: "Half") -> None:
        self._other = other
        if self._early:
            other.transport.write(self._early)
            self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)     # uvloop's transport is one, but has another type

    def data_received(self, data: bytes) -> None:
        if self._other:
            self._other.transport.write(data)
        else:
            self._early += data

    def connection_lost(self, error: Exception | None) -> None:
        if self._other:
            self._other.transport.close()


class Phone(Half):
    """The half that was called. It dials the model."""

    def __init__(self, model_port: int) -> None:
        super().__init__()
        self._model_port = model_port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            _, model = await asyncio.get_running_loop().create_connection(Half, HOST, self._model_port)
        except OSError:
            self.transport.close()
            return
        model.join(self)
        self.join(model)
        if self.transport.is_closing():
            model.transport.close()


async def serve(port: int, model_port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Phone(model_port), HOST, port, backlog=BACKLOG)
    await server.serve_forever()


def main() -> None:
    model_port = urlsplit(os.environ["OPENAI_REALTIME_URL"]).port
    assert model_port
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(int(os.environ["PORT"]), model_port))
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
