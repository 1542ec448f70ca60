"""What cloudflared and ngrok say, line by line, as they print it."""

import json
from pathlib import Path

import pytest

from bridge.tunnel.programs import PROGRAMS, NoProgram, Said, found
from tests.stage.tunnel_program import NO_ACCOUNT

CLOUDFLARED, NGROK = (each.read for each in PROGRAMS)
ADDRESS = "https://tiles-photograph-routine-groundwater.trycloudflare.com"


@pytest.mark.parametrize(("line", "said"), [
    ("2026-10-14T10:35:25Z INF Requesting new quick Tunnel on trycloudflare.com...", Said()),
    ("2026-10-14T10:35:25Z INF Thank you for trying Cloudflare Tunnel (https://www.cloudflare.com/website-terms/)",
     Said()),
    ("2026-10-14T10:35:26Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be "
     "reachable):  |", Said()),
    (f"2026-10-14T10:35:26Z INF |  {ADDRESS}                            |", Said(address=ADDRESS)),
    ("2026-10-14T10:35:27Z INF Registered tunnel connection connIndex=0 connection=b7eb event=0 ip=198.41.200.13 "
     "location=fra08 protocol=quic", Said(up=True)),
    ('failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": context deadline exceeded',
     Said(problem='failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": context deadline '
                  'exceeded')),
    ("2026-10-14T10:35:27Z ERR Unauthorized: Tunnel not found", Said(problem="Unauthorized: Tunnel not found")),
    ("2026-10-14T10:35:27Z ERR Configuration file /dev/null was empty", Said()),
    ("2026-10-14T10:35:26Z INF |  https://api.trycloudflare.com  |", Said()),
    ("2026-10-14T10:35:26Z INF |  http://tiles.trycloudflare.com  |", Said()),
])
def test_cloudflared(line: str, said: Said) -> None:
    assert CLOUDFLARED(line) == said


STARTED = {"addr": "http://localhost:5050", "lvl": "info", "msg": "started tunnel", "name": "command_line",
           "obj": "tunnels", "url": "https://ab12.ngrok-free.app"}


@pytest.mark.parametrize(("line", "said"), [
    (json.dumps(STARTED), Said(address="https://ab12.ngrok-free.app", up=True)),
    (json.dumps(STARTED | {"addr": {"Scheme": "http", "Host": "127.0.0.1:9700"}}),
     Said(address="https://ab12.ngrok-free.app", up=True)),
    (json.dumps(STARTED | {"url": "tcp://0.tcp.ngrok.io:1"}), Said()),
    ('{"addr":"127.0.0.1:4040","lvl":"info","msg":"starting web service","obj":"web"}', Said()),
    ('{"err":"<nil>","lvl":"eror","msg":"?"}', Said()),
    (json.dumps({"err": "read: connection reset by peer", "lvl": "eror", "msg": "session closed, starting reconnect"}),
     Said(problem="read: connection reset by peer")),
    (json.dumps({"err": NO_ACCOUNT, "lvl": "eror", "msg": "session closing"}),
     Said(problem=" ".join(NO_ACCOUNT.split()), final=True)),
    ("ERROR:  ERR_NGROK_108", Said(problem="ERR_NGROK_108", final=True)),
    ("not json at all", Said()), ("[]", Said()), ("", Said()),
])
def test_ngrok(line: str, said: Said) -> None:
    assert NGROK(line) == said


def test_the_first_that_is_there_is_taken(tmp_path: Path) -> None:
    with pytest.raises(NoProgram, match="there is no cloudflared and no ngrok on PATH. cloudflared needs no account"):
        found("", str(tmp_path))
    for name in ("ngrok", "cloudflared"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert found("", str(tmp_path))[1] == str(tmp_path / name)
    assert found("ngrok", str(tmp_path))[0].name == "ngrok"
    (tmp_path / "ngrok").unlink()
    with pytest.raises(NoProgram, match="there is no ngrok on PATH"):
        found("ngrok", str(tmp_path))
