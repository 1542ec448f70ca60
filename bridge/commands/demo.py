"""`python -m bridge demo`: hear a whole call, or one in which something breaks, without any account or network."""

import argparse
import asyncio
import io
import os
import sys
from pathlib import Path

from bridge.loop.event_loop import event_loop
from bridge.sim.faults import REHEARSED


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser(
        "demo", help="hear a whole call, without any account or network",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults:\n" + "\n".join(f"  {name:<22}{fault.what}" for name, fault in REHEARSED.items()))
    demo.add_argument("--fast", action="store_true", help="faster than real time")
    demo.add_argument("--wav", type=Path, default=Path("bridge-demo.wav"), help="where the recording goes")
    demo.add_argument("--fault", choices=REHEARSED, metavar="NAME", help="rehearse a fault, one of those listed below")


def run(options: argparse.Namespace) -> int:
    """Plays the call. Returns the exit code: 0, or 1 if it went wrong or the recording cannot be written."""
    from bridge.sim import demo, rehearsal           # imported here: a server needs no simulators
    wav: Path = options.wav
    try:
        # Tried before the call rather than after it. Only its owner can read a new file.
        os.close(os.open(wav, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError as error:
        print(f"{wav} cannot be written: {error.strerror}. Name another file with --wav.", file=sys.stderr)
        return 1
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")     # some terminals cannot show “
    call = rehearsal.rehearse(options.fault, wav, fast=options.fast) if options.fault else demo.run(
        wav, fast=options.fast)
    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            return runner.run(call)
    finally:
        if not wav.stat().st_size:
            wav.unlink()
