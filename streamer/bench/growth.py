"""How the cost of `process` grows: with the faces in a frame, the size of a frame, and the number of videos at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamer.bench import figures
from streamer.bench.figures import Growth, GrowthPoint, Measurement
from streamer.bench.records import Found, read_results
from streamer.bench.scenes import faces_scene, write_scaled, write_scene
from streamer.bench.session import Session, Way
from streamer.bench.truth import compare
from streamer.bench.values import Run, Task
from streamer.evaluation.shares import Share
from streamer.sources.scene import Scene

_LOG = logging.getLogger(__name__)

_PROCESS = Way(figures.PROCESS, "process")
_CEILING = Way(figures.CEILING, "ceiling")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is grown.

    Attributes:
        video: The video that is scaled, or read several times.
        people: Photos of those who are enrolled; None: nobody is.
    """

    video: Path
    people: Path | None


def by_faces(session: Session, amounts: Sequence[int], height: int, seconds: float, people: Path | None) -> Growth:
    """Measure drawn scenes of so many faces; see `faces_scene`."""
    whole = replace(session, end_seconds=None)
    scenes = {amount: faces_scene(amount, height, seconds) for amount in amounts}
    videos = {amount: session.folder / f"faces-{amount}.mp4" for amount in amounts}
    for amount, scene in scenes.items():
        write_scene(scene, videos[amount])
    runs: dict[int, list[Run]] = {amount: [] for amount in amounts}
    recalls: dict[int, float | None] = {}
    for repeat in range(session.repeat):
        for amount in amounts:
            found: list[Found] = []
            task = whole.task(_PROCESS, videos[amount], session.folder / "run", people)
            runs[amount].append(whole.measure(task, _reading_into(found)))
            recalls.setdefault(amount, _recall(found, scenes[amount]))
            _tell("faces", amount, repeat, session.repeat, runs[amount][-1])
    points = [
        GrowthPoint(amount, Measurement(figures.PROCESS, tuple(runs[amount])), recall=recalls[amount])
        for amount in amounts
    ]
    return Growth("faces", tuple(points))


def _reading_into(found: list[Found]) -> Callable[[Task], None]:
    return lambda done: found.extend(read_results(done.results()))


def _recall(found: Sequence[Found], scene: Scene) -> float | None:
    truth = [scene.truth_at(index) for index in range(scene.frame_count)]
    recall: Share = compare(found, truth, ()).recall
    return recall.value


def by_size(session: Session, heights: Sequence[int], subject: Subject) -> Growth:
    """Measure copies of a video in other sizes, each beside the ceiling of that size."""
    videos = {height: session.folder / f"height-{height}.mp4" for height in heights}
    for height, video in videos.items():
        write_scaled(subject.video, height, video, session.end_seconds)
    whole = replace(session, end_seconds=None)
    runs: dict[tuple[int, str], list[Run]] = {(height, way.name): [] for height in heights for way in _BOTH}
    for repeat in range(session.repeat):
        for height in heights:
            for way in _BOTH:
                task = whole.task(way, videos[height], session.folder / "run", subject.people)
                runs[height, way.name].append(whole.measure(task))
            _tell("size", height, repeat, session.repeat, runs[height, figures.PROCESS][-1])
    points = [
        GrowthPoint(
            height,
            Measurement(figures.PROCESS, tuple(runs[height, figures.PROCESS])),
            ceiling=Measurement(figures.CEILING, tuple(runs[height, figures.CEILING])),
        )
        for height in heights
    ]
    return Growth("size", tuple(points))


_BOTH = (_CEILING, _PROCESS)


def by_streams(session: Session, amounts: Sequence[int], subject: Subject) -> Growth:
    """Measure one pipeline that goes through a video so many times at once, into as many outputs."""
    runs: dict[int, list[Run]] = {amount: [] for amount in amounts}
    for repeat in range(session.repeat):
        for amount in amounts:
            task = session.task(_PROCESS, subject.video, session.folder / "run", subject.people)
            runs[amount].append(session.measure(replace(task, streams=amount)))
            _tell("streams", amount, repeat, session.repeat, runs[amount][-1])
    points = [GrowthPoint(amount, Measurement(figures.PROCESS, tuple(runs[amount]))) for amount in amounts]
    return Growth("streams", tuple(points))


def _tell(by: str, amount: int, repeat: int, repeats: int, run: Run) -> None:
    _LOG.info("growth, %d of %d: %s %d: %.3g fps", repeat + 1, repeats, by, amount, run.fps)
