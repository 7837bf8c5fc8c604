"""Which measurements are made of a video, in what order, and what each is compared with.

All ways of going through a video are measured one after the other, then all again: what slows the machine down for a
while slows all of them. The results of the first repeat are compared with the reference.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamer import geometry
from streamer.bench import figures
from streamer.bench.accuracy import agreement, id_switches, names_given
from streamer.bench.children import Children, emptied
from streamer.bench.figures import Accuracy, Measurement, TruthFigures, VideoFigures
from streamer.bench.records import Boxes, Found, read_boxes, read_results
from streamer.bench.truth import compare
from streamer.bench.values import Kind, Machine, Run, Task
from streamer.errors import UsageError, printable
from streamer.sources.scene import Scene
from streamer.sources.video import VideoSource
from streamer.types import Float32, SourceInfo

_LOG = logging.getLogger(__name__)

REFERENCE_SCORE = 0.9
_EVERY_FRAME = ("tracker.detect_every_seconds=0",)
_TRACKED: tuple[Kind, ...] = ("process", "results")


@dataclass(frozen=True, slots=True)
class Way:
    """One way of going through a video.

    Attributes:
        name: What it is called.
        kind: What the child process does.
        overrides: `section.key=value`.
        has_profile: Its stages are also measured one after the other.
    """

    name: str
    kind: Kind
    overrides: tuple[str, ...] = ()
    has_profile: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """What all measurements of one benchmark have in common.

    Attributes:
        children: How they are run.
        folder: A private one, for what is needed for a while.
        config: A file of settings, resolved.
        machine: What there is.
        repeat: How often everything is measured, at least 1.
        naive_frames: So many frames of the naive loop and of its detection; 0: neither.
        end_seconds: So much of each video; None: all.
    """

    children: Children
    folder: Path
    config: Path
    machine: Machine
    repeat: int = 3
    naive_frames: int = 35
    end_seconds: float | None = None

    @property
    def has_peer(self) -> bool:
        """The naive loop is to be run and can be."""
        return self.naive_frames > 0 and not self.machine.peer_problem

    def task(self, way: Way, video: Path, folder: Path, people: Path | None) -> Task:
        """Return the task of one measurement."""
        task = Task(way.kind, video, folder, self.config, way.overrides, people, end_seconds=self.end_seconds)
        if self.end_seconds is not None:  # the sound of the annotated video ends there, too
            task = replace(task, overrides=(*task.overrides, f"source.end_seconds={self.end_seconds}"))
        return task

    def measure(self, task: Task, read: Callable[[Task], None] | None = None) -> Run:
        """Measure once in a new folder; `read` looks at the outputs before they are removed."""
        with emptied(task.folder):
            run = self.children.measure(task)
            if read is not None:
                read(task)
        return run


def ways(session: Session) -> list[Way]:
    """Return all ways of going through a video, in the order of a repeat."""
    peers = [Way(figures.NAIVE, "naive"), Way(figures.PEER_DETECTION, "reference")] if session.has_peer else []
    others = [name for name in session.machine.backends if name != session.machine.backend]
    return [
        Way(figures.CEILING, "ceiling"),
        Way(figures.PROCESS, "process", has_profile=True),
        *peers,
        Way(figures.DETECTION, "detect", _EVERY_FRAME),
        Way(figures.EVERY_FRAME, "process", _EVERY_FRAME, has_profile=True),
        Way(figures.RESULTS_ONLY, "results"),
        *(
            Way(f"process, {name} on CPU", "process", (f"runtime.backend={name}", "runtime.device=cpu"))
            for name in others
        ),
    ]


def measure_video(session: Session, video: Path, name: str, people: Path | None) -> VideoFigures:
    """Measure all ways of going through one video.

    Raises:
        StreamerError: The video cannot be read, or a measurement failed.
    """
    info = video_info(video)
    reference, origin = _reference(session, video, info)
    every = [_Repeated(session, way, video, people, reference) for way in ways(session)]
    for repeat in range(session.repeat):
        for one in every:
            run = one.again()
            _LOG.info("%s, %d of %d: %s: %.3g fps", name, repeat + 1, session.repeat, one.way.name, run.fps)
    measurements = tuple(one.summed_up() for one in every)
    return VideoFigures(name, info.width, info.height, info.declared_fps, origin, measurements)


def video_info(video: Path) -> SourceInfo:
    """Return what a video says of itself. Raises SourceOpenError."""
    source = VideoSource(video)
    source.close()
    return source.info


@dataclass(slots=True)
class _Repeated:
    """One way of going through a video, as it is measured again and again."""

    session: Session
    way: Way
    video: Path
    people: Path | None
    reference: Sequence[Float32]
    runs: list[Run] = field(default_factory=list)
    accuracy: Accuracy | None = None

    def again(self) -> Run:
        task = self._task()
        read = self._compare if not self.runs and self.way.kind in (*_TRACKED, "detect") else None
        self.runs.append(self.session.measure(task, read))
        return self.runs[-1]

    def summed_up(self) -> Measurement:
        profile = None
        if self.way.has_profile:
            profile = self.session.measure(replace(self._task(), kind="profile"))
        return Measurement(self.way.name, tuple(self.runs), self.accuracy, profile)

    def _task(self) -> Task:
        task = self.session.task(self.way, self.video, self.session.folder / "run", self.people)
        if self.way.kind not in ("naive", "reference"):
            return task
        return replace(task, most_frames=min(self.session.naive_frames, len(self.reference)))

    def _compare(self, task: Task) -> None:
        if self.way.kind == "detect":
            found = [boxes.above(REFERENCE_SCORE) for boxes in read_boxes(task.boxes)]
            one = agreement(found, self.reference)
            self.accuracy = Accuracy(one, one)
        else:
            self.accuracy = accuracy(read_results(task.results()), self.reference)


def accuracy(found: Sequence[Found], reference: Sequence[Float32]) -> Accuracy:
    """Compare what a results file holds with the reference's boxes."""
    return Accuracy(
        shown=agreement([frame.xyxy for frame in found], reference),
        detected=agreement([frame.detected.xyxy for frame in found], reference),
        id_switches=id_switches(found, reference),
        names=names_given(found),
    )


