"""A websocket after aiohttp's handshake: its messages are handed over in the very callback that reads the socket."""
