"""Writes calls' tapes into files, beside the calls.

1. No call waits for a disk. One thread writes for all calls. Each call's tape is taken twice a second, and the calls
   are spread over that time, so that a write is short.
2. A disk that is full, slow or gone ends a recording, never a call. What was written until then stays. It is counted,
   logged and stands in the call's record.
3. A recording that ends is handed on (`finished`), with how loud it is. What a killed process leaves is found by
   whoever looks into the folder (shelving.py).
4. A caller who takes the consent back takes the recording back: its file is removed at once.
"""

import asyncio
import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from bridge.call.events import Closed, Consented, Event, Listener, Opened, RecordingStarts
from bridge.call.tape import Piece, Tape, file_name
from bridge.folding import Folded
from bridge.recordings.wav import WavFile, levels

log = logging.getLogger(__name__)

#: The calls are looked at in turn, a share of them each time, each once in EVERY_S (s).
EVERY_S, SHARES = 0.5, 10
#: So many pieces of a call may wait for the disk: 10 s.
MOST_WAITING = 20
#: How often the end of writing is looked for when the server stops (s).
LOOK_S = 0.01


class _Recording:
    """One recording, between the loop's thread, which fills `pieces`, and the writer's, which does the rest."""

    def __init__(self, name: str, tape: Tape) -> None:
        self.name, self.tape = name, tape
        self.pieces: deque[Piece] = deque()
        self.over = self.unwanted = self.done = False
        self.problem = ""                            # why it could not be written
        self.kept = False                            # some of it was written
        self.told = False                            # its loss was
        self.levels = bytearray()
        self.file: WavFile | None = None


class Recorder:
    """`folder`: where recordings are written. `count_loss`: called for each recording that is lost or ends too early.

    `finished`: called for each that is over, with its name and its levels, 2 bytes for each 100 ms. None: there is no
    file of it.
    """

    def __init__(
        self, folder: Path, *, count_loss: Callable[[], None], finished: Callable[[str, bytes | None], None],
    ) -> None:
        self._folder, self._count_loss, self._finished = folder, count_loss, finished
        self._shares: list[dict[_Recording, None]] = [{} for _ in range(SHARES)]
        self._next = 0
        self._jobs: SimpleQueue[Sequence[_Recording]] = SimpleQueue()      # nothing: the end
        self._over: deque[_Recording] = deque()      # those that the writer is done with
        self._writer: threading.Thread | None = None
        self._losses = Folded()

    @property
    def open(self) -> int:
        """How many recordings are not finished yet."""
        return sum(map(len, self._shares))

    def of_a_call(self) -> Listener:
        """A listener for one new call."""
        name, recording = "", None

        def hear(event: Event) -> None:
            nonlocal name, recording
            match event:
                case Opened(call_sid=call_sid, stream_sid=stream_sid):
                    name = file_name(call_sid, stream_sid)
                case RecordingStarts(tape):
                    recording = self._begin(name, tape)
                case Consented(False) if recording:
                    self._end(recording, unwanted=True)
                    recording = None
                case Closed() if recording:
                    self._end(recording)
        return hear

    # ---- on the loop's thread

    def _begin(self, name: str, tape: Tape) -> _Recording:
        recording = _Recording(name, tape)
        min(self._shares, key=len)[recording] = None
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="recorder", daemon=True)
            self._writer.start()
        self._jobs.put([recording])
        return recording

    def _end(self, recording: _Recording, *, unwanted: bool = False) -> None:
        recording.unwanted = unwanted
        if not unwanted:
            self._take(recording, last=True)
        recording.tape.stop()
        recording.over = True
        self._jobs.put([recording])

    def _take(self, recording: _Recording, *, last: bool = False) -> bool:
        """Whether there is something new to write."""
        if recording.over or not recording.tape.on:
            return False
        if not recording.problem and len(recording.pieces) >= MOST_WAITING:
            recording.problem = "the disk is too slow"
        if recording.problem:
            recording.pieces.clear()
            recording.tape.lose(kept=recording.kept)
            self._lost(recording)
        elif piece := recording.tape.take(last=last):
            recording.pieces.append(piece)
            return True
        return False

    async def run(self) -> None:
        """The application's task, until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY_S / SHARES)
            self.turn()

    def turn(self) -> None:
        """Takes what is new of the next share of the calls, and hands on what is over."""
        share, self._next = self._shares[self._next], (self._next + 1) % SHARES
        if new := [recording for recording in share if self._take(recording)]:
            self._jobs.put(new)
        self._hand_on()

    def _hand_on(self) -> None:
        while self._over:
            recording = self._over.popleft()
            for share in self._shares:
                share.pop(recording, None)
            if recording.problem and not recording.told:
                self._lost(recording)
            there = recording.kept and not recording.unwanted
            self._finished(recording.name, bytes(recording.levels) if there else None)

    def _lost(self, recording: _Recording) -> None:
        recording.told = True
        self._count_loss()
        if times := self._losses.worth_a_line(recording.problem):
            what = "ended too early" if recording.kept else "could not be made"
            log.error("call %(call)s: its recording " + what + ": %(problem)s (%(times)d times so far)",
                      {"call": recording.name.partition("-")[0], "problem": recording.problem, "times": times})

    async def finish(self, seconds: float) -> None:
        """The server stops and no call is left: what waits is written, for so long at most."""
        if self._writer is None:
            return
        self._jobs.put([])
        deadline = asyncio.get_running_loop().time() + seconds
        while self._writer.is_alive() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(LOOK_S)
        self._hand_on()
        if left := self.open:
            log.error("recordings were not finished when the server stopped: %(left)d. What was written of them is "
                      "kept", {"left": left})

    # ---- on the writer's thread

    def _write_all(self) -> None:
        while recordings := self._jobs.get():
            for recording in recordings:
                self._attend_to(recording)

    def _attend_to(self, recording: _Recording) -> None:
        try:
            self._write(recording)
        except OSError as error:
            recording.problem = recording.problem or error.strerror or str(error)
        except Exception as error:
            log.exception("a recording could not be written, because of a fault")
            recording.problem = recording.problem or repr(error)
        if recording.over and not recording.pieces and not recording.done:
            recording.done = True
            self._close(recording)
            self._over.append(recording)

    def _write(self, recording: _Recording) -> None:
        if recording.problem or recording.unwanted:
            recording.pieces.clear()
            return
        if recording.file is None:
            recording.file = WavFile(self._folder / recording.name)
        while not recording.problem:
            try:
                piece = recording.pieces.popleft()
            except IndexError:                       # the loop's thread may give it up at any moment
                return
            both = piece.stereo()
            recording.file.write(both)
            recording.kept = True
            recording.levels += levels(both)

    def _close(self, recording: _Recording) -> None:
        if recording.file is None:
            return
        recording.file.close()
        if recording.unwanted or not recording.kept:
            try:
                recording.file.remove()
            except OSError as error:
                recording.problem = f"it could not be removed: {error.strerror}"


def prepare(folder: Path) -> None:
    """Makes the folder, and the one that it is in, their owner's alone (0700). The log says so where that fails."""
    try:
        for each in (folder.parent, folder):
            each.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(each, 0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        log.error("CALLS ARE NOT RECORDED: %(folder)s cannot be written to (%(problem)s). Calls go on without",
                  {"folder": str(folder.absolute()), "problem": error.strerror})
