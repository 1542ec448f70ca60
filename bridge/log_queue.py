"""The way of log lines out of the event loop: a bounded queue, and a thread that writes them to standard error.

1. Who logs never waits. Where standard error is not read, or its disk is full, lines are left out and counted; as soon
   as there is room again a line says how many. Otherwise a full pipe would stop every call.
2. A line is made, and its secrets taken out, before it is put into the queue: its values may change later, and a
   traceback would keep everything that it came through.
3. At the end what is in the queue is still written, within FLUSH_S.
"""

import logging
import os
import queue
import threading
import time
from contextlib import suppress
from logging.handlers import QueueHandler

#: Lines that may wait: minutes of a busy server's, some MB.
MOST_LINES = 5_000
#: How long the end of the program waits for standard error to take them, seconds.
FLUSH_S = 1.0
#: How often a terminal is tried that somebody else has set to take nothing by waiting, seconds.
AGAIN_S = 0.01


class LogQueue(QueueHandler):
    """A handler that writes to a file descriptor in a thread of its own. Its formatter takes out secrets."""

    def __init__(self, formatter: logging.Formatter, descriptor: int, most: int = MOST_LINES) -> None:
        self._lines: queue.Queue[str | threading.Event | None] = queue.Queue(most)
        super().__init__(self._lines)
        self.setFormatter(formatter)
        self._descriptor, self._room = descriptor, most // 2
        self._dropped = self._failed = self._told = 0
        self._stuck = False
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    @property
    def left_out(self) -> int:
        """Lines that were not written."""
        return self._dropped + self._failed

    # ---- who logs: one at a time, by the handler's lock

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, record: str) -> None:  # type: ignore[override]
        """Takes what `prepare` made of a record."""
        if self.left_out > self._told and self._lines.qsize() <= self._room:
            self._tell()
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:
        """A line that cannot be made: what logging would print of it is not free of secrets, and makes others wait."""
        self._dropped += 1

    def _tell(self) -> None:
        left_out = self.left_out
        record = logging.LogRecord(
            __name__, logging.WARNING, __file__, 0, "log lines that could not be written: %(lines)d",
            ({"lines": left_out - self._told},), None)
        with suppress(queue.Full):
            self._lines.put_nowait(self.format(record))
            self._told = left_out

    # ---- the thread

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if isinstance(line, threading.Event):
                line.set()
                continue
            try:
                self._write(f"{line}\n".encode(errors="backslashreplace"))
            except OSError:                          # nobody is there to read, or a disk is full
                self._failed += 1

    def _write(self, line: bytes) -> None:
        # By the descriptor: a thread that waits in sys.stderr holds a lock that the program's end would wait for.
        while line:
            try:
                line = line[os.write(self._descriptor, line):]
            except BlockingIOError:
                time.sleep(AGAIN_S)

    # ---- the end

    def flush(self, seconds: float = FLUSH_S) -> None:
        """Waits until what was logged so far is written, so long at most; not once more where that was in vain."""
        until = time.monotonic() + seconds
        self._stuck = self._stuck or not self._written(until)
        if not self._stuck and self.left_out > self._told:
            self._tell()
            self._stuck = not self._written(until)

    def _written(self, until: float) -> bool:
        """Whether everything in the queue was written by then."""
        written = threading.Event()
        with suppress(queue.Full):
            self._lines.put(written, timeout=max(until - time.monotonic(), 0))
        return written.wait(max(until - time.monotonic(), 0))

    def close(self) -> None:
        self.flush()
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        super().close()


def flush(seconds: float = FLUSH_S) -> None:
    """Waits until what was logged so far is written, so long at most."""
    for each in _queues():
        each.flush(seconds)


def left_out() -> int:
    """Lines that could not be written, so far."""
    return sum(each.left_out for each in _queues())


def _queues() -> list[LogQueue]:
    return [each for each in logging.getLogger().handlers if isinstance(each, LogQueue)]
