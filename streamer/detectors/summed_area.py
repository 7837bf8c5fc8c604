"""Area resampling of pictures and of thousands of crops from summed-area tables (Crow, SIGGRAPH 1984), on the CPU.

The reference cascade resizes by adaptive average pooling: output pixel i is the mean of input pixels
[floor(i·H/h), ceil((i+1)·H/h)), also when a crop is enlarged. Any other resampling moves boxes (IoU with the reference
falls to .94). From a summed-area table each such sum is four look-ups whatever the scale. Dividing by the number of
pixels is left to the nets, whose graphs do it in passing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import Float32

Int32 = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]


class Sums(NamedTuple):
    """Resized pictures before division: pixel (y, x) is `sums · shares`."""

    sums: Int32  # (N, h, w, 3) sums over the pixels of each bin
    shares: Float32  # (N, 1, h, w) one over the bins' numbers of pixels


def _bins(outputs: int, inputs: int) -> tuple[Places, Places]:
    """Return the first and the past-the-last input of each output of an adaptive average pooling, (outputs,)."""
    index = np.arange(outputs)
    return index * inputs // outputs, -(-(index + 1) * inputs // outputs)


def _shares(rows: Places, columns: Places) -> Float32:
    """Return (N, 1, h, w) one over the areas of bins of (N, h) heights and (N, w) widths."""
    high, wide = (1 / sides.astype(np.float32) for sides in (rows, columns))
    return np.asarray(high[:, None, :, None] * wide[:, None, None, :], np.float32)


class SummedAreas:
    """The summed-area tables of some pictures, one behind the other in memory.

    The sums are int32 and may wrap round in pictures over 8.4 Mpx; differences of wrapped sums are still right,
    because no bin's own sum comes near 2³¹.

    Args:
        pictures: (H, W, 3) uint8 BGR each, none empty.

    Attributes:
        sizes: (B, 2) width and height of each.
    """

    def __init__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> None:
        self.sizes = np.array([(p.shape[1], p.shape[0]) for p in pictures], np.int64).reshape(-1, 2)
        self._strides = self.sizes[:, 0] + 1
        ends = np.cumsum(self._strides * (self.sizes[:, 1] + 1))
        self._starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        self._flat = np.empty((int(ends[-1]) if len(pictures) else 0, 3), np.int32)
        for owner, picture in enumerate(pictures):
            cv2.integral(picture, self._table(owner), sdepth=cv2.CV_32S)

    def _table(self, owner: int) -> Int32:
        width, height = (int(side) for side in self.sizes[owner])
        start = int(self._starts[owner])
        return self._flat[start : start + (height + 1) * (width + 1)].reshape(height + 1, width + 1, 3)

    def level(self, owner: int, height: int, width: int, rows: slice) -> Sums:
        """Return a picture resized to height × width, of that the `rows`: N = 1."""
        table = self._table(owner)
        top, bottom = (edge[rows] for edge in _bins(height, table.shape[0] - 1))
        left, right = _bins(width, table.shape[1] - 1)
        lines = np.take(table, bottom, 0)
        lines -= np.take(table, top, 0)
        sums = np.take(lines, right, 1)
        sums -= np.take(lines, left, 1)
        return Sums(sums[None], _shares((bottom - top)[None], (right - left)[None]))

    def crops(self, windows: npt.NDArray[np.int64], owners: Places, side: int) -> Sums:
        """Return the parts inside (N, 4) windows of their owners' pictures, none empty, resized to side × side."""
        step = np.arange(side)
        widths, heights = (windows[:, 2] - windows[:, 0])[:, None], (windows[:, 3] - windows[:, 1])[:, None]
        left, right = step * widths // side, -(-(step + 1) * widths // side)
        top, bottom = step * heights // side, -(-(step + 1) * heights // side)
        rows = (np.concatenate([top, bottom], 1) + windows[:, 1:2]) * self._strides[owners, None]
        columns = np.concatenate([left, right], 1) + windows[:, :1] + self._starts[owners, None]
        # One look-up for all corners, by their places in the flat tables: half the time of indexing twice.
        corners = np.take(self._flat, rows[:, :, None] + columns[:, None, :], axis=0)
        tall = corners[:, side:]
        tall -= corners[:, :side]
        sums = tall[:, :, side:]
        sums -= tall[:, :, :side]
        return Sums(np.ascontiguousarray(sums), _shares(bottom - top, right - left))
