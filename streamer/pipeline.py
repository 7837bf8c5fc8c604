"""The order of the stages: cut, search or follow, track, label. No thread, no I/O, no configuration.

A batch holds frames of any number of sources, each source's in order. `plan` sees where shots begin and which whole
frames are due; `search` sends those of a batch to the detector in one call, and needs nothing else, so that several
batches may be searched at once and ahead; `follow` finds the tracks, in order, and `label` names them, in order. A live
source's frames leave at once: they are walked in rounds of one frame a source, because what is searched near a track
depends on where it was a frame ago. The frames of a source that can wait (`begin`) wait for the next search, and faces
are followed between the two from both sides (spans.py). Results do not depend on how frames are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from streamer.batches import Batch, Followed, Job, Lane
from streamer.effort import FULL, Effort
from streamer.labels import TrackLabeller
from streamer.lookahead import LookAhead
from streamer.scans import ScanPlanner, ScanPolicy
from streamer.spans import SpanFollower
from streamer.stages import Detector, Tracker
from streamer.stats import RunStats
from streamer.telling import Sighting
from streamer.types import Faces, Frame, FrameResult, SourceInfo, Track


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
        self._lanes: dict[str, Lane] = {}
        self._effort = FULL

    def set_effort(self, effort: Effort) -> None:
        """Let all live sources cost so much from the next frame on; those that can wait always get the full effort.

        May be called from any thread. The stages read it once a call, so each works with one effort throughout.
        """
        # All live sources share it, as they share the nets. To be fair to one that is cheap beside a dear one, this
        # would be one effort a source, looked up in `_planned` and `label`, where each frame's source is known.
        self._effort = effort

    def begin(self, info: SourceInfo) -> None:
        """Get ready for a source, and forget what is known of an earlier one of that name.

        The frames of a source that is not live wait for the next search; without `begin` none do.
        """
        follower = self._make_follower() if self._make_follower is not None and not info.is_live else None
        self._lanes[info.source_id] = self._lane(info.source_id, follower)

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        """Return the results that are ready, in order: one a frame, unless frames wait for the next search.

        Args:
            frames: The next frames of any sources; each source's in order, none left out.
        """
        return self._results(self.plan(frames))

    def finish(self) -> list[FrameResult]:
        """Return the results of the frames that still wait: no more will come."""
        return [*self._results(self.plan_end()), *self.release()]

    def _results(self, batch: Batch) -> list[FrameResult]:
        self.search(batch)
        return [result for some in self.follow(batch) for result in self.label(some)]

    def plan(self, frames: Sequence[Frame]) -> Batch:
        """Take the next frames: see where shots begin, and which frames are to be searched whole."""
        return Batch(tuple(job for frame in frames for job in self._planned(frame)))

    def plan_end(self) -> Batch:
        """Plan how the frames that still wait are finished: no more will come."""
        return Batch(tuple(job for lane in self._lanes.values() for job in self._closing(lane)))

    def search(self, batch: Batch) -> None:
        """Search the whole frames that are due; several batches at once in as many threads, and in any order.

        Only a batch that `needs_earlier` ones must come after them.
        """
        self._detect([job for job in batch.jobs if job.is_searched and job.before is None])
        for job in batch.jobs:
            job.decide()
        self._detect([job for job in batch.jobs if job.is_searched and job.faces is None])

    def _detect(self, due: list[Job]) -> None:
        for smallest in {job.scan.min_face_pixels for job in due if job.scan is not None}:
            alike = [job for job in due if job.scan is not None and job.scan.min_face_pixels == smallest]
            with self._stats.time("detect"):
                found = self._detector.detect([job.frame.picture for job in alike], min_face_pixels=smallest)
            for job, faces in zip(alike, found, strict=True):
                job.faces = faces

    def follow(self, batch: Batch) -> Iterator[list[Followed]]:
        """Find the tracks, for batches in the order in which they were planned.

        Yields:
            At most one frame of each source at a time, each source's in order.
        """
        yield from self._follow_at_once([job for job in batch.jobs if job.lane.follower is None])
        for job in batch.jobs:
            if job.lane.follower is not None:
                for followed in self._follow_waiting(job, job.lane.follower):
                    yield [followed]

    def label(self, some: Sequence[Followed]) -> Iterator[FrameResult]:
        """Find out whom the tracks of what `follow` yielded show, in that order; yield the results that are ready.

        The frames of a source that can wait do so until their tracks' names are sure (lookahead.py).
        """
        for one in some:
            if one.is_cut:
                self._labeller.cut(one.frame.source_id)
        with self._stats.time("label"):
            faces = self._labeller.label([one.frame for one in some], [one.tracks for one in some], self._effort)
        for one, own in zip(some, faces, strict=True):
            look_ahead = self._lanes[one.frame.source_id].look_ahead
            yield from look_ahead.add(Sighting(one.frame, own, one.is_searched, one.is_cut))

    def release(self) -> Iterator[FrameResult]:
        """Yield the results of labelled frames that still wait: no more will be labelled."""
        for lane in self._lanes.values():
            yield from lane.look_ahead.finish()

    def _lane(self, source_id: str, follower: SpanFollower | None) -> Lane:
        can_wait = follower is not None
        policy = self._waiting_scans if can_wait else self._scans
        self._labeller.begin(source_id, can_wait=can_wait)
        look_ahead = LookAhead(self._labeller.policy, lambda: self._labeller.matcher, can_wait=can_wait)
        return Lane(ScanPlanner(policy), self._make_tracker(), follower, look_ahead)

    def _planned(self, frame: Frame) -> list[Job]:
        lane = self._lanes.get(frame.source_id)
        if lane is None:
            lane = self._lanes[frame.source_id] = self._lane(frame.source_id, None)
        with self._stats.time("plan"):
            is_cut = lane.planner.is_cut(frame)
            before = self._closing(lane) if is_cut else []
            effort = self._effort if lane.follower is None else FULL
            job = lane.planned = Job(frame, lane, is_cut, lane.planner.scan(frame, effort))
            if job.scan is not None and job.scan.is_spare:
                job.before = lane.due
            elif job.is_searched:
                lane.due = job
        return [*before, job]

    @staticmethod
    def _closing(lane: Lane) -> list[Job]:
        """Plan the end of a shot: a search of its last frame shows who came in since the last search."""
        last, lane.planned, lane.due = lane.planned, None, None
        if last is None or lane.follower is None:
            return []
        # A search that may be left out is not relied on.
        scan = lane.planner.closing() if last.scan is None or last.scan.is_spare else None
        return [Job(last.frame, lane, is_cut=False, scan=scan, is_closing=True)]

    @staticmethod
    def _take_search(job: Job) -> None:
        """Give a frame that is like the last one searched what was found there."""
        if job.scan is not None and job.scan.is_still:
            job.faces = job.lane.latest
        if job.faces is not None:
            job.lane.latest = job.faces

    # ---- sources whose frames wait

    def _follow_waiting(self, job: Job, follower: SpanFollower) -> Iterator[Followed]:
        lane = job.lane
        if job.is_closing:
            yield from self._end_shot(lane, follower, job)
            return
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
        yield from _emptied(done, tracks)

    @staticmethod
    def _end_shot(lane: Lane, follower: SpanFollower, closing: Job) -> Iterator[Followed]:
        """Yield what waits, up to the frame that was searched now, or alone, as the opening one, before."""
        done, lane.waiting = lane.waiting, []
        if closing.faces is not None and len(done) > 1:
            done[-1].scan = closing.scan
            tracks = follower.follow([job.frame for job in done], closing.faces)
            yield from _emptied(done, [*tracks, follower.end()])
        else:
            yield from _emptied(done, [follower.end()])

    # ---- sources whose frames leave at once

    def _follow_at_once(self, jobs: list[Job]) -> Iterator[list[Followed]]:
        waiting = jobs
        while waiting:
            first: dict[str, Job] = {}
            later = [job for job in waiting if first.setdefault(job.frame.source_id, job) is not job]
            yield self._round(list(first.values()))
            waiting = later

    def _round(self, jobs: list[Job]) -> list[Followed]:
        """Process one frame of each source."""
        for job in jobs:
            if job.is_cut:
                job.lane.tracker.cut()
            self._take_search(job)
        self._refine([job for job in jobs if job.faces is None])
        with self._stats.time("track"):
            return [_followed(job, job.lane.tracker.update(job.frame, job.faces)) for job in jobs]

    def _refine(self, jobs: list[Job]) -> None:
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


def _followed(job: Job, tracks: Sequence[Track]) -> Followed:
    return Followed(job.frame, tracks, job.is_searched, job.is_cut)


def _emptied(jobs: list[Job], tracks: Sequence[Sequence[Track]]) -> Iterator[Followed]:
    """Yield frames with their tracks, letting go of each: a span's frames are most of what a run holds in memory."""
    for own in tracks:
        yield _followed(jobs.pop(0), own)
