"""`streamer process` one stage after the other in one thread: which stage takes how much of the processor.

In a real run stages overlap, and decoder, nets and encoder have threads of their own, so nobody can tell whose work the
processor did. Here nothing else runs while a stage does, so the processor time of the whole process is the stage's. The
speed of such a run means nothing. A decoder and an encoder work on for a moment after they were called: frames are
therefore read, followed, drawn and written by many, and what spills over into the next stage is little.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from streamer import build
from streamer.bench.ours import Loaded, open_video, stage_costs
from streamer.bench.values import Run, Task
from streamer.canvas import Canvas
from streamer.pipeline import Pipeline
from streamer.stages import Sink, Source
from streamer.stats import RunStats
from streamer.types import Ending, Frame, FrameResult

# What so many frames of 1080p hold, drawn ones included, is 0.2 GB; larger frames go by fewer.
_ROUND_FRAMES = 32
_ROUND_BYTES = 128 * 2**20


def profile(task: Task) -> Run:
    """Process the task's video in one thread, timing each stage by the processor time of the whole process."""
    loaded = Loaded(task, RunStats(cpu_clock=time.process_time))
    loaded.warm_up(loaded.pipeline(), task.video)
    pipeline, stats = loaded.pipeline(), loaded.stats
    draw = build.build_annotator(loaded.config).draw
    outputs = build.Outputs(task.folder / "profile.mp4", task.results())
    began_at, cpu_began_at = time.perf_counter(), time.process_time()
    source = open_video(task.video, task.end_seconds, "video")
    pipeline.begin(source.info)
    sinks = build.build_sinks(loaded.config, outputs, task.video, stats)
    for sink in sinks:
        sink.open(source.info)
    frames = faces = 0
    for results in _rounds(source, pipeline, loaded.settings.batch_size, stats):
        canvases = []
        for result in results:
            with stats.time("draw"):
                canvases.append(draw(result))
            frames, faces = frames + 1, faces + len(result.annotations)
        _write(sinks, results, canvases, stats)
    for sink in sinks:
        with stats.time(_name(sink)):
            sink.close(Ending.COMPLETE)
    source.close()
    seconds, cpu_seconds = time.perf_counter() - began_at, time.process_time() - cpu_began_at
    return Run(frames, seconds, cpu_seconds, faces=faces, stages=stage_costs(stats.summary(), frames))


def _rounds(source: Source, pipeline: Pipeline, batch_size: int, stats: RunStats) -> Iterator[list[FrameResult]]:
    """Read many frames, then follow them; yield their results, and at the end those that waited."""
    size = source.info.width * source.info.height * 3 // 2
    most = max(batch_size, min(_ROUND_FRAMES, _ROUND_BYTES // size))
    while frames := _read(source, most, stats):
        results: list[FrameResult] = []
        for start in range(0, len(frames), batch_size):
            results += pipeline.process(frames[start : start + batch_size])
        yield results
    yield pipeline.finish()


def _read(source: Source, most: int, stats: RunStats) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < most:
        with stats.time("read"):
            frame = source.read()
        if frame is None:
            break
        frames.append(frame)
    return frames


def _write(sinks: Sequence[Sink], results: list[FrameResult], canvases: list[Canvas], stats: RunStats) -> None:
    for sink in sinks:
        for result, canvas in zip(results, canvases, strict=True):
            with stats.time(_name(sink)):
                sink.write(result, canvas)


def _name(sink: Sink) -> str:
    """Return what a run calls the stage of a sink."""
    return type(sink).__name__.removesuffix("Sink").lower()
