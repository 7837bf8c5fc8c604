"""The threads of a run that take results: one a sink, which the run waits for, so that nothing is lost."""

from __future__ import annotations

import queue
import threading
import time

from streamer.canvas import Canvas
from streamer.errors import SinkError, StreamerError
from streamer.stages import Sink
from streamer.stats import RunStats
from streamer.types import Ending, FrameResult, SourceInfo

# A sink that takes longer for one frame is stuck.
_STUCK_SECONDS = 60.0
_POLL_SECONDS = 0.05


class SinkThread:
    """Feeds one sink in a thread of its own, so that an encoder holds up the pipeline only when its queue is full."""

    def __init__(self, sink: Sink, info: SourceInfo, capacity: int, stats: RunStats) -> None:
        self._sink, self._stats = sink, stats
        self._name = type(sink).__name__.removesuffix("Sink").lower()
        self._queue: queue.Queue[tuple[FrameResult, Canvas | None] | None] = queue.Queue(capacity)
        self._error: Exception | None = None
        self._written = 0
        self.needs_canvas = sink.needs_canvas
        sink.open(info)
        self._thread = threading.Thread(target=self._run, name=f"sink-{self._name}-{info.source_id}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue  # go on emptying the queue, so that the pipeline never waits on a dead sink
            try:
                with self._stats.time(self._name):
                    self._sink.write(*item)
                self._written += 1
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
                self._error = error

    def put(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Hand over a result; raise the sink's error if it has failed."""
        self._queue_up((result, canvas))
        self.raise_error()

    def drain(self) -> None:
        """Let the sink write what waits, and end the thread; raise its error if it has failed."""
        self._queue_up(None)
        while self._thread.is_alive():
            written, deadline = self._written, time.monotonic() + _STUCK_SECONDS
            while self._thread.is_alive() and self._written == written:
                if time.monotonic() > deadline:
                    raise self._stuck()
                self._thread.join(_POLL_SECONDS)
        self.raise_error()

    def close(self, ending: Ending) -> None:
        """Finish the sink, which has been drained; raise its error, the first that it met."""
        try:
            if not self._thread.is_alive():  # a sink that hangs in a write cannot be closed under it
                self._sink.close(ending)
        except Exception as error:  # noqa: BLE001 - the other sinks must still be closed, whatever it is
            self._error = self._error or error
        self.raise_error()

    def _queue_up(self, item: tuple[FrameResult, Canvas | None] | None) -> None:
        try:
            self._queue.put(item, timeout=_STUCK_SECONDS)
        except queue.Full:
            raise self._stuck() from None

    def _stuck(self) -> SinkError:
        return SinkError(f"the {self._name} output has not moved for {_STUCK_SECONDS:.0f} s; it is given up")

    def raise_error(self) -> None:
        """Raise what went wrong in the sink, if anything did."""
        if isinstance(self._error, StreamerError):
            raise self._error
        if self._error is not None:
            raise SinkError(f"the {self._name} output failed: {self._error!r}") from self._error
