"""Box arithmetic of the cascade over arrays of candidates: non-maximum suppression, correction, whole-pixel windows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamer.types import Float32

Rows = npt.NDArray[np.intp]


def nms(xyxy: Float32, scores: Float32, threshold: float) -> Rows:
    """Keep the best of every heap of boxes that overlap by more than `threshold` of their union; best first."""
    areas = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    return _suppress(xyxy, scores, areas, threshold, 0.0, np.add)


def nms_of_smaller(xyxy: Float32, scores: Float32, threshold: float) -> Rows:
    """Keep the best of every heap of boxes that overlap by more than `threshold` of the smaller one; best first.

    Sides count whole pixels (x2 - x1 + 1), as in the reference's last stage.
    """
    areas = (xyxy[:, 2] - xyxy[:, 0] + 1) * (xyxy[:, 3] - xyxy[:, 1] + 1)
    return _suppress(xyxy, scores, areas, threshold, 1.0, np.minimum)


def _suppress(
    xyxy: Float32, scores: Float32, areas: Float32, threshold: float, pixel: float, combine: np.ufunc
) -> Rows:
    """Greedy suppression; `combine` makes the denominator of two areas: their sum (less the overlap) or the smaller."""
    left, top, right, bottom = xyxy.T
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while waiting.size:
        best, rest = waiting[0], waiting[1:]
        kept.append(best)
        widths = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + pixel
        heights = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + pixel
        overlaps = np.maximum(widths, 0) * np.maximum(heights, 0)
        denominators = combine(areas[best], areas[rest])
        if combine is np.add:
            denominators = denominators - overlaps
        waiting = rest[overlaps <= threshold * denominators]
    return np.array(kept, dtype=np.intp)


def corrected(xyxy: Float32, offsets: Float32) -> Float32:
    """Shift each edge by its offset, given in box sides (counting whole pixels)."""
    sides = np.tile(xyxy[:, 2:] - xyxy[:, :2] + 1, 2)
    return xyxy + offsets * sides


def squares_about(xyxy: Float32) -> Float32:
    """Return squares with the boxes' centres and longer sides, computed in the reference's order of operations."""
    sides = xyxy[:, 2:] - xyxy[:, :2]
    longer = sides.max(axis=1, keepdims=True) if len(xyxy) else np.zeros((0, 1), np.float32)
    corners = xyxy[:, :2] + sides * np.float32(0.5) - longer * np.float32(0.5)
    return np.concatenate([corners, corners + longer], axis=1)


def pixel_windows(
    xyxy: Float32, width: int | npt.NDArray[np.int64], height: int | npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the half-open whole-pixel windows [x1, x2) × [y1, y2) that the cascade crops, inside the picture.

    `width` and `height` are those of the boxes' one picture, or (N,) one a box. Boxes count from 1, as in the original
    Matlab; an empty window has x2 <= x1 or y2 <= y1.
    """
    whole = np.trunc(xyxy).astype(np.int64)
    whole[:, :2] = np.maximum(whole[:, :2], 1) - 1
    whole[:, 2] = np.minimum(whole[:, 2], width)
    whole[:, 3] = np.minimum(whole[:, 3], height)
    return whole
