"""`python -m tests.load.watched`: the server as it is; asked by SIGUSR1, it says what it holds.

The answer is a file, CENSUS where the server was started, which is there as soon as it is whole.
"""

import asyncio
import gc
import json
import signal
import sys
from pathlib import Path

CENSUS = "census.json"


def _count(*_: object) -> None:
    gc.collect()
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    names = [getattr(task.get_coro(), "__qualname__", "unknown") for task in tasks]
    news = Path(CENSUS + ".new")
    news.write_text(json.dumps({"tasks": sorted(names), "objects": len(gc.get_objects())}))
    news.rename(CENSUS)


def main() -> int:
    # Imported here: this module's name for the file is of use to who shares no code with the server.
    from bridge.__main__ import main as serve
    signal.signal(signal.SIGUSR1, _count)
    return serve([])


if __name__ == "__main__":
    sys.exit(main())