def _reference(session: Session, video: Path, info: SourceInfo) -> tuple[list[Float32], str]:
    """Return the boxes of every frame that all others are compared with, and where they came from."""
    beside = video.with_suffix(".reference.json")
    found: list[Boxes] = []
    if beside.exists():
        found, origin = read_boxes(beside), f"{printable(beside.name)} beside the video"
    else:
        has_peer = not session.machine.peer_problem
        way = Way("reference", "reference") if has_peer else Way("reference", "detect", _EVERY_FRAME)
        origin = "facenet-pytorch's MTCNN on every frame"
        if not has_peer:
            origin = f"our own detector on every frame, because of facenet-pytorch: {session.machine.peer_problem}"
        _LOG.info("%s: the reference is computed: %s", printable(video.name), origin)
        task = session.task(way, video, session.folder / "run", None)
        session.measure(task, lambda done: found.extend(read_boxes(done.boxes)))
    frames = _frame_count(video, session.end_seconds)
    if len(found) < frames:
        raise UsageError(
            f"{printable(beside)} holds the boxes of {len(found)} frames, but the video has {frames}; "
            "move it away, and they are computed"
        )
    boxes = [geometry.clip(one.above(REFERENCE_SCORE), info.width, info.height) for one in found]
    return boxes[:frames], origin


def _frame_count(video: Path, end_seconds: float | None) -> int:
    """Count the frames that a source gives; what a container claims may be wrong."""
    source = VideoSource(video, end_seconds=end_seconds)
    count = 0
    while source.read() is not None:
        count += 1
    source.close()
    return count


def measure_truth(session: Session, video: Path, scene: Scene, people: Path, known: str) -> list[TruthFigures]:
    """Compare what is found in a drawn scene with the truth, by default and with every frame searched."""
    truth = [scene.truth_at(index) for index in range(scene.frame_count)]
    whole = replace(session, end_seconds=None)
    every: list[TruthFigures] = []
    for name, overrides in ((figures.PROCESS, ()), (figures.EVERY_FRAME, _EVERY_FRAME)):
        found: list[Found] = []
        task = whole.task(Way(name, "results", overrides), video, session.folder / "run", people)
        whole.measure(task, _reading_into(found))
        every.append(TruthFigures(name, compare(found, truth, {known})))
        _LOG.info("drawn scene: %s: compared with the truth", name)
    return every


def _reading_into(found: list[Found]) -> Callable[[Task], None]:
    return lambda done: found.extend(read_results(done.results()))
