"""A Realtime API for demos and tests: a real server, on this machine, that refuses what the vendor's refuses.

    async with RealtimeServer([Turn((Line("Hello!", load_clip("greeting")),))]) as server:
        ...     # point a client at server.url, with server.key

It writes the vendor's JSON itself and shares no code with the bridge's own codecs, so that a mistake cannot agree
with itself. What it says is a `Script`; what goes wrong are `Faults`, and what a test does to a live connection:
`session.close(code)`, `session.reset()`, `session.go_silent()`, and `server.refuse(n)` for the connections after it.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket
"""

from bridge.sim.realtime.items import Item
from bridge.sim.realtime.script import AFTERWARDS, Call, Faults, Line, Turn
from bridge.sim.realtime.server import RealtimeServer
from bridge.sim.realtime.session import RealtimeSession, Script

__all__ = [
    "AFTERWARDS", "Call", "Faults", "Item", "Line", "RealtimeServer", "RealtimeSession", "Script", "Turn"]
