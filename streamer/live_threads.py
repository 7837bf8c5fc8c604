"""Threads of a live run: a sink's, which never holds up the picture, and one for work that somebody else waits for.

What is live cannot wait. A sink that is too slow loses frames, which are counted; one that fails is given up and says
why, while all else goes on. Each thread has a name and is joined; one that hangs in a dead device is left behind after
a time-out, and cannot keep the process from ending.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from streamer.canvas import Canvas
from streamer.errors import SinkError, StreamerError
from streamer.stages import RetryingSink, Sink
from streamer.types import Ending, FrameResult, SourceInfo

_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")

# What waits for one sink: about a second of a small picture, and bounded memory of a large one.
_MOST_WAITING = 30
_WAITING_BYTES = 64 * 2**20
_MOST_JOBS = 8


class Worker(Generic[_Result]):
    """Does one thing in a thread of its own.

    Args:
        name: The thread's.
        work: What is done; what it returns or raises is kept.
    """

    def __init__(self, name: str, work: Callable[[], _Result]) -> None:
        self._work = work
        self._outcome: list[_Result] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except Exception as error:  # noqa: BLE001 - a thread's error must reach who waits, whatever it is
            self.error = error

    @property
    def is_done(self) -> bool:
        """Say whether it has ended, well or not."""
        return not self._thread.is_alive()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the end; False: it has not come in time."""
        self._thread.join(timeout_seconds)
        return self.is_done

    def result(self) -> _Result:
        """Wait for the end and return what came of it; raise what it raised."""
        self._thread.join()
        if self.error is not None:
            raise self.error
        return self._outcome[0]


class LiveSinkThread:
    """Feeds one sink of a live run; all of the sink's methods run in its thread.

    Args:
        sink: What is fed.
        name: For people to read, and the thread's.
        info: The source's.
    """

    def __init__(self, sink: Sink, name: str, info: SourceInfo) -> None:
        self.name, self.needs_canvas = name, sink.needs_canvas
        self._sink, self._info = sink, info
        # Room for the word that nothing more will come.
        self._queue: queue.Queue[tuple[FrameResult, Canvas | None] | Ending] = queue.Queue(_MOST_WAITING + 1)
        self._error: Exception | None = None
        self._last_write_at = math.inf
        self.dropped = self.written = 0
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._sink.open(self._info)
        except Exception as error:  # noqa: BLE001 - it must reach the user, whatever it is
            self._fail(error)
        while not isinstance(item := self._queue.get(), Ending):
            if time.monotonic() > self._last_write_at:
                self.dropped += 1
            elif self._error is None:
                try:
                    self._sink.write(*item)
                    self.written += 1
                except Exception as error:  # noqa: BLE001 - see above
                    self._fail(error)
        if self.dropped:
            _LOG.warning("the output %s was too slow: %d frames are not in it", self.name, self.dropped)
        try:
            self._sink.close(Ending.FAILED if self._error is not None else item)
        except Exception as error:  # noqa: BLE001 - see above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
            _LOG.warning("%s; all else goes on", self.error)

    @property
    def error(self) -> StreamerError | None:
        """What went wrong first, if anything did; nothing is written after it."""
        if self._error is None or isinstance(self._error, StreamerError):
            return self._error
        wrapped = SinkError(f"the output {self.name} failed: {self._error!r}")
        wrapped.__cause__ = self._error
        return wrapped

    @property
    def problem(self) -> str | None:
        """What is wrong now, for people to read: it has failed, tries again, or is too slow."""
        if self.error is not None:
            return str(self.error)
        if isinstance(self._sink, RetryingSink) and self._sink.problem is not None:
            return self._sink.problem
        return f"{self.name}: too slow, {self.dropped} frames are not in it" if self.dropped else None

    def put(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Hand over a result without waiting; where too many wait already, the oldest is dropped and counted."""
        if self._error is not None:
            return
        picture = result.frame.picture  # of another size than the first, perhaps
        capacity = max(2, min(_MOST_WAITING, _WAITING_BYTES // (picture.width * picture.height * 3 // 2 + 1)))
        while self._queue.qsize() >= capacity:
            with contextlib.suppress(queue.Empty):
                self._queue.get_nowait()
                self.dropped += 1
        self._queue.put_nowait((result, canvas))

    def finish(self, ending: Ending) -> None:
        """Let the sink write what waits and be closed, without waiting for it; nothing may be put after this."""
        self._queue.put_nowait(ending)

    def hurry(self, last_write_at: float) -> None:
        """Drop and count what still waits at that moment, monotonic seconds: there is no time left to write it."""
        self._last_write_at = last_write_at

    @property
    def is_done(self) -> bool:
        """Say whether the sink is closed."""
        return not self._thread.is_alive()

    def join(self, deadline: float) -> None:
        """Wait for the end until `deadline`, `time.monotonic()` seconds; then the thread is left behind."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._error = self._error or SinkError(
                f"the output {self.name} does not move; it is given up, and what it wrote so far stays as it is"
            )


class Jobs:
    """Does one job after another in a thread of its own, and looks after something in between.

    Args:
        name: The thread's.
        tick: What is done every now and then.
        every_seconds: How often, where no job is in hand.
    """

    def __init__(self, name: str, tick: Callable[[], None], every_seconds: float) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_JOBS)
        self._tick, self._every_seconds = tick, every_seconds
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._every_seconds)
            except queue.Empty:
                job = self._tick
            if job is None:
                return
            try:
                job()
            except Exception:  # noqa: BLE001 - one job's failure must not end the others
                _LOG.exception("%s: a job failed", self._thread.name)

    def put(self, job: Callable[[], None]) -> bool:
        """Have a job done; False: too many wait already."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        return True

    def stop(self, timeout_seconds: float) -> bool:
        """End after the job in hand; False: it has not ended in time, and is left behind."""
        deadline = time.monotonic() + timeout_seconds
        with contextlib.suppress(queue.Full):
            self._jobs.put(None, timeout=timeout_seconds)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()
