"""A run: sources are read, whole frames searched, results made and sinks fed side by side, in threads.py's threads.

    source ─grab thread─▶ FrameQueue ┐                   the caller's thread:
    source ─grab thread─▶ FrameQueue ┴─scan threads─▶ queue ─▶ follow, label, draw ─▶ queue ─sink thread─▶ sink

A live source's full queue drops its oldest frame and counts it; a file's blocks and loses nothing. There is one way out
for the end of the stream, a stop request, and an error in a source, a stage or a sink: stop the grabbers, join them,
let the sinks write what waits, close them, and raise the first error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from streamer.errors import StreamerError
from streamer.pictures import Canvas
from streamer.pipeline import Pipeline
from streamer.queues import Batcher, RunSettings, StopRequest
from streamer.stages import Sink, Source
from streamer.stats import RunStats, StatsSummary
from streamer.threads import Grabber, Scanner, SinkThread
from streamer.types import Ending, FrameResult


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
    grabbers = [Grabber(source, settings.queue_frames, arrival, stats) for source in sources]
    batcher = Batcher([grabber.frames for grabber in grabbers], settings, arrival)
    scanner = Scanner(batcher, pipeline, stop, settings.scan_threads)
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
    threads: dict[str, list[SinkThread]] = {route.source.info.source_id: [] for route in routes}
    try:
        for route in routes:
            info = route.source.info
            for sink in route.sinks:
                threads[info.source_id].append(SinkThread(sink, info, settings.queue_frames, stats))
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
    result: FrameResult, threads: Sequence[SinkThread], draw: Callable[[FrameResult], Canvas], stats: RunStats
) -> None:
    canvas = None
    if any(thread.needs_canvas for thread in threads):
        with stats.time("draw"):
            canvas = draw(result)
    for thread in threads:
        thread.put(result, canvas if thread.needs_canvas else None)


def _close(threads: dict[str, list[SinkThread]], ending: Ending) -> StreamerError | None:
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
