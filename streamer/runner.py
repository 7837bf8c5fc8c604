"""Threads: sources are read, results made and sinks fed side by side; the only module that starts or waits on a thread.

    source ─grab thread─▶ FrameQueue ┐                  the caller's thread:
    source ─grab thread─▶ FrameQueue ┴─scan thread─▶ queue ─▶ follow, label, draw ─▶ queue ─sink thread─▶ sink

A live source's full queue drops its oldest frame and counts it; a file's blocks and loses nothing. There is one way out
for the end of the stream, a stop request, and an error in a source, a stage or a sink: stop the grabbers, join them,
let the sinks write what waits, close them, and raise the first error.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from streamer.errors import SinkError, StreamerError
from streamer.pictures import Canvas
from streamer.pipeline import Pipeline, ScannedBatch
from streamer.queues import Batcher, FrameQueue, RunSettings, StopRequest
from streamer.stages import Sink, Source
from streamer.stats import RunStats, StatsSummary
from streamer.types import Ending, Frame, FrameResult, SourceInfo

# A read that takes longer on closing is left to its own time-out: the process must not hang on a dead peer.
_JOIN_SECONDS = 5.0
# A sink that takes longer for one frame, or to finish, is stuck.
_FINISH_SECONDS = 60.0


class _Grabber:
    """Reads one source in a thread of its own."""

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
        self.frames.close()
        self._thread.join(_JOIN_SECONDS)
        self._stats.count_dropped(self.frames.dropped)


class _SinkThread:
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


class _Scanner:
    """Takes batches and searches their whole frames in a thread of its own, one batch ahead of what follows tracks.

    The two halves of the pipeline together keep two cores busy where one after the other leaves one waiting.
    """

    def __init__(self, batcher: Batcher, pipeline: Pipeline, stop: StopRequest) -> None:
        self._batcher, self._pipeline, self._stop = batcher, pipeline, stop
        self._queue: queue.Queue[ScannedBatch | None] = queue.Queue(1)
        self._error: Exception | None = None
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name="scan", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._is_abandoned and (batch := self._batcher.next(self._stop)):
                self._queue.put(self._pipeline.scan(batch))
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
            self._error = error
        finally:
            self._queue.put(None)

    def batches(self) -> Iterator[ScannedBatch]:
        """Yield scanned batches until the sources end; raise the error of a scan."""
        while (batch := self._queue.get()) is not None:
            yield batch
        self._is_abandoned = True  # the thread has said that it is done
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the thread, whatever it is at; the queues it takes from must be closed already."""
        if not self._is_abandoned:
            self._is_abandoned = True
            while self._queue.get() is not None:
                pass
        self._thread.join(_JOIN_SECONDS)


@dataclass(frozen=True, slots=True)
class Route:
    """A source and where its results go."""

    source: Source
    sinks: Sequence[Sink] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended.

    Attributes:
        stats: Its figures.
        is_interrupted: It was asked to stop before its sources ended.
    """

    stats: StatsSummary
    is_interrupted: bool


def results(
    sources: Sequence[Source],
    pipeline: Pipeline,
    *,
    settings: RunSettings | None = None,
    stats: RunStats | None = None,
    stop: StopRequest | None = None,
) -> Generator[FrameResult, None, None]:
    """Read sources and yield the result of every frame; sources are read ahead in threads and closed at the end.

    Args:
        sources: They are closed also when the iteration is abandoned.
        pipeline: What makes the results.
        settings: How the threads are fed.
        stats: Where times and drops go.
        stop: Set: the iteration ends after the batch in hand.

    Raises:
        SourceError: A source failed; all good frames before the failure have been yielded.
    """
    settings, stats, stop = settings or RunSettings(), stats or RunStats(), stop or StopRequest()
    arrival = threading.Condition()
    grabbers = [_Grabber(source, settings.queue_frames, arrival, stats) for source in sources]
    scanner = _Scanner(Batcher([grabber.frames for grabber in grabbers], settings, arrival), pipeline, stop)
    try:
        for batch in scanner.batches():
            yield from pipeline.follow(batch)
    finally:
        for grabber in grabbers:
            grabber.frames.close()
        scanner.stop()
        for grabber in grabbers:
            grabber.stop()
    for grabber in grabbers:
        if grabber.error is not None and not stop.is_set():
            raise grabber.error


def run(
    routes: Sequence[Route],
    pipeline: Pipeline,
    *,
    draw: Callable[[FrameResult], Canvas],
    settings: RunSettings | None = None,
    stats: RunStats | None = None,
    stop: StopRequest | None = None,
    on_result: Callable[[FrameResult], None] | None = None,
) -> RunReport:
    """Run sources through the pipeline into their sinks, until they end or `stop` is set.

    Args:
        routes: Sources and their sinks; each sink writes in a thread of its own.
        pipeline: What makes the results.
        draw: Makes the annotated picture; called only for a sink that needs it.
        settings: How the threads are fed.
        stats: Where times and drops go.
        stop: Set, from anywhere: the run ends in an orderly way and its outputs are finished.
        on_result: Called after each frame, in the caller's thread.

    Raises:
        StreamerError: The first error of a source, stage or sink; the outputs are closed, playable, and not under
            their final names.
    """
    settings, stats, stop = settings or RunSettings(), stats or RunStats(), stop or StopRequest()
    threads: dict[str, list[_SinkThread]] = {route.source.info.source_id: [] for route in routes}
    try:
        for route in routes:
            info = route.source.info
            for sink in route.sinks:
                threads[info.source_id].append(_SinkThread(sink, info, settings.queue_frames, stats))
        sources = [route.source for route in routes]
        with closing(results(sources, pipeline, settings=settings, stats=stats, stop=stop)) as stream:
            for result in stream:
                _deliver(result, threads[result.frame.source_id], draw, stats)
                stats.count_frame(result.frame.captured_at)
                if on_result is not None:
                    on_result(result)
    except BaseException as error:
        # Ctrl-C where no handler turns it into a stop request: what was written is finished all the same.
        _close(threads, Ending.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Ending.FAILED)
        raise
    problem = _close(threads, Ending.INTERRUPTED if stop.is_set() else Ending.COMPLETE)
    if problem is not None:
        raise problem
    return RunReport(stats.summary(), stop.is_set())


def _deliver(
    result: FrameResult, threads: Sequence[_SinkThread], draw: Callable[[FrameResult], Canvas], stats: RunStats
) -> None:
    canvas = None
    if any(thread.needs_canvas for thread in threads):
        with stats.time("draw"):
            canvas = draw(result)
    for thread in threads:
        thread.put(result, canvas if thread.needs_canvas else None)


def _close(threads: dict[str, list[_SinkThread]], ending: Ending) -> StreamerError | None:
    """Finish all sinks, also where one fails; return the first failure.

    In their order: a results file, which sums up the run, is written last by whoever lists it last.
    """
    first: StreamerError | None = None
    for thread in [thread for own in threads.values() for thread in own]:
        try:
            thread.close(ending)
        except StreamerError as error:
            first = first or error
    return first
