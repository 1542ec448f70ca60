"""A Realtime API for demos and tests: a real server, on this machine, that refuses what the vendor's refuses.

    async with RealtimeServer([Turn((Line("Hello!", load_clip("greeting")),))]) as server:
        ...     # point a client at server.url, with server.key

It writes the vendor's JSON itself and shares no code with the bridge's own codecs, so a mistake cannot agree with
itself. A `Script` says what the model says, `Faults` what goes wrong. A test can also break a live connection with
`session.close(code)`, `session.reset()` and `session.go_silent()`, and further ones with `server.refuse(n)`.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket
"""

from bridge.sim.realtime.items import Item
from bridge.sim.realtime.script import AFTERWARDS, Call, Faults, Line, Turn
from bridge.sim.realtime.server import RealtimeServer
from bridge.sim.realtime.session import RealtimeSession, Script

__all__ = [
    "AFTERWARDS", "Call", "Faults", "Item", "Line", "RealtimeServer", "RealtimeSession", "Script", "Turn"]
