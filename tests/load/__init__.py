"""The benchmark: many calls at once through the bridge, and the same frames through a relay of raw bytes.

`python -m tests.load` starts the real server in a process of its own and plays both of its neighbours, all phones and
the model, in one other. It has its own websocket frames and shares no code with the server, whose mistakes it would
otherwise share; nothing leaves 127.0.0.1. Linux only: it reads /proc. README.md has the modes and the figures.
"""
