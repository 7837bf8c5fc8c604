"""Look-ahead: a file's frames wait until it is known whom they show, so that they carry the name a track ends up with.

Frames wait only while a face in them is unsure, for a limited time of the stream, and while their pictures fit into a
stated amount of memory. All of that is decided from the frames themselves, so results are the same in every run. Live
frames never wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from streamer.dossiers import Face
from streamer.label_policy import LabelPolicy
from streamer.stages import Matcher
from streamer.telling import Sighting, Teller
from streamer.types import Frame, FrameResult

_GRACE_SECONDS = 1e-3


class LookAhead:
    """The frames of one source that wait, and how they leave.

    Args:
        policy: How long they wait.
        matcher: Returns what says now what other names a face could have, or None: nobody is named.
        can_wait: False: frames leave as they come.
    """

    def __init__(self, policy: LabelPolicy, matcher: Callable[[], Matcher | None], *, can_wait: bool) -> None:
        self._policy, self._matcher, self._can_wait = policy, matcher, can_wait
        self._teller = Teller(matcher, policy.left_after_seconds)
        self._waiting: deque[Sighting] = deque()
        self._waiting_bytes = 0

    def add(self, sighting: Sighting) -> Iterator[FrameResult]:
        """Take the next frame and yield the results that are ready, in order."""
        if not self._can_wait:
            yield self._teller.tell(sighting)
            return
        self._waiting.append(sighting)
        self._waiting_bytes += _bytes(sighting.frame)
        # The newest always waits: it may be the last, with which all tracks leave.
        while len(self._waiting) > 1 and self._may_leave(self._waiting[0], sighting.frame.pts_seconds):
            yield self._teller.tell(self._next())

    def finish(self) -> Iterator[FrameResult]:
        """Yield the results of the frames that still wait: no more will come."""
        while self._waiting:
            sighting = self._next()
            yield self._teller.tell(sighting, is_last=not self._waiting)

    def _next(self) -> Sighting:
        sighting = self._waiting.popleft()
        self._waiting_bytes -= _bytes(sighting.frame)
        return sighting

    def _may_leave(self, oldest: Sighting, now: float) -> bool:
        policy = self._policy
        if now - oldest.frame.pts_seconds >= policy.look_ahead_seconds - _GRACE_SECONDS:
            return True
        if self._waiting_bytes > policy.look_ahead_bytes or self._matcher() is None:
            return True
        return not any(self._is_open(face) for face in oldest.faces)

    def _is_open(self, face: Face) -> bool:
        """Say whether later frames may still tell who this is."""
        trail = face.trail
        if trail.is_over:
            return False
        if trail.doubt_seconds is not None and face.seconds >= trail.doubt_seconds:
            return True
        return not face.dossier.is_sure(self._policy)


def _bytes(frame: Frame) -> int:
    return frame.picture.width * frame.picture.height * 3 // 2
