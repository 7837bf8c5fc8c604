"""Which found face is which face of a truth: boxes matched one to one within a frame."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import lap
import numpy as np
import numpy.typing as npt

from streamer import geometry
from streamer.types import Float32

MATCH_IOU = 0.5

Rows = npt.NDArray[np.intp]


def match(
    first: Float32,
    second: Float32,
    least_iou: float = MATCH_IOU,
    *,
    is_kept: npt.NDArray[np.bool_] | None = None,
) -> tuple[Rows, Rows, npt.NDArray[np.floating]]:
    """Match (N, 4) and (M, 4) boxes one to one so that the overlaps' sum is largest.

    Args:
        first: xyxy.
        second: xyxy.
        least_iou: Boxes that overlap less are no match.
        is_kept: (N, M) of pairs that come before all others, as long as they overlap enough; None: there is none.

    Returns:
        K rows of the first, rising, K of the second, and the K overlaps, each at least `least_iou`.
    """
    overlaps = geometry.iou(first, second)
    gains = np.where(overlaps >= least_iou, overlaps, 0.0)
    if is_kept is not None:
        # More than all the overlaps of a frame can sum up to.
        gains += (min(overlaps.shape) + 1) * ((gains > 0) & is_kept)
    rows, columns = assign(gains)
    return rows, columns, overlaps[rows, columns]


def assign(gains: npt.NDArray[np.floating]) -> tuple[Rows, Rows]:
    """Return the rows (rising) and columns of the one-to-one assignment with the largest sum; a gain of 0 is none."""
    if 0 in gains.shape:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    # Jonker and Volgenant's algorithm, of which only the pairs that gain something are kept.
    _, chosen, _ = lap.lapjv(-np.asarray(gains, np.float64), extend_cost=True)
    rows = np.flatnonzero(chosen >= 0)
    columns = np.asarray(chosen[rows], np.intp)
    is_gain = gains[rows, columns] > 0
    return rows[is_gain], columns[is_gain]


def sides(xyxy: Float32) -> Float32:
    """Return the shorter side of each of (N, 4) boxes, px."""
    return np.asarray((xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf), np.float32)


def count_changes(ids: Sequence[int]) -> int:
    """Count the places where an id is followed by another."""
    return sum(before != after for before, after in pairwise(ids))
