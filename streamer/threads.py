"""The threads of a run, one class a kind: they read sources, search whole frames, and feed sinks.

The only module that starts threads; each has a name, hands its error on, and is joined. runner.py puts them together.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from streamer.errors import SinkError, StreamerError
from streamer.pictures import Canvas
from streamer.pipeline import Batch, Pipeline
from streamer.queues import Batcher, FrameQueue, StopRequest
from streamer.stages import Sink, Source
from streamer.stats import RunStats
from streamer.types import Ending, Frame, FrameResult, SourceInfo

# A read that takes longer on closing is left to its own time-out: the process must not hang on a dead peer.
_JOIN_SECONDS = 5.0
# A sink that takes longer for one frame, or to finish, is stuck.
_FINISH_SECONDS = 60.0


class Grabber:
    """Reads one source ahead in a thread of its own, into a bounded queue."""

    def __init__(self, source: Source, capacity: int, arrival: threading.Condition, stats: RunStats) -> None:
        self.frames = FrameQueue(capacity, is_live=source.info.is_live, arrival=arrival)
        self.error: StreamerError | None = None
        self._source, self._stats = source, stats
        self._thread = threading.Thread(target=self._run, name=f"grab-{source.info.source_id}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while (frame := self._read()) is not None and self.frames.put(frame):
                pass
        except StreamerError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
            self.error = StreamerError(f"{self._source.info.name}: reading failed: {error!r}")
            self.error.__cause__ = error
        finally:
            self.frames.close()
            self._source.close()

    def _read(self) -> Frame | None:
        skipped = self._source.skipped
        with self._stats.time("read"):
            frame = self._source.read()
        if self._source.skipped > skipped:
            self._stats.count_skipped(self._source.skipped - skipped)
        return frame

    def stop(self) -> None:
        """End the thread; a read in progress is waited for."""
        self.frames.close()
        self._thread.join(_JOIN_SECONDS)
        self._stats.count_dropped(self.frames.dropped)


class SinkThread:
    """Feeds one sink in a thread of its own, so that an encoder holds up the pipeline only when its queue is full."""

    def __init__(self, sink: Sink, info: SourceInfo, capacity: int, stats: RunStats) -> None:
        self._sink, self._stats = sink, stats
        self._name = type(sink).__name__.removesuffix("Sink").lower()
        self._queue: queue.Queue[tuple[FrameResult, Canvas | None] | None] = queue.Queue(capacity)
        self._error: Exception | None = None
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
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
                self._error = error

    def put(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Hand over a result; raise the sink's error if it has failed."""
        self._queue_up((result, canvas))
        self._raise_error()

    def close(self, ending: Ending) -> None:
        """Let the sink write what waits, then finish it; raise its error if it has failed."""
        self._queue_up(None)
        self._thread.join(_FINISH_SECONDS)
        if self._thread.is_alive():
            raise SinkError(f"the {self._name} output does not respond; what it wrote so far may be incomplete")
        self._sink.close(ending if self._error is None else Ending.FAILED)
        self._raise_error()

    def _queue_up(self, item: tuple[FrameResult, Canvas | None] | None) -> None:
        try:
            self._queue.put(item, timeout=_FINISH_SECONDS)
        except queue.Full:
            raise SinkError(f"the {self._name} output has not moved for {_FINISH_SECONDS:.0f} s") from None

    def _raise_error(self) -> None:
        if isinstance(self._error, StreamerError):
            raise self._error
        if self._error is not None:
            raise SinkError(f"the {self._name} output failed: {self._error!r}") from self._error


class _Search:
    """One batch on its way through a scan thread."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.error: Exception | None = None
        self.is_done = threading.Event()


class Scanner:
    """Takes batches and searches their whole frames in threads of its own, ahead of what follows tracks.

    A scan takes longer than all else together, and more threads for one net gain little, so several batches are
    searched side by side. They are planned one after the other, and come out in that order.
    """

    def __init__(self, batcher: Batcher, pipeline: Pipeline, stop: StopRequest, threads: int) -> None:
        self._batcher, self._pipeline, self._stop = batcher, pipeline, stop
        self._turn = threading.Lock()
        self._searches: queue.Queue[_Search | None] = queue.Queue(threads)
        self._error: Exception | None = None
        self._is_abandoned = self._is_ended = self._is_drained = False
        self._threads = [
            threading.Thread(target=self._run, name=f"scan-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while (search := self._next()) is not None:
            try:
                self._pipeline.search(search.batch)
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
                search.error = error
            finally:
                search.is_done.set()

    def _next(self) -> _Search | None:
        """Take the next batch and put it in line to be followed; None: there is none, and the line is closed."""
        with self._turn:
            if self._is_ended:
                return None
            try:
                frames = [] if self._is_abandoned else self._batcher.next(self._stop)
                search = _Search(self._pipeline.plan(frames)) if frames else None
            except Exception as error:  # noqa: BLE001 - see above
                self._error, search = error, None
            self._is_ended = search is None
            self._searches.put(search)
            return search

    def batches(self) -> Iterator[Batch]:
        """Yield searched batches in order until the sources end; raise the error of a search."""
        while (search := self._searches.get()) is not None:
            search.is_done.wait()
            if search.error is not None:
                raise search.error
            yield search.batch
        self._is_drained = True
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the threads, whatever they are at; the queues that they take from must be closed already."""
        self._is_abandoned = True
        while not self._is_drained:
            self._is_drained = self._searches.get() is None
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
