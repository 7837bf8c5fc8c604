"""A glimpse of a face: a few grey pixels, by which a change of face from one frame to the next is noticed for nothing.

It says that it is worth a look, never who is there: light and motion change a glimpse, too.
"""

from __future__ import annotations

import numpy as np

from streamer.pictures import Picture
from streamer.types import Float32

_SIDE = 16
_SHRINK = 2
_MARGIN = 0.35  # of the larger side of the landmarks' box, around it
# Of different people's glimpses on lfw_dev 96 % are less alike than this; of one face's from frame to frame 2 % in
# crowd_1080p (walking people, interpolated boxes) and none in expressions_360p. One takes 17 us.
_ALIKE = 0.6
_LEAST_CONTRAST = 2.0  # grey levels: a plain patch is like any other

Glimpse = Float32


def glimpse(picture: Picture, landmarks: Float32) -> Glimpse:
    """Return the (256,) float32 pixels about (5, 2) landmarks, mean 0 and length 1; zeros where it is plain."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = float((high - low).max()) * (1 + 2 * _MARGIN)
    left, top = (low + high) / 2 - side / 2
    scale = _SIDE * _SHRINK / max(side, 1.0)
    matrix = np.array([[scale, 0.0, -scale * left], [0.0, scale, -scale * top]])
    pixels = picture.warped_grey(matrix, _SIDE, _SHRINK).astype(np.float32).reshape(-1)
    pixels -= pixels.mean()
    length = float(np.linalg.norm(pixels))
    return pixels / np.float32(length) if length > _LEAST_CONTRAST * _SIDE else np.zeros_like(pixels)


def is_other(before: Glimpse, now: Glimpse) -> bool:
    """Say whether a face has changed between two glimpses a moment apart."""
    return bool(before.any() and now.any() and float(before @ now) < _ALIKE)
