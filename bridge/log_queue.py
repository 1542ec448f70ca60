"""Takes log lines out of the event loop: a bounded queue, and a thread that writes them to standard error.

1. A thread that logs never waits, or a full pipe would stop every call. If standard error is not read, or its disk is
   full, lines are left out and counted. As soon as there is room again, a line says how many.
2. A line is formatted, and its secrets are taken out, before it enters the queue. Its values may change later, and a
   queued traceback would keep every frame alive.
3. When the program ends, the queue is still written out, within FLUSH_S.
"""

import logging
import os
import queue
import threading
import time
from contextlib import suppress
from logging.handlers import QueueHandler

#: The most lines that wait. A busy server logs so many in some minutes. They take some MB.
MOST_LINES = 5_000
#: How long the end of the program waits for standard error to take them, in seconds.
FLUSH_S = 1.0
#: The pause before another write to a full descriptor that another program has made non-blocking, in seconds.
AGAIN_S = 0.01


class LogQueue(QueueHandler):
    """A handler that writes to a file descriptor in a thread of its own. Its formatter takes out secrets.

    `most` is the most lines that wait.
    """

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
        """The number of lines that were not written."""
        return self._dropped + self._failed

    # ---- the side that logs: one thread at a time, by the handler's lock

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, record: str) -> None:  # type: ignore[override]
        """Takes the text that `prepare` made of a record."""
        if self.left_out > self._told and self._lines.qsize() <= self._room:
            self._tell()
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:
        """Counts a line that cannot be formatted. The base class would print it with its secrets, and wait."""
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
            except OSError:                          # the reader is gone, or the disk is full
                self._failed += 1

    def _write(self, line: bytes) -> None:
        # By the descriptor, because a thread that waits in sys.stderr holds a lock for which the program's end waits.
        while line:
            try:
                line = line[os.write(self._descriptor, line):]
            except BlockingIOError:
                time.sleep(AGAIN_S)

    # ---- the end

    def flush(self, seconds: float = FLUSH_S) -> None:
        """Waits until everything logged so far is written, at most `seconds`. After one failure it waits no more."""
        until = time.monotonic() + seconds
        self._stuck = self._stuck or not self._written(until)
        if not self._stuck and self.left_out > self._told:
            self._tell()
            self._stuck = not self._written(until)

    def _written(self, until: float) -> bool:
        """Whether everything in the queue was written before `until`, by time.monotonic()."""
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
    """Waits until everything logged so far is written, at most `seconds` for each handler. Call it before an exit."""
    for each in _queues():
        each.flush(seconds)


def left_out() -> int:
    """The number of lines that could not be written so far, for the metrics."""
    return sum(each.left_out for each in _queues())


def _queues() -> list[LogQueue]:
    return [each for each in logging.getLogger().handlers if isinstance(each, LogQueue)]
