"""Our own part of the benchmark: `streamer process` as it is, and the detector alone.

Nets are loaded, people enrolled and a few frames sent through everything before the clock starts: a run of hours pays
for that once. The clock then runs from opening the video to the closed outputs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from streamer import build
from streamer.api import people_from
from streamer.bench.records import Boxes, write_boxes
from streamer.bench.values import Run, StageCost, Task
from streamer.config import Config, load_config
from streamer.labels import TrackLabeller
from streamer.pipeline import Pipeline
from streamer.queues import RunSettings
from streamer.recognition.gallery import Gallery
from streamer.runner import Route, results, run
from streamer.scans import ScanPolicy
from streamer.sources.video import VideoSource
from streamer.stats import RunStats, StatsSummary
from streamer.types import Faces, Float32, Frame, FrameResult, Track

# Over one round from a search to the next by default: all stages run, in all the shapes that nets meet.
_WARM_UP_FRAMES = 16


class Loaded:
    """Everything that a task needs, loaded.

    Args:
        task: The task.
        stats: Where times go; None: a new one.
    """

    def __init__(self, task: Task, stats: RunStats | None = None) -> None:
        self.config: Config = load_config(task.config, task.overrides, environment={})
        self.stats = stats if stats is not None else RunStats()
        self.models = build.Models(self.config, self.stats)
        self.settings: RunSettings = build.run_settings(self.config, self.models.device)
        self.gallery = Gallery(build.embedder_id(self.config))
        if task.people is not None:
            self.gallery = people_from(task.people, self.config, models=self.models)

    def pipeline(self) -> Pipeline:
        """Return a pipeline that has seen nothing yet."""
        return build.build_pipeline(self.config, self.gallery, models=self.models, stats=self.stats)

    def warm_up(self, pipeline: Pipeline, video: Path) -> None:
        """Send the first frames through, and forget what that cost."""
        for _ in results([open_video(video, _WARM_UP_FRAMES / 25, "warm-up")], pipeline, settings=self.settings):
            pass
        self.stats.clear()

    def threads(self) -> dict[str, int]:
        """Say how many threads compute; x264 and the decoder take as many as they like."""
        scanning, device = self.settings.scan_threads, self.models.device
        return {
            "scan": scanning,
            # On OpenVINO a net computes in the thread that calls it.
            "a net": 1 if device.backend == "openvino" else max(1, device.threads // scanning),
            "OpenCV": cv2.getNumThreads(),
        }


def open_video(video: Path, end_seconds: float | None, source_id: str) -> VideoSource:
    """Open a video, or its beginning until `end_seconds`."""
    return VideoSource(video, end_seconds=end_seconds, source_id=source_id)


def process(task: Task) -> Run:
    """Run `streamer process` on the task's video, as often side by side as the task has streams."""
    loaded = Loaded(task)
    loaded.warm_up(loaded.pipeline(), task.video)
    pipeline = loaded.pipeline()
    faces = 0

    def count(result: FrameResult) -> None:
        nonlocal faces
        faces += len(result.annotations)

    began_at, cpu_began_at = time.perf_counter(), time.process_time()
    report = run(
        [_route(task, loaded, stream) for stream in range(task.streams)],
        pipeline,
        draw=build.build_annotator(loaded.config).draw,
        settings=loaded.settings,
        stats=loaded.stats,
        on_result=count,
    )
    seconds, cpu_seconds = time.perf_counter() - began_at, time.process_time() - cpu_began_at
    stages = stage_costs(report.stats, report.stats.frames)
    return Run(report.stats.frames, seconds, cpu_seconds, faces=faces, stages=stages, threads=loaded.threads())


def _route(task: Task, loaded: Loaded, stream: int) -> Route:
    video = task.folder / f"{stream}.mp4" if task.kind == "process" else None
    outputs = build.Outputs(video, task.results(stream))
    sinks = build.build_sinks(loaded.config, outputs, task.video, loaded.stats)
    return Route(open_video(task.video, task.end_seconds, f"stream {stream}"), sinks)


def stage_costs(stats: StatsSummary, frames: int) -> tuple[StageCost, ...]:
    """Return the stages of a run, their time divided among its frames."""
    frames = max(frames, 1)
    return tuple(
        StageCost(
            stage.name,
            stage.calls,
            1e3 * stage.seconds.p50,
            1e3 * stage.seconds.p95,
            1e3 * stage.seconds.p99,
            1e3 * stage.total_seconds / frames,
            1e3 * stage.cpu_seconds / frames,
            1e3 * stage.own_cpu_seconds / frames,
        )
        for stage in stats.stages
    )


class _Recorder:
    """Stands where a tracker would, and keeps what was found in each frame; a `Tracker` that follows nobody."""

    def __init__(self) -> None:
        self.found: list[Boxes] = []

    def predict(self, pts_seconds: float) -> dict[int, Float32]:  # noqa: ARG002  nobody is followed
        return {}

    def update(self, frame: Frame, faces: Faces | None) -> list[Track]:  # noqa: ARG002
        faces = faces if faces is not None else Faces.empty()
        self.found.append(Boxes(faces.xyxy, faces.scores))
        return []

    def rejoin(self, newer: int, older: int) -> bool:  # noqa: ARG002
        return False

    def cut(self) -> None:
        """Nobody is lost."""


def detect(task: Task, output: Path) -> Run:
    """Decode frames and find faces in each, nothing else; write the boxes to `output` after the clock.

    Batches, threads and queues are those of `process`; nothing is followed, named, drawn or encoded.
    """
    loaded = Loaded(task)
    recorders = [_Recorder(), _Recorder()]

    def search(recorder: _Recorder, source: VideoSource) -> int:
        pipeline = Pipeline(
            loaded.models.detector,
            lambda: recorder,
            TrackLabeller(None, None),
            scans=ScanPolicy(every_seconds=0, detect_cuts=False),
            stats=loaded.stats,
        )
        return sum(1 for _ in results([source], pipeline, settings=loaded.settings, stats=loaded.stats))

    search(recorders[0], open_video(task.video, _WARM_UP_FRAMES / 25, "warm-up"))
    loaded.stats.clear()
    began_at, cpu_began_at = time.perf_counter(), time.process_time()
    frames = search(recorders[1], open_video(task.video, task.end_seconds, "video"))
    seconds, cpu_seconds = time.perf_counter() - began_at, time.process_time() - cpu_began_at
    write_boxes(output, recorders[1].found)
    faces = _sure(recorders[1].found, loaded.config.detector.score_threshold)
    stages = stage_costs(loaded.stats.summary(), frames)
    return Run(frames, seconds, cpu_seconds, faces=faces, stages=stages, threads=loaded.threads())


def _sure(found: Sequence[Boxes], score: float) -> int:
    return sum(len(boxes.above(score)) for boxes in found)
