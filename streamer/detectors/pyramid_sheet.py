"""All levels of a picture's pyramid side by side in one sheet, so that P-Net runs a few times, at few shapes.

A library that compiles kernels for shapes loses a quarter of the time when these change from call to call. Of the
sheet only what has any contrast is looked at: no face is seen in a clear sky, a wall, or what is out of focus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock

import cv2
import numpy as np
import numpy.typing as npt

from streamer.detectors.cascade import Proposals
from streamer.detectors.yuv_parts import Planes
from streamer.pictures import UInt8

Sizes = tuple[tuple[int, int], ...]  # height and width of each level, falling
Box = tuple[int, int, int, int]

_STRIDE, _WINDOW = 2, 12  # P-Net's, px of the sheet
_OVERLAP = _WINDOW - _STRIDE  # what a piece needs beyond its cells
# P-Net looks at strips as wide as the sheet, or, where little of a strip has contrast, at square tiles of one size,
# several in one call, of always the same number: each shape that is new costs milliseconds.
_TILE_CELLS, _STRIP_CELLS = 32, 64
_TILES_AT_ONCE = 8
_WHOLE_STRIP = 0.8  # from this share of busy tiles on, the strip takes less time
_GREY = 128
_KEPT_SIZES = 4  # of pictures whose sheets are kept
_BLUR = 0.6  # px of the picture, standard deviation
_AREA_SHRINK = 2  # from here on sampling two pixels would pass over others

# Contrast is the range of luma in 5 × 5 px. A portrait made ever dimmer is lost by the nets before its eyes and mouth
# have no such range left.
_RANGE_SIDE = 5
_LEAST_RANGE = 12
_GRID = 16  # px; contrast is counted in squares of that side
_LEAST_BUSY = 6  # of 255: one pixel in 43


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the levels lie in the sheet.

    Attributes:
        height: Of the sheet, px; a whole number of strips and their overlap.
        width: Of the sheet, px; a whole number of tiles and their overlap.
        boxes: Of each level (left, top, right, bottom) px; left and top even.
        level_of_cell: (rows, columns) int8: which level a cell's window lies in; -1: in none, or in two.
    """

    height: int
    width: int
    boxes: tuple[Box, ...]
    level_of_cell: npt.NDArray[np.int8]


