"""A run: sources are read, whole frames searched, results made and sinks fed side by side, each in threads of its own.

    source ─grab thread─▶ FrameQueue ┐
    source ─grab thread─▶ FrameQueue ┴─scan threads─▶ queue ─follow thread─▶ queue ─▶ label and draw, in the caller's
                                                                 thread ─▶ queue ─sink thread─▶ sink

A live source's full queue drops its oldest frame and counts it; a file's blocks and loses nothing. There is one way out
for the end of the stream, a stop request, and an error in a source, a stage or a sink: stop the threads up to the
caller's, join them, let the sinks write what waits, close them, and raise the first error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from streamer.batches import FrameStages
from streamer.canvas import Canvas
from streamer.errors import StreamerError, UsageError
from streamer.load import LoadMeter
from streamer.queues import Batcher, RunSettings, StopRequest
from streamer.sink_threads import SinkThread
from streamer.stages import Sink, Source
from streamer.stats import RunStats, StatsSummary
from streamer.threads import FollowThread, Grabber, Scanner
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
    pipeline: FrameStages,
    *,
    settings: RunSettings | None = None,
    stats: RunStats | None = None,
    stop: StopRequest | None = None,
    meter: LoadMeter | None = None,
) -> Generator[FrameResult, None, None]:
    """Read sources and yield the result of every frame; sources are read ahead in threads and closed at the end.

    Args:
        sources: They are closed also when the iteration is abandoned.
        pipeline: What makes the results.
        settings: How the threads are fed.
        stats: Where times and drops go.
        stop: Set: the iteration ends after the batches that have been taken.
        meter: Told of each frame that sets out and arrives.

    Raises:
        UsageError: Two sources have one source_id.
        SourceError: A source failed; all good frames before the failure have been yielded.
    """
    settings, stats, stop = settings or RunSettings(), stats or RunStats(), stop or StopRequest()
    _check_ids(sources)
    settings = settings.within_memory([source.info for source in sources]) if sources else settings
    for source in sources:
        pipeline.begin(source.info)
    arrival = threading.Condition()
    with ExitStack() as stack:
        grabbers = []
        for source in sources:
            grabbers.append(Grabber(source, settings.queue_frames, arrival, stats))
            stack.callback(grabbers[-1].stop)
        batcher = Batcher([grabber.frames for grabber in grabbers], settings, arrival, meter)
        scanner = Scanner(batcher, pipeline, stop, settings)
        stack.callback(scanner.stop)
        follower = FollowThread(scanner, pipeline)
        stack.callback(follower.stop)
        for grabber in grabbers:
            stack.callback(grabber.frames.close)
        for some in follower.rounds():
            yield from pipeline.label(some)
            batcher.done([one.frame for one in some])
        yield from pipeline.release()
    for grabber in grabbers:
        if grabber.error is not None and not stop.was_obeyed:
            raise grabber.error


def _check_ids(sources: Sequence[Source]) -> None:
    ids = [source.info.source_id for source in sources]
    if len(set(ids)) < len(ids):
        raise UsageError(f"two sources have one source_id, so their frames could not be told apart: {', '.join(ids)}")


def run(
    routes: Sequence[Route],
    pipeline: FrameStages,
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
        StreamerError: The first error of a source or sink; a stage's error comes as it is. The outputs are closed,
            playable, and not under their final names.
    """
    settings, stats, stop = settings or RunSettings(), stats or RunStats(), stop or StopRequest()
    sources = [route.source for route in routes]
    _check_ids(sources)
    settings = settings.within_memory([source.info for source in sources]) if sources else settings
    threads: dict[str, list[SinkThread]] = {source.info.source_id: [] for source in sources}
    try:
        _open(routes, threads, settings, stats)
        with closing(results(sources, pipeline, settings=settings, stats=stats, stop=stop)) as stream:
            for result in stream:
                _deliver(result, threads[result.frame.source_id], draw, stats)
                stats.count_frame(result.frame.captured_at)
                if on_result is not None:
                    on_result(result)
    except BaseException as error:
        # Ctrl-C where no handler turns it into a stop request: what was written is finished all the same.
        _finish(threads, Ending.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Ending.FAILED)
        raise
    problem = _finish(threads, Ending.INTERRUPTED if stop.was_obeyed else Ending.COMPLETE)
    if problem is not None:
        raise problem
    return RunReport(stats.summary(), stop.was_obeyed)


def _open(
    routes: Sequence[Route], threads: dict[str, list[SinkThread]], settings: RunSettings, stats: RunStats
) -> None:
    """Open all sinks; where one cannot be, close the sources, which nobody will read."""
    try:
        for route in routes:
            info = route.source.info
            for sink in route.sinks:
                threads[info.source_id].append(SinkThread(sink, info, settings.queue_frames, stats))
    except BaseException:
        for route in routes:
            route.source.close()
        raise


def _deliver(
    result: FrameResult, threads: Sequence[SinkThread], draw: Callable[[FrameResult], Canvas], stats: RunStats
) -> None:
    canvas = None
    if any(thread.needs_canvas for thread in threads):
        with stats.time("draw"):
            canvas = draw(result)
    for thread in threads:
        thread.put(result, canvas if thread.needs_canvas else None)


def _finish(threads: dict[str, list[SinkThread]], ending: Ending) -> StreamerError | None:
    """Finish all sinks in their order, also where one fails; return the first failure.

    All write what waits before any is finished, so that one that fails late keeps the others from looking complete,
    and a results file sums up all of the run.
    """
    first: StreamerError | None = None
    every = [thread for own in threads.values() for thread in own]
    for thread in every:
        try:
            thread.drain()
        except StreamerError as error:
            first = first or error
    for thread in every:
        try:
            thread.close(ending if first is None else Ending.FAILED)
        except StreamerError as error:
            first = first or error
    return first
