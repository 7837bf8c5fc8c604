"""What goes through the pipeline: frames in batches, what is kept of each source, and frames with their tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streamer.lookahead import LookAhead
from streamer.scans import Scan, ScanPlanner
from streamer.spans import SpanFollower
from streamer.stages import Tracker
from streamer.types import Faces, Frame, FrameResult, SourceInfo, Track


@dataclass(slots=True)
class Lane:
    """What the pipeline keeps of one source.

    `planner`, `planned` and `due` belong to `plan`, `look_ahead` to `label`, all else to `follow`.
    """

    planner: ScanPlanner
    tracker: Tracker
    follower: SpanFollower | None  # None: the source is live, its frames do not wait
    look_ahead: LookAhead
    planned: Job | None = None  # the last frame of the shot so far
    due: Job | None = None  # the last of them that is to be searched
    latest: Faces = field(default_factory=Faces.empty)  # found in the last search
    waiting: list[Job] = field(default_factory=list)  # since the last search, that frame included


@dataclass(slots=True)
class Job:
    """One frame on its way; `is_closing`: for the second time, as the last of its shot."""

    frame: Frame
    lane: Lane
    is_cut: bool
    scan: Scan | None
    faces: Faces | None = None
    is_closing: bool = False
    before: Job | None = None  # of a spare search: the one that decides whether it is left out

    @property
    def is_searched(self) -> bool:
        """The whole frame is searched, not only said to be like an earlier one."""
        return self.scan is not None and not self.scan.is_still

    def decide(self) -> None:
        """Leave a spare search out where the one before it found nobody."""
        if self.before is not None and self.before.faces is not None and not len(self.before.faces):
            self.scan = None
        self.before = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames on their way from `plan` by `search` to `follow`."""

    jobs: tuple[Job, ...]

    @property
    def needs_earlier(self) -> bool:
        """Say whether all batches before must have been searched before this one is."""
        return any(job.before is not None for job in self.jobs)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A frame on its way from `follow` to `label`.

    Attributes:
        frame: The frame.
        tracks: Those in it.
        is_searched: The whole frame was searched.
        is_cut: A new shot begins with it.
    """

    frame: Frame
    tracks: Sequence[Track]
    is_searched: bool
    is_cut: bool


class FrameStages(Protocol):
    """What a run puts frames through. Implementations: pipeline, replay; see `Pipeline` for what each method does."""

    def begin(self, info: SourceInfo) -> None:
        """Get ready for a source."""
        ...

    def plan(self, frames: Sequence[Frame]) -> Batch:
        """Take the next frames of any sources; one thread at a time."""
        ...

    def plan_end(self) -> Batch:
        """Plan how the frames that still wait are finished."""
        ...

    def search(self, batch: Batch) -> None:
        """Do what may be done to several batches at once."""
        ...

    def follow(self, batch: Batch) -> Iterator[list[Followed]]:
        """Yield at most one frame a source at a time; batches come in the order in which they were planned."""
        ...

    def label(self, some: Sequence[Followed]) -> Iterable[FrameResult]:
        """Give the results that are ready of what `follow` yielded, in that order."""
        ...

    def release(self) -> Iterable[FrameResult]:
        """Give the results that are left: no more will be labelled."""
        ...
