"""Probabilities over time in bounded memory: bins of equal width, doubled whenever there are too many of them.

A bin holds the time-weighted mean and the highest value of its frames, so that a short moment in a long video is still
seen. Widths are powers of two and all bins start at 0 s, so any two curves can be put together exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.reports.tallies import ABSTAINED
from streamer.types import EMOTIONS

Floats = npt.NDArray[np.floating]

MAX_BINS = 480
_FINEST_SECONDS = 1 / 32
_BUFFERED_ROWS = 256
_N = len(EMOTIONS)
# A row of sums: seconds, probability × seconds of each emotion, seconds of each label.
_SECONDS, _PROBABILITIES, _LABELS = 0, slice(1, 1 + _N), slice(1 + _N, None)
_COLUMNS = 1 + _N + ABSTAINED + 1


@dataclass(frozen=True, slots=True, eq=False)
class CurvePoints:
    """A curve as it can be drawn, K bins that hold something.

    Attributes:
        width_seconds: Of a bin.
        seconds: (K,) middles of the bins.
        means: (K, 7) mean probabilities, in the order of EMOTIONS.
        highest: (K, 7) highest probabilities.
        labels: (K,) the label that stood longest: place in EMOTIONS, or ABSTAINED.
    """

    width_seconds: float
    seconds: Floats
    means: Floats
    highest: Floats
    labels: npt.NDArray[np.intp]


class Curve:
    """The emotions of one person, MAX_BINS bins at most."""

    __slots__ = ("_first", "_highest", "_rows", "_sums", "_width")

    def __init__(self) -> None:
        self._width = _FINEST_SECONDS
        self._first = 0  # number of the first bin, from 0 s
        self._sums = np.zeros((0, _COLUMNS))
        self._highest = np.zeros((0, _N))
        self._rows: list[tuple[float, ...]] = []

    def add(self, pts_seconds: float, step_seconds: float, label: int, probabilities: tuple[float, ...]) -> None:
        """Add one frame; see `Tally.add`. `probabilities`: seven."""
        self._rows.append((pts_seconds, step_seconds, label, *probabilities))
        if len(self._rows) >= _BUFFERED_ROWS:
            self._flush()

    def merge(self, other: Curve) -> None:
        """Add all that another curve holds; the other is left as it is."""
        self._flush()
        other._flush()
        if not len(other._sums):
            return
        while self._width < other._width:
            self._halve()
        middles = (other._first + np.arange(len(other._sums)) + 0.5) * other._width
        places = self._places(middles)
        np.add.at(self._sums, places, other._sums)
        np.maximum.at(self._highest, places, other._highest)

    def points(self) -> CurvePoints:
        """Return what there is, in order of time."""
        self._flush()
        held = np.flatnonzero(self._sums[:, _SECONDS] > 0)
        sums = self._sums[held]
        return CurvePoints(
            self._width,
            (self._first + held + 0.5) * self._width,
            sums[:, _PROBABILITIES] / sums[:, _SECONDS, None],
            self._highest[held],
            np.argmax(sums[:, _LABELS], axis=1),
        )

    def _flush(self) -> None:
        if not self._rows:
            return
        rows = np.array(self._rows)
        self._rows.clear()
        places = self._places(rows[:, 0])
        added = np.zeros((len(rows), _COLUMNS))
        added[:, _SECONDS] = rows[:, 1]
        added[:, _PROBABILITIES] = rows[:, 3:] * rows[:, 1, None]
        added[np.arange(len(rows)), 1 + _N + rows[:, 2].astype(np.intp)] = rows[:, 1]
        np.add.at(self._sums, places, added)
        np.maximum.at(self._highest, places, rows[:, 3:])

    def _places(self, seconds: Floats) -> npt.NDArray[np.intp]:
        """Return the rows of the bins of (M,) times, after making room for them."""
        while True:
            numbers = np.floor(seconds / self._width).astype(np.intp)
            first, last = int(numbers.min()), int(numbers.max())
            if len(self._sums):
                first, last = min(first, self._first), max(last, self._first + len(self._sums) - 1)
            if last - first < MAX_BINS:
                break
            self._halve()
        if len(self._sums) != last - first + 1:
            before = self._first - first if len(self._sums) else 0
            room = ((before, last - first + 1 - before - len(self._sums)), (0, 0))
            self._sums, self._highest = np.pad(self._sums, room), np.pad(self._highest, room)
        self._first = first
        return np.asarray(numbers - first, np.intp)

    def _halve(self) -> None:
        """Put every two bins together."""
        self._width *= 2
        if not len(self._sums):
            return
        numbers = (self._first + np.arange(len(self._sums))) // 2
        self._first = int(numbers[0])
        sums, highest = self._sums, self._highest
        self._sums = np.zeros((int(numbers[-1]) - self._first + 1, _COLUMNS))
        self._highest = np.zeros((len(self._sums), _N))
        np.add.at(self._sums, numbers - self._first, sums)
        np.maximum.at(self._highest, numbers - self._first, highest)
