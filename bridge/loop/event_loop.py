"""The process's one event loop: its kind, garbage collections that would stop it, and how late it is."""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any, cast

#: How often the event loop's delay is measured, in seconds.
SAMPLE_S = 0.5
#: What a TLS connection holds for each direction (bytes): a little more than the longest TLS record.
TLS_BUFFER = 20_000


def event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop, a tenth faster on audio, with the TLS of aiofastnet if that is installed. Else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return _with_fast_tls(uvloop.Loop)()


def _with_fast_tls(loop_class: Any) -> Callable[[], asyncio.AbstractEventLoop]:
    """The same event loop, whose TLS connections as a client are those of aiofastnet. It is optional.

    What is verified, and which name is asked for, is said by the SSLContext and server_hostname that are passed on.
    Plain connections stay as they are, for they would be slower.
    """
    try:
        import aiofastnet
    except ImportError:
        return cast(Callable[[], asyncio.AbstractEventLoop], loop_class)

    class FastTls(loop_class):  # type: ignore[misc]
        async def create_connection(
            self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any,
        ) -> Any:
            if not options.get("ssl"):
                return await super().create_connection(protocol_factory, host, port, **options)
            return await aiofastnet.create_connection(
                self, protocol_factory, host, port,
                ssl_incoming_bio_size=TLS_BUFFER, ssl_outgoing_bio_size=TLS_BUFFER, **options)
    return FastTls


def spare_the_collector() -> None:
    """Takes all objects so far out of garbage collections, which would stop all calls for 40 ms each.

    Call it once, when the application is open.
    """
    gc.collect()
    gc.freeze()


async def watch_lag(observe: Callable[[float], None]) -> None:
    """Tells `observe` how late the event loop does its work, in seconds. Runs until it is cancelled."""
    while True:
        due = time.monotonic() + SAMPLE_S
        await asyncio.sleep(SAMPLE_S)
        observe(max(time.monotonic() - due, 0.0))
