"""Box arithmetic of the cascade over arrays of candidates: non-maximum suppression, correction, whole-pixel windows."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import Float32

Rows = npt.NDArray[np.intp]


def nms(xyxy: Float32, scores: Float32, threshold: float) -> Rows:
    """Keep the best of every heap of boxes that overlap by more than `threshold` of their union; best first.

    Scores must be positive.
    """
    if not len(xyxy):
        return np.zeros(0, np.intp)
    # OpenCV's loop over a thousand boxes takes 7 ms where NumPy's takes 15 and torchvision's 0.7 s to import.
    corners_and_sides = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1, dtype=np.float64)
    kept = cv2.dnn.NMSBoxes(corners_and_sides, scores, 0.0, threshold)  # type: ignore[arg-type]  # arrays do as well
    return np.asarray(kept, np.intp).reshape(-1)


def nms_of_smaller(xyxy: Float32, scores: Float32, threshold: float) -> Rows:
    """Keep the best of every heap of boxes that overlap by more than `threshold` of the smaller one; best first.

    Sides count whole pixels (x2 - x1 + 1), as in the reference's last stage.
    """
    left, top, right, bottom = xyxy.T
    areas = (right - left + 1) * (bottom - top + 1)
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while waiting.size:
        best, rest = waiting[0], waiting[1:]
        kept.append(best)
        widths = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        heights = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        overlaps = np.maximum(widths, 0) * np.maximum(heights, 0)
        waiting = rest[overlaps <= threshold * np.minimum(areas[best], areas[rest])]
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
