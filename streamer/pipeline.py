"""The order of the stages: cut, scan or refine, track, label. No thread, no I/O, no configuration.

A batch holds frames of any number of sources, each source's in order. `plan` sees where shots begin and which whole
frames are due; `search` sends those of a batch to the detector in one call, and needs nothing else, so that several
batches may be searched at once and ahead; `follow` walks the batch in rounds of one frame a source, because what is
searched near a track depends on where it was a frame ago. Results do not depend on how frames are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamer.labels import Labelled, TrackLabeller
from streamer.stages import Detector, Tracker
from streamer.stats import RunStats
from streamer.trackers.cuts import ShotCutDetector
from streamer.types import Event, Faces, Frame, FrameResult, Track


@dataclass(slots=True)
class _Lane:
    """What the pipeline keeps of one source: the tracker belongs to `follow`, all else to `plan`."""

    tracker: Tracker
    cuts: ShotCutDetector | None
    next_scan_seconds: float = -1.0


@dataclass(slots=True)
class _Job:
    """One frame on its way."""

    frame: Frame
    lane: _Lane
    is_cut: bool
    is_due: bool
    faces: Faces | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames on their way from `plan` by `search` to `follow`."""

    jobs: tuple[_Job, ...]


class Pipeline:
    """Turns frames into results.

    Args:
        detector: Finds faces.
        make_tracker: Makes the tracker of a new source.
        labeller: Gives tracks names and emotions.
        detect_every_seconds: The whole frame is searched this often, and after every cut; 0: every frame.
        detect_cuts: A hard change of picture ends all tracks.
        stats: Where the stages' times go.
    """

    def __init__(
        self,
        detector: Detector,
        make_tracker: Callable[[], Tracker],
        labeller: TrackLabeller,
        *,
        detect_every_seconds: float = 0.2,
        detect_cuts: bool = True,
        stats: RunStats | None = None,
    ) -> None:
        self._detector, self._make_tracker, self._labeller = detector, make_tracker, labeller
        self._detect_every_seconds = detect_every_seconds
        self._detect_cuts = detect_cuts
        self._stats = stats if stats is not None else RunStats()
        self._lanes: dict[str, _Lane] = {}

    def begin(self, source_id: str) -> None:
        """Forget what is known of a source: a new one begins that may have the same name."""
        self._lanes.pop(source_id, None)
        self._labeller.begin(source_id)

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Return one result a frame, in order.

        Args:
            frames: The next frames of any sources; each source's in order, none left out.
        """
        batch = self.plan(frames)
        self.search(batch)
        return self.follow(batch)

    def plan(self, frames: Sequence[Frame]) -> Batch:
        """Take the next frames: see where shots begin, and which frames are to be searched whole."""
        return Batch(tuple(self._planned(frame) for frame in frames))

    def search(self, batch: Batch) -> None:
        """Search the whole frames that are due; batches in any order, and several at once in as many threads."""
        due = [job for job in batch.jobs if job.is_due]
        if not due:
            return
        with self._stats.time("detect"):
            found = self._detector.detect([job.frame.picture for job in due])
        for job, faces in zip(due, found, strict=True):
            job.faces = faces

    def follow(self, batch: Batch) -> list[FrameResult]:
        """Do the rest, for batches in the order in which they were planned; return one result a frame, in order."""
        results: dict[int, FrameResult] = {}
        waiting = list(enumerate(batch.jobs))
        while waiting:
            round_of_jobs = _first_of_each_source(waiting)
            waiting = [item for item in waiting if item not in round_of_jobs]
            for (place, _), result in zip(round_of_jobs, self._round([job for _, job in round_of_jobs]), strict=True):
                results[place] = result
        return [results[place] for place in range(len(batch.jobs))]

    def _planned(self, frame: Frame) -> _Job:
        lane = self._lanes.get(frame.source_id)
        if lane is None:
            lane = _Lane(self._make_tracker(), ShotCutDetector() if self._detect_cuts else None)
            self._lanes[frame.source_id] = lane
        with self._stats.time("cut"):
            is_cut = lane.cuts is not None and lane.cuts.is_cut(frame)
        return _Job(frame, lane, is_cut, self._is_due(lane, frame.pts_seconds, is_cut))

    def _is_due(self, lane: _Lane, now: float, is_cut: bool) -> bool:
        # A millisecond of grace: 0.2 s is five frames at 25 fps also where the times are rounded.
        if not is_cut and now < lane.next_scan_seconds - 1e-3:
            return False
        lane.next_scan_seconds = now + self._detect_every_seconds
        return True

    def _round(self, jobs: list[_Job]) -> list[FrameResult]:
        """Process one frame of each source."""
        cut_events = [self._cut(job) for job in jobs]
        scanned = [job.faces is not None for job in jobs]
        self._refine([job for job in jobs if job.faces is None])
        with self._stats.time("track"):
            tracks: list[list[Track]] = [job.lane.tracker.update(job.frame, job.faces) for job in jobs]
        with self._stats.time("label"):
            labelled: list[Labelled] = self._labeller.label([job.frame for job in jobs], tracks)
        return [
            FrameResult(job.frame, own.annotations, was_scanned, (*events, *own.events))
            for job, own, was_scanned, events in zip(jobs, labelled, scanned, cut_events, strict=True)
        ]

    def _cut(self, job: _Job) -> tuple[Event, ...]:
        if not job.is_cut:
            return ()
        job.lane.tracker.cut()
        return self._labeller.cut(job.frame)

    def _refine(self, jobs: list[_Job]) -> None:
        """Look again near the tracks of frames that were not searched whole."""
        expected = [job.lane.tracker.predict(job.frame.pts_seconds) for job in jobs]
        wanted = [(job, boxes) for job, boxes in zip(jobs, expected, strict=True) if len(boxes)]
        for job in jobs:
            job.faces = Faces.empty()
        if not wanted:
            return
        with self._stats.time("refine"):
            found = self._detector.refine([job.frame.picture for job, _ in wanted], [boxes for _, boxes in wanted])
        for (job, _), faces in zip(wanted, found, strict=True):
            job.faces = faces


def _first_of_each_source(waiting: list[tuple[int, _Job]]) -> list[tuple[int, _Job]]:
    first: dict[str, tuple[int, _Job]] = {}
    for item in waiting:
        first.setdefault(item[1].frame.source_id, item)
    return list(first.values())
