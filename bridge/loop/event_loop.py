"""The process's one event loop: its kind, garbage collections that would stop it, and how late it is."""

import asyncio
import gc
import time
from collections.abc import Callable

#: How often the event loop's delay is measured, in seconds.
SAMPLE_S = 0.5


def event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop, which is a tenth faster on audio. Without that package, one of asyncio."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


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
