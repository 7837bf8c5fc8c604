"""Shot cuts: a hard change of picture, after which nobody is where they were.

Two signs must agree, on a small blurred copy of the luma: the picture differs by much more than it has been differing
(the adaptive rule of PySceneDetect, so that a pan or a shaking camera is no cut), and what differs is the layout, not
only the brightness (low correlation, so that a flash or a light switched on is no cut). A picture of another size, as
a camera or a stream may give once it is back, is a cut, too: in its pixels nobody is where they were.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.types import Float32, Frame

_WIDTH, _HEIGHT = 48, 27
_LEAST_CHANGE = 10.0  # mean absolute difference, grey levels of 255
_TIMES_USUAL = 3.0  # against the running mean of changes
_MOST_CORRELATION = 0.75  # of the layouts; shots of one room from two sides stay below it
# Pictures further apart than this, as in a series of photos, are not joined by any motion: layout alone decides.
_LONGEST_MOTION_SECONDS = 0.5
_MEMORY_SECONDS = 0.6  # time constant of the running mean


class ShotCutDetector:
    """Watches one source for cuts; each frame must be shown to it once, in order."""

    def __init__(self) -> None:
        self._previous: Float32 | None = None
        self._size: tuple[int, int] | None = None
        self._previous_seconds = 0.0
        self._usual_change: float | None = None  # None: a shot has just begun, nothing is known of its motion

    def is_cut(self, frame: Frame) -> bool:
        """Say whether a new shot begins with this frame; the first frame is no cut."""
        small = _small(frame.picture.luma())
        previous, self._previous = self._previous, small
        elapsed, self._previous_seconds = frame.pts_seconds - self._previous_seconds, frame.pts_seconds
        size = (frame.picture.width, frame.picture.height)
        size_before, self._size = self._size, size
        if previous is None:
            return False
        if size != size_before:
            self._usual_change = None
            return True
        change = float(np.abs(small - previous).mean())
        usual, self._usual_change = self._usual_change, change
        looks_other = change > _LEAST_CHANGE and _correlation(small, previous) < _MOST_CORRELATION
        if elapsed > _LONGEST_MOTION_SECONDS:
            self._usual_change = None if looks_other else change
            return looks_other
        if usual is None:
            return False
        if looks_other and change > _TIMES_USUAL * usual:
            self._usual_change = None
            return True
        weight = 1 - float(np.exp(-max(elapsed, 0.0) / _MEMORY_SECONDS))
        self._usual_change = usual + weight * (change - usual)
        return False


def _small(luma: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Float32:
    # Every fourth line first: averaging all of a 4K plane would cost more than the whole decision.
    step = max(1, min(luma.shape[0] // (2 * _HEIGHT), luma.shape[1] // (2 * _WIDTH)))
    sampled = np.ascontiguousarray(luma[::step, ::step])
    return np.asarray(cv2.resize(sampled, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.float32)


def _correlation(first: Float32, second: Float32) -> float:
    """Return Pearson's correlation of two pictures, -1..1; 0 where one is flat."""
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-3 else 0.0
