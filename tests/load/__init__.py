"""The benchmark: many calls at once through the bridge, and the same frames through a relay of raw bytes.

`python -m tests.load` starts the real server in a process of its own. One other process plays all phones and the model.
It has its own websocket frames and shares no code with the server, so it does not share the server's mistakes. Nothing
leaves 127.0.0.1. Linux only, because it reads /proc. README.md has the modes and the figures.
"""
