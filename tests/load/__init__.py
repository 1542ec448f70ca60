"""The benchmark: many calls at once through the bridge, and the same frames through a plain relay.

`python -m tests.load` starts the real server in a process of its own and plays both of its neighbours,
all phones and the model, in one other. It has its own websocket frames and shares no code with the server,
whose mistakes it would otherwise share; nothing leaves 127.0.0.1. Linux only: it reads /proc.

`python -m tests.load --bookings` measures bookings, and what they do to the calls beside them (bookings.py). How
many one process sustains is the one figure that is taken of the server's parts within the benchmark's own process.

`--soak`, `--recovery` and `--stalled` break things on purpose (soak.py, recovery.py, stalled.py): what can go wrong is
in faults.py, how it is done in inject.py, to the calls of calls.py, whose two ends are in faulty.py.
"""