@lru_cache(maxsize=32)
def lay_out(levels: Sizes) -> Layout:
    """Pack levels into shelves of columns, each where it first fits; about a tenth of the sheet stays empty."""
    width = _even_up(levels[0][1])
    shelves: list[_Shelf] = []
    boxes: list[Box] = []
    bottom = 0
    for level_height, level_width in levels:
        size = _even_up(level_width), _even_up(level_height)
        place = next((place for shelf in shelves if (place := shelf.take(*size)) is not None), None)
        if place is None:
            shelves.append(_Shelf(bottom, size[1], width))
            bottom += size[1]
            place = shelves[-1].take(*size)
            assert place is not None
        boxes.append((place[0], place[1], place[0] + level_width, place[1] + level_height))
    rows, columns = _rounded_up(bottom, _STRIP_CELLS), _rounded_up(width, _TILE_CELLS)
    level_of_cell = np.full((rows, columns), -1, np.int8)
    for number, (left, top, right, end) in enumerate(boxes):
        high, wide = max((end - top - _OVERLAP) // _STRIDE, 0), max((right - left - _OVERLAP) // _STRIDE, 0)
        level_of_cell[top // 2 : top // 2 + high, left // 2 : left // 2 + wide] = number
    height, width = (count * _STRIDE + _OVERLAP for count in (rows, columns))
    return Layout(height, width, tuple(boxes), level_of_cell)


def _rounded_up(side: int, multiple: int) -> int:
    """Return a multiple of cells that covers a side of the sheet."""
    cells = max((side - _OVERLAP) // _STRIDE, 1)
    return -(-cells // multiple) * multiple


@dataclass(slots=True)
class _Shelf:
    """A band of the sheet, filled with columns of levels from the left."""

    top: int
    height: int
    width: int
    columns: list[list[int]] = field(default_factory=list)  # left, width and used height of each

    def take(self, width: int, height: int) -> tuple[int, int] | None:
        """Return the left top of a free place, which is then taken; None: there is none."""
        for column in self.columns:
            if width <= column[1] and column[2] + height <= self.height:
                column[2] += height
                return column[0], self.top + column[2] - height
        left = self.columns[-1][0] + self.columns[-1][1] if self.columns else 0
        if left + width > self.width or height > self.height:
            return None
        self.columns.append([left, width, height])
        return left, self.top


class Sheet:
    """One sheet's memory, filled again and again."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._planes = np.full((3, layout.height, layout.width), _GREY, np.uint8)
        self._contrast = np.zeros((layout.height, layout.width), np.uint8)
        self._kernel = np.ones((_RANGE_SIDE, _RANGE_SIDE), np.uint8)
        self._busy: npt.NDArray[np.bool_] = np.zeros((0, 0), np.bool_)  # squares that have contrast

    def fill(self, planes: Planes) -> None:
        """Draw all levels: the first from the picture, each other from the one before it."""
        luma = planes.y[planes.top :, planes.left :]
        if luma.shape[0] > self._layout.boxes[0][3] - self._layout.boxes[0][1]:
            # The bins of the nets' adaptive pooling reach up to a pixel further than their share of the picture:
            # without that blur 1 face of 200 more is passed over.
            luma = np.asarray(cv2.GaussianBlur(luma, (3, 3), _BLUR), np.uint8)
        source: tuple[UInt8, ...] = (luma, planes.u, planes.v)
        for left, top, right, bottom in self._layout.boxes:
            here = (slice(top, bottom), slice(left, right))
            level = tuple(plane[here] for plane in self._planes)
            for old, new in zip(source, level, strict=True):
                is_far = old.shape[0] > _AREA_SHRINK * new.shape[0]
                how = cv2.INTER_AREA if is_far else cv2.INTER_LINEAR
                cv2.resize(old, (right - left, bottom - top), new, interpolation=how)
            ranges = cv2.morphologyEx(level[0], cv2.MORPH_GRADIENT, self._kernel)
            cv2.threshold(ranges, _LEAST_RANGE - 1, 255, cv2.THRESH_BINARY, self._contrast[here])
            source = level
        self._busy = _shrunk(self._contrast) >= _LEAST_BUSY

    def busy_pieces(self) -> Iterator[tuple[list[tuple[int, int]], UInt8]]:
        """Yield what is to be looked at: the row and column of the first cell of n pieces, and their planes.

        The planes are (n, 3, h, w) uint8; there may be more of them than pieces, to be passed over.
        """
        rows, columns = self._layout.level_of_cell.shape
        tiles: list[tuple[int, int]] = []
        for strip in range(0, rows, _STRIP_CELLS):
            busy = self._busy_tiles(range(strip, strip + _STRIP_CELLS, _TILE_CELLS))
            if len(busy) * _TILE_CELLS**2 >= _WHOLE_STRIP * _STRIP_CELLS * columns:
                yield (
                    [(strip, 0)],
                    np.ascontiguousarray(self._planes[None, :, *_pixels(strip, 0, _STRIP_CELLS, columns)]),
                )
            else:
                tiles += busy
        for start in range(0, len(tiles), _TILES_AT_ONCE):
            some = tiles[start : start + _TILES_AT_ONCE]
            pieces = [self._planes[:, *_pixels(*tile, _TILE_CELLS, _TILE_CELLS)] for tile in some]
            yield some, np.stack(pieces + pieces[-1:] * (_TILES_AT_ONCE - len(some)))

    def _busy_tiles(self, rows: Sequence[int]) -> list[tuple[int, int]]:
        """Return the first cells of the tiles in some rows that have contrast."""
        columns = range(0, self._layout.level_of_cell.shape[1], _TILE_CELLS)
        squares = [
            [slice(start * _STRIDE // _GRID, _end_square(start)) for start in starts] for starts in (rows, columns)
        ]
        return [
            (row, column)
            for row, down in zip(rows, squares[0], strict=True)
            for column, across in zip(columns, squares[1], strict=True)
            if self._busy[down, across].any()
        ]

    def by_level(self, found: Proposals) -> list[Proposals]:
        """Return the proposals of each level, their cells counted from its own first."""
        layout = self._layout
        levels = layout.level_of_cell[found.cells[:, 0], found.cells[:, 1]]
        parts = []
        for number, (left, top, _, _) in enumerate(layout.boxes):
            rows = np.flatnonzero(levels == number)
            own = found.cells[rows] - np.array([top // _STRIDE, left // _STRIDE])
            parts.append(Proposals(own, found.scores[rows], found.offsets[rows]))
        return parts


def _shrunk(contrast: UInt8) -> UInt8:
    """Return the means of squares; those that the sheet cuts off at its right and bottom count as whole."""
    height, width = (-(-side // _GRID) * _GRID for side in contrast.shape)
    if contrast.shape != (height, width):
        bottom, right = height - contrast.shape[0], width - contrast.shape[1]
        contrast = np.asarray(cv2.copyMakeBorder(contrast, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.resize(contrast, (width // _GRID, height // _GRID), interpolation=cv2.INTER_AREA), np.uint8)


def _end_square(first_cell: int) -> int:
    """Return the square of contrast past the last that the windows of a tile's cells touch, along one side."""
    return -(-((first_cell + _TILE_CELLS) * _STRIDE + _OVERLAP) // _GRID)


def _pixels(row: int, column: int, rows: int, columns: int) -> tuple[slice, slice]:
    """Return the pixels in the windows of rows × columns of cells."""
    return (
        slice(row * _STRIDE, (row + rows) * _STRIDE + _OVERLAP),
        slice(column * _STRIDE, (column + columns) * _STRIDE + _OVERLAP),
    )


class Sheets:
    """Sheets to fill, kept for pictures of the same size; several threads may take one each."""

    def __init__(self) -> None:
        self._idle: dict[Sizes, list[Sheet]] = {}
        self._lock = Lock()

    @contextmanager
    def lent(self, levels: Sizes) -> Iterator[Sheet]:
        """Lend a sheet for pyramids of these levels, to be filled."""
        with self._lock:
            own = self._idle.get(levels)
            sheet = own.pop() if own else None
        if sheet is None:
            sheet = Sheet(lay_out(levels))
        yield sheet
        with self._lock:
            # Regions come in ever other sizes: only what was asked for last is likely to be asked for again.
            while len(self._idle) >= _KEPT_SIZES and levels not in self._idle:
                self._idle.pop(next(iter(self._idle)))
            self._idle.setdefault(levels, []).append(sheet)


def _even_up(value: int) -> int:
    return value + value % 2
