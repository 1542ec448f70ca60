"""Stand-ins for cloudflared and ngrok: they take what those take, print what those print, and forward for real.

    path = install(folder, "cloudflared")            # to be PATH

Each start has an address of its own, http on this machine. What goes wrong is said by the file `fault` in the folder:
`no-account` is what ngrok says without an authtoken, `no-address` what cloudflared says when it is refused one, `mute`
closes every connection. Each process writes its number to `pids`.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bridge.sim.process import ROOT

CLOUDFLARED = """\
{now} INF Thank you for trying Cloudflare Tunnel. Doing so, without a Cloudflare account, is a quick way to experiment \
and try it out. However, be aware that these account-less Tunnels have no uptime guarantee, are subject to the \
Cloudflare Online Services Terms of Use (https://www.cloudflare.com/website-terms/), and Cloudflare reserves the right \
to investigate your use of Tunnels for violations of such terms.
{now} INF Requesting new quick Tunnel on trycloudflare.com...
{now} INF +--------------------------------------------------------------------------------------------+
{now} INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |
{now} INF |  {address:<90}|
{now} INF +--------------------------------------------------------------------------------------------+
{now} INF Version 2026.9.3 (Checksum 8f3ac2)
{now} ERR Configuration file /dev/null was empty
{now} INF Settings: map[config:/dev/null no-autoupdate:true url:{target}]
{now} INF Starting metrics server on 127.0.0.1:20241/metrics
{now} INF Registered tunnel connection connIndex=0 connection=b7ebd606-8da5-4273-af3d-472ec741887c event=0 \
ip=198.41.200.13 location=fra08 protocol=quic
"""
REFUSED = """\
{now} INF Requesting new quick Tunnel on trycloudflare.com...
failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": context deadline exceeded
"""
NGROK: list[dict[str, object]] = [
    {"lvl": "info", "msg": "no configuration paths supplied"},
    {"addr": "127.0.0.1:4040", "allow_hosts": None, "lvl": "info", "msg": "starting web service", "obj": "web"},
    {"lvl": "info", "msg": "tunnel session started", "obj": "tunnels.session"},
]
NO_ACCOUNT = ("authentication failed: Usage of ngrok requires a verified account and authtoken.\n\nSign up for an "
              "account: https://dashboard.ngrok.com/signup\n\nERR_NGROK_4018\n")


def install(folder: Path, *names: str) -> str:
    """A PATH on which these are, and nothing else."""
    folder.mkdir(exist_ok=True)
    for name in names:
        file = folder / name
        file.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.stage.tunnel_program {name} '
                        f'{folder} "$@"\n')
        file.chmod(0o755)
    return str(folder)


def pids(folder: Path) -> list[int]:
    """Of the processes that were started, the latest last."""
    file = folder / "pids"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


async def main(name: str, folder: Path, *arguments: str) -> int:
    with open(folder / "pids", "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    fault = _fault(folder)
    target = _target(name, arguments)
    host, _, port = target.removeprefix("http://").rpartition(":")
    server = await asyncio.start_server(lambda *ends: _forward(folder, host, int(port), *ends), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if name == "cloudflared":
        text = REFUSED if fault == "no-address" else CLOUDFLARED
        print(text.format(now=now, address=address, target=target), end="", file=sys.stderr, flush=True)
    else:
        _print_ngrok(now, target, address, fault)
    if fault in ("no-account", "no-address"):
        return 1
    await server.serve_forever()
    return 0


def _print_ngrok(now: str, target: str, address: str, fault: str) -> None:
    lines = [*NGROK]
    if fault:
        lines.append({"err": NO_ACCOUNT, "lvl": "eror", "msg": "session closing", "obj": "tunnels.session"})
    else:
        lines.append({"addr": target, "lvl": "info", "msg": "started tunnel", "name": "command_line", "obj": "tunnels",
                      "url": address})
    for line in lines:
        print(json.dumps(line | {"t": now}, separators=(",", ":")), flush=True)
    if fault:
        print("ERROR:  " + NO_ACCOUNT.replace("\n", "\nERROR:  "), flush=True)


def _target(name: str, arguments: tuple[str, ...]) -> str:
    """Where to; what the real program would not take ends this one."""
    match [name, *arguments]:
        case ["cloudflared", "tunnel", "--config", "/dev/null", "--no-autoupdate", "--url", target]:
            return target
        case ["ngrok", "http", target, "--log=stdout", "--log-format=json"]:
            return target
    sys.exit(f"{name} does not know these arguments: {arguments}")


def _fault(folder: Path) -> str:
    file = folder / "fault"
    return file.read_text() if file.exists() else ""


async def _forward(
    folder: Path, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
) -> None:
    if _fault(folder) == "mute":
        writer.close()
        return
    try:
        back, there = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pour(reader, there), _pour(back, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])))
