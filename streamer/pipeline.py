"""The order of the stages: cut, search or follow, track, label. No thread, no I/O, no configuration.

A batch holds frames of any number of sources, each source's in order. `plan` sees where shots begin and which whole
frames are due; `search` sends those of a batch to the detector in one call, and needs nothing else, so that several
batches may be searched at once and ahead; `follow` does the rest in order. A live source's frames leave at once: they
are walked in rounds of one frame a source, because what is searched near a track depends on where it was a frame ago.
The frames of a source that can wait (`begin`) wait for the next search, and faces are followed between the two from
both sides (spans.py). Results do not depend on how frames are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamer.labels import Labelled, TrackLabeller
from streamer.scans import Scan, ScanPlanner, ScanPolicy
from streamer.spans import SpanFollower
from streamer.stages import Detector, Tracker
from streamer.stats import RunStats
from streamer.types import Event, Faces, Frame, FrameResult, SourceInfo, Track


@dataclass(slots=True)
class _Lane:
    """What the pipeline keeps of one source: the planner belongs to `plan`, all else to `follow`."""

    planner: ScanPlanner
    tracker: Tracker
    follower: SpanFollower | None  # None: the source is live, its frames do not wait
    latest: Faces = field(default_factory=Faces.empty)  # found in the last search
    waiting: list[_Job] = field(default_factory=list)  # since the last search, that frame included


@dataclass(slots=True)
class _Job:
    """One frame on its way."""

    frame: Frame
    lane: _Lane
    is_cut: bool
    scan: Scan | None
    faces: Faces | None = None
    events: tuple[Event, ...] = ()

    @property
    def is_searched(self) -> bool:
        return self.scan is not None and not self.scan.is_still


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
        scans: How often whole frames are searched where frames do not wait.
        waiting_scans: The same where they can; None: as `scans`.
        make_follower: Makes what follows a source's faces between two searches where frames can wait; None: they never
            wait.
        stats: Where the stages' times go.
    """

    def __init__(
        self,
        detector: Detector,
        make_tracker: Callable[[], Tracker],
        labeller: TrackLabeller,
        *,
        scans: ScanPolicy | None = None,
        waiting_scans: ScanPolicy | None = None,
        make_follower: Callable[[], SpanFollower] | None = None,
        stats: RunStats | None = None,
    ) -> None:
        self._detector, self._make_tracker, self._labeller = detector, make_tracker, labeller
        self._scans = scans if scans is not None else ScanPolicy()
        self._waiting_scans = waiting_scans if waiting_scans is not None else self._scans
        self._make_follower = make_follower
        self._stats = stats if stats is not None else RunStats()
        self._lanes: dict[str, _Lane] = {}

    def begin(self, info: SourceInfo) -> None:
        """Get ready for a source, and forget what is known of an earlier one of that name.

        The frames of a source that is not live wait for the next search; without `begin` none do.
        """
        self._labeller.begin(info.source_id)
        follower = self._make_follower() if self._make_follower is not None and not info.is_live else None
        self._lanes[info.source_id] = self._lane(follower)

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Return the results that are ready, in order: one a frame, unless frames wait for the next search.

        Args:
            frames: The next frames of any sources; each source's in order, none left out.
        """
        batch = self.plan(frames)
        self.search(batch)
        return list(self.follow(batch))

    def plan(self, frames: Sequence[Frame]) -> Batch:
        """Take the next frames: see where shots begin, and which frames are to be searched whole."""
        return Batch(tuple(self._planned(frame) for frame in frames))

    def search(self, batch: Batch) -> None:
        """Search the whole frames that are due; batches in any order, and several at once in as many threads."""
        due = [job for job in batch.jobs if job.is_searched]
        for smallest in {job.scan.min_face_pixels for job in due if job.scan is not None}:
            alike = [job for job in due if job.scan is not None and job.scan.min_face_pixels == smallest]
            with self._stats.time("detect"):
                found = self._detector.detect([job.frame.picture for job in alike], min_face_pixels=smallest)
            for job, faces in zip(alike, found, strict=True):
                job.faces = faces

    def follow(self, batch: Batch) -> Iterator[FrameResult]:
        """Do the rest, for batches in the order in which they were planned; yield each source's results in order."""
        yield from self._follow_at_once([job for job in batch.jobs if job.lane.follower is None])
        for job in batch.jobs:
            if job.lane.follower is not None:
                yield from self._follow_waiting(job, job.lane.follower)

    def finish(self) -> Iterator[FrameResult]:
        """Yield the results of the frames that still wait: no more will come."""
        for lane in self._lanes.values():
            if lane.follower is not None:
                yield from self._end_shot(lane, lane.follower)

    def _lane(self, follower: SpanFollower | None) -> _Lane:
        policy = self._scans if follower is None else self._waiting_scans
        return _Lane(ScanPlanner(policy), self._make_tracker(), follower)

    def _planned(self, frame: Frame) -> _Job:
        lane = self._lanes.get(frame.source_id)
        if lane is None:
            lane = self._lanes[frame.source_id] = self._lane(None)
        with self._stats.time("plan"):
            is_cut = lane.planner.is_cut(frame)
            return _Job(frame, lane, is_cut, lane.planner.scan(frame))

    @staticmethod
    def _take_search(job: _Job) -> None:
        """Give a frame that is like the last one searched what was found there."""
        if job.scan is not None and job.scan.is_still:
            job.faces = job.lane.latest
        if job.faces is not None:
            job.lane.latest = job.faces

    # ---- sources whose frames wait

    def _follow_waiting(self, job: _Job, follower: SpanFollower) -> Iterator[FrameResult]:
        lane = job.lane
        if job.is_cut:
            yield from self._end_shot(lane, follower)
            job.events = self._labeller.cut(job.frame)
        self._take_search(job)
        if job.faces is None:
            lane.waiting.append(job)
            return
        if not lane.waiting:
            follower.begin(job.frame, job.faces)
            lane.waiting = [job]
            return
        done, lane.waiting = lane.waiting, [job]
        tracks = follower.follow([waiting.frame for waiting in [*done, job]], job.faces)
        yield from map(self._result, done, tracks)

    def _end_shot(self, lane: _Lane, follower: SpanFollower) -> Iterator[FrameResult]:
        """Yield what waits: a search of the shot's last frame shows who came in since the last one."""
        done, lane.waiting = lane.waiting, []
        if len(done) > 1:
            with self._stats.time("detect"):
                closing = self._detector.detect([done[-1].frame.picture])[0]
            tracks = follower.follow([job.frame for job in done], closing)
            done[-1].scan = Scan()
            yield from map(self._result, done, tracks)
        if done:
            yield self._result(done[-1], follower.end())

    def _result(self, job: _Job, tracks: list[Track]) -> FrameResult:
        with self._stats.time("label"):
            own = self._labeller.label([job.frame], [tracks])[0]
        return FrameResult(job.frame, own.annotations, job.is_searched, (*job.events, *own.events))

    # ---- sources whose frames leave at once

    def _follow_at_once(self, jobs: list[_Job]) -> Iterator[FrameResult]:
        results: dict[int, FrameResult] = {}
        waiting = list(enumerate(jobs))
        while waiting:
            round_of_jobs = _first_of_each_source(waiting)
            waiting = [item for item in waiting if item not in round_of_jobs]
            for (place, _), result in zip(round_of_jobs, self._round([job for _, job in round_of_jobs]), strict=True):
                results[place] = result
        yield from (results[place] for place in range(len(jobs)))

    def _round(self, jobs: list[_Job]) -> list[FrameResult]:
        """Process one frame of each source."""
        for job in jobs:
            if job.is_cut:
                job.lane.tracker.cut()
                job.events = self._labeller.cut(job.frame)
            self._take_search(job)
        self._refine([job for job in jobs if job.faces is None])
        with self._stats.time("track"):
            tracks: list[list[Track]] = [job.lane.tracker.update(job.frame, job.faces) for job in jobs]
        with self._stats.time("label"):
            labelled: list[Labelled] = self._labeller.label([job.frame for job in jobs], tracks)
        return [
            FrameResult(job.frame, own.annotations, job.is_searched, (*job.events, *own.events))
            for job, own in zip(jobs, labelled, strict=True)
        ]

    def _refine(self, jobs: list[_Job]) -> None:
        """Look again near the tracks of frames that were not searched whole."""
        expected = [job.lane.tracker.predict(job.frame.pts_seconds) for job in jobs]
        wanted = [(job, np.stack(list(boxes.values()))) for job, boxes in zip(jobs, expected, strict=True) if boxes]
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
