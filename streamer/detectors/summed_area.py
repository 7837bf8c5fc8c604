"""Area resampling of pictures and of thousands of crops from summed-area tables (Crow, SIGGRAPH 1984), on the CPU.

The reference cascade resizes by adaptive average pooling: output pixel i is the mean of input pixels
[floor(i·H/h), ceil((i+1)·H/h)), also when a crop is enlarged. Any other resampling moves boxes (IoU with the reference
falls to .94). From a summed-area table each such sum is four look-ups whatever the scale.

What is resized comes as rows of interleaved pixels, normalised for the nets, in a buffer that is used again: all of it
has been looked at before the next is asked for, and stays in the cache between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import Float32

Int32 = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]
Windows = npt.NDArray[np.int64]

_MEAN, _SCALE = np.float32(127.5), np.float32(128.0)  # pixel p enters the nets as (p - 127.5) / 128
_BLOCK_ROWS = 16  # rows that are resized together: those of a 1080p picture fit a core's second cache
_LONGEST_REMAPPED = 2**15 - 1  # px; OpenCV's remap holds places in 16 bits


class _Bins(NamedTuple):
    """The bins of adaptive average poolings: the first input of each, the one past its last, one over their number."""

    first: Places
    last: Places
    shares: Float32


def _bins(outputs: int, inputs: int | npt.NDArray[np.int64]) -> _Bins:
    """Return the bins that pool one length, or (N, 1) several, to so many outputs: (outputs,) or (N, outputs)."""
    index = np.arange(outputs)
    first, last = index * inputs // outputs, -(-(index + 1) * inputs // outputs)
    return _Bins(first, last, np.asarray(1 / (last - first), np.float32))


class SummedAreas:
    """The summed-area tables of some pictures.

    The sums are int32 and may wrap round in pictures over 8.4 Mpx; differences of wrapped sums are still right,
    because no bin's own sum comes near 2³¹.

    Args:
        pictures: (H, W, 3) uint8 BGR each, none empty.

    Attributes:
        sizes: (B, 2) width and height of each.
    """

    def __init__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> None:
        self.sizes = np.array([(p.shape[1], p.shape[0]) for p in pictures], np.int64).reshape(-1, 2)
        self._tables = [np.asarray(cv2.integral(picture, sdepth=cv2.CV_32S), np.int32) for picture in pictures]

    def level(self, owner: int, height: int, width: int, strips: Iterable[slice]) -> Iterator[Float32]:
        """Resize a picture to height × width; yield its `strips` of rows, each (1, 1, rows, 3 · width) float32."""
        table = self._tables[owner]
        rows, columns = _bins(height, table.shape[0] - 1), _bins(width, table.shape[1] - 1)
        row_shares, column_shares = rows.shares[:, None], np.repeat(columns.shares / _SCALE, 3)
        look_up = _Columns(table.shape[1], columns)
        flat = table.reshape(len(table), -1)
        buffer = np.empty(0, np.float32)
        for strip in strips:
            tops, bottoms = rows.first[strip].tolist(), rows.last[strip].tolist()
            if len(buffer) < len(tops):
                buffer = np.empty((len(tops), 3 * width), np.float32)
            pixels = buffer[: len(tops)]
            for start in range(0, len(tops), _BLOCK_ROWS):
                some = slice(start, start + _BLOCK_ROWS)
                block = pixels[some]
                block[...] = look_up.sums(flat, tops[some], bottoms[some])
                block *= column_shares
                block *= row_shares[strip][some]
                block -= _MEAN / _SCALE
            yield pixels[None, None]

    def crops(self, windows: Windows, owners: Places, side: int, chunk: int) -> Iterator[Float32]:
        """Cut out the parts inside (N, 4) windows of their owners' pictures, none empty, resized to side × side.

        Yields:
            So many at a time as `chunk` says, (n, 1, side, 3 · side) float32.
        """
        columns = _bins(side, (windows[:, 2] - windows[:, 0])[:, None])
        rows = _bins(side, (windows[:, 3] - windows[:, 1])[:, None])
        across = np.concatenate([columns.first, columns.last], 1) + windows[:, :1]
        down = np.concatenate([rows.first, rows.last], 1) + windows[:, 1:2]
        row_shares, column_shares = rows.shares[:, :, None], np.repeat(columns.shares / _SCALE, 3, 1)[:, None]
        most = min(chunk, len(windows))
        corners = np.empty((most, 2 * side, 2 * side, 3), np.int32)
        tall = np.empty((most, side, 2 * side, 3), np.int32)
        buffer = np.empty((most, 1, side, 3 * side), np.float32)
        for start in range(0, len(windows), chunk):
            some = slice(start, min(start + chunk, len(windows)))
            count = some.stop - start
            for owner, run in _runs(owners[some]):
                here = slice(start + run.start, start + run.stop)
                _look_up(self._tables[owner], down[here], across[here], corners[run])
            np.subtract(corners[:count, side:], corners[:count, :side], tall[:count])
            pixels = buffer[:count]
            flat = pixels.reshape(count, side, side, 3)
            flat[...] = tall[:count, :, side:] - tall[:count, :, :side]
            lines = pixels[:, 0]
            lines *= column_shares[some]
            lines *= row_shares[some]
            lines -= _MEAN / _SCALE
            yield pixels


class _Columns:
    """Sums over the bins of a level's columns, for a block of rows at a time."""

    def __init__(self, table_width: int, bins: _Bins) -> None:
        self._bins, self._width = bins, len(bins.first)
        self._lines = np.empty((_BLOCK_ROWS, 3 * table_width), np.int32)
        self._sums, self._before = np.empty((2, _BLOCK_ROWS, self._width, 3), np.int32)
        self._places: npt.NDArray[np.int16] | None = None
        if max(table_width, self._width) <= _LONGEST_REMAPPED:
            self._places = np.empty((2, _BLOCK_ROWS, self._width, 2), np.int16)
            self._places[0, :, :, 0], self._places[1, :, :, 0] = bins.first, bins.last
            self._places[..., 1] = np.arange(_BLOCK_ROWS)[:, None]

    def sums(self, table: Int32, tops: list[int], bottoms: list[int]) -> Int32:
        """Return (n, 3 · width) sums over the bins between n rows of the flattened table and n others."""
        count = len(tops)
        for line, top, bottom in zip(self._lines, tops, bottoms, strict=False):
            np.subtract(table[bottom], table[top], line)
        lines = self._lines[:count].reshape(count, -1, 3)
        sums, before = self._sums[:count], self._before[:count]
        if self._places is None:
            np.take(lines, self._bins.last, 1, sums, "clip")
            np.take(lines, self._bins.first, 1, before, "clip")
        else:
            # Half the time that `take` needs for three numbers at a time.
            cv2.remap(lines, self._places[1, :count], None, cv2.INTER_NEAREST, sums)  # type: ignore[call-overload]
            cv2.remap(lines, self._places[0, :count], None, cv2.INTER_NEAREST, before)  # type: ignore[call-overload]
        np.subtract(sums, before, sums)
        return sums.reshape(count, -1)


def _runs(owners: Places) -> Iterator[tuple[int, slice]]:
    """Yield each owner that has several crops in a row, and which they are."""
    ends = [*(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
    start = 0
    for end in ends:
        yield int(owners[start]), slice(start, end)
        start = end


def _look_up(table: Int32, rows: Places, columns: Places, corners: Int32) -> None:
    """Write the sums at the (N, n) rows and (N, n) columns of N crops to (N, n, n, 3) `corners`."""
    if max(table.shape[:2]) > _LONGEST_REMAPPED:
        corners[...] = table[rows[:, :, None], columns[:, None, :]]
        return
    places = np.empty((*corners.shape[:3], 2), np.int16)
    places[..., 0], places[..., 1] = columns[:, None, :], rows[:, :, None]
    side = corners.shape[2]
    cv2.remap(table, places.reshape(-1, side, 2), None, cv2.INTER_NEAREST, corners.reshape(-1, side, 3))  # type: ignore[call-overload]
