"""Which frames of a source are searched whole, how small the faces searched for are, and where shots begin.

Decided from the pictures and their times alone, never from what was found or how long it took: the plan is made ahead
of the searches, and must be the same on every machine. Only a live source's searches depend on what the machine can do
(effort.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.effort import FULL, Effort
from streamer.pictures import Picture
from streamer.trackers.cuts import ShotCutDetector
from streamer.types import Frame

# A millisecond of grace: 0.2 s is five frames at 25 fps also where the times are rounded.
_GRACE_SECONDS = 1e-3
_FULL_EVERY = 3
_CELL_PIXELS = 16  # below the smallest face that is searched for, so that none comes in unseen
_STILL_LEVELS = 4.0  # grey levels by which a cell of a still scene may differ: a camera's and a codec's noise
_SAMPLING = 4  # only every fourth line and column is read: the mean of 16 samples a cell


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """How often whole frames are searched; durations in seconds of stream time.

    Attributes:
        every_seconds: Between searches; 0: every frame.
        min_face_pixels: The smallest face that the detector is set to.
        coarse_min_face_pixels: Two of three searches pass over faces smaller than this, which halves their cost; None:
            all searches are full. The first of a shot always is.
        spares: Every second search is left out where the one before found nobody, not even doubtfully: who comes in is
            followed back from the next one. Only for frames that can wait; never those for the smallest faces.
        still_seconds: A picture that has not changed since it was searched is searched again only after so long.
        most_frame_bytes: Frames that wait between two searches hold at most so much memory; large ones are searched
            more often. None: frames do not wait.
        detect_cuts: A hard change of picture begins a new shot.
    """

    every_seconds: float = 0.2
    min_face_pixels: float = 20.0
    coarse_min_face_pixels: float | None = None
    spares: bool = False
    still_seconds: float = 3.0
    most_frame_bytes: int | None = 48 * 2**20
    detect_cuts: bool = True


@dataclass(frozen=True, slots=True)
class Scan:
    """How a whole frame is searched.

    Attributes:
        min_face_pixels: The smallest face searched for; None: the smallest that the detector is set to.
        is_still: The picture is that of the last search, so what was found then holds, and nothing need be searched.
        is_spare: It is left out where the search before found nobody.
    """

    min_face_pixels: float | None = None
    is_still: bool = False
    is_spare: bool = False


class ScanPlanner:
    """Plans one source's searches; each frame must be shown to it once, in order.

    Args:
        policy: How often.
    """

    def __init__(self, policy: ScanPolicy) -> None:
        self._policy = policy
        self._cuts = ShotCutDetector() if policy.detect_cuts else None
        self._planned_seconds = -np.inf
        self._waiting_bytes = 0
        self._scans = 0  # in this shot
        self._searched: npt.NDArray[np.int16] | None = None  # the grid of the last picture that was searched
        self._searched_seconds = -np.inf

    def is_cut(self, frame: Frame) -> bool:
        """Say whether a new shot begins with this frame."""
        if self._cuts is None or not self._cuts.is_cut(frame):
            return False
        self._planned_seconds, self._scans, self._searched = -np.inf, 0, None
        return True

    def scan(self, frame: Frame, effort: Effort = FULL) -> Scan | None:
        """Return how this frame is to be searched; None: it need not be.

        With less than the full effort the first search of a shot, too, passes over faces that are too small for it: it
        is the dearest, and would come when there is least time for it.
        """
        now, size = frame.pts_seconds, frame.picture.width * frame.picture.height * 3 // 2
        self._waiting_bytes += size
        every_seconds = effort.search_seconds(self._policy.every_seconds)
        if now < self._planned_seconds + every_seconds - _GRACE_SECONDS and self._has_room(self._waiting_bytes + size):
            return None
        self._planned_seconds = now
        is_full = self._scans % _FULL_EVERY == 0 or self._policy.coarse_min_face_pixels is None
        is_spare = self._is_spare(is_full=is_full)
        if every_seconds > 0 and self._is_still(frame, is_remembered=not is_spare):
            self._waiting_bytes = 0
            return Scan(is_still=True)
        self._scans += 1
        if not is_spare:  # where it is left out, its frames wait for the next one
            self._waiting_bytes = 0
        return Scan(self._smallest(effort, is_full=is_full), is_spare=is_spare)

    def _has_room(self, frame_bytes: int) -> bool:
        """Say whether frames that hold so much memory may wait for the next search."""
        return self._policy.most_frame_bytes is None or frame_bytes <= self._policy.most_frame_bytes

    def _smallest(self, effort: Effort, *, is_full: bool) -> float | None:
        """Return the smallest face to search for; None: the detector's own."""
        coarse = self._policy.coarse_min_face_pixels
        if is_full or coarse is None:
            return None if effort.face_times == 1 else self._policy.min_face_pixels * effort.face_times
        return coarse * effort.face_times

    def _is_spare(self, *, is_full: bool) -> bool:
        """Say whether the next search may be left out: not two in a row, nor the only ones that see small faces."""
        if not self._policy.spares or self._scans % 2 == 0:
            return False
        if is_full and self._policy.coarse_min_face_pixels is not None:
            return False
        return self._has_room(2 * self._waiting_bytes)

    def closing(self) -> Scan:
        """Return how the last frame of a shot is searched where it was not due: who came in is seen by then."""
        return Scan(self._policy.coarse_min_face_pixels)

    def _is_still(self, frame: Frame, *, is_remembered: bool) -> bool:
        """Say whether the picture is that of the last search; if not, it is from now on where it `is_remembered`."""
        grid, searched = _grid(frame.picture), self._searched
        if (
            searched is not None
            and searched.shape == grid.shape
            and frame.pts_seconds - self._searched_seconds < self._policy.still_seconds - _GRACE_SECONDS
            and float(np.abs(grid - searched).max()) <= _STILL_LEVELS
        ):
            return True
        if is_remembered:
            self._searched, self._searched_seconds = grid, frame.pts_seconds
        return False


def _grid(picture: Picture) -> npt.NDArray[np.int16]:
    """Return the luma averaged over cells."""
    luma = picture.luma()
    sampled = np.ascontiguousarray(luma[::_SAMPLING, ::_SAMPLING])
    size = (max(1, luma.shape[1] // _CELL_PIXELS), max(1, luma.shape[0] // _CELL_PIXELS))
    return np.asarray(cv2.resize(sampled, size, interpolation=cv2.INTER_AREA), np.int16)
