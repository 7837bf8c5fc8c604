"""Curves and timelines as the insides of SVG pictures, which stretch to any width; no text, which would stretch, too.

Coordinates are whole numbers, and each but the first of a line is told from the one before it: a third of the bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.reports.curves import CurvePoints, Floats
from streamer.reports.tallies import Interval

Whole = npt.NDArray[np.intp]

WIDTH, HEIGHT = 2000, 200  # of a curve's coordinates
BAR_WIDTH, BAR_HEIGHT = 1000, 10  # of a timeline's
# Stretches of a timeline with less than this share of its axis between them are drawn as one.
_SMALLEST_GAP = 1 / 500
_TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST_TICKS = 9
# In how many frames' time, or seconds, a curve is not broken though nothing is known.
_GAP_FRAMES, _GAP_SECONDS = 2.5, 0.25


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time that a chart shows."""

    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """How long it is, never 0."""
        return max(self.end_seconds - self.start_seconds, 1e-3)

    def share(self, seconds: float) -> float:
        """Return where a time is, 0..1."""
        return min(max((seconds - self.start_seconds) / self.seconds, 0.0), 1.0)

    def ticks(self) -> tuple[float, list[float]]:
        """Return the step between round times, and those on the axis, _MOST_TICKS at most."""
        days = 86400.0 * np.ceil(self.seconds / 86400 / (_MOST_TICKS - 1))
        step = next((step for step in _TICK_STEPS if self.seconds / step <= _MOST_TICKS - 1), float(days))
        first, last = int(np.ceil(self.start_seconds / step - 1e-9)), int(np.floor(self.end_seconds / step + 1e-9))
        return step, [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class CurvePaths:
    """One emotion's curve as SVG path data.

    Attributes:
        area: Under the mean.
        mean: A line.
        highest: A line; empty where each bin is one frame, so that it is the mean again.
        peak: A line of no length at the highest point, for a round cap; empty: there is none.
    """

    area: str
    mean: str
    highest: str
    peak: str


def curve_paths(points: CurvePoints, emotion: int, axis: Axis, frame_seconds: float) -> CurvePaths:
    """Return what is to be drawn of an emotion (its place in EMOTIONS)."""
    x = np.rint((points.seconds - axis.start_seconds) / axis.seconds * WIDTH)
    x = np.clip(x, 0, WIDTH).astype(np.intp)
    mean, highest = _y(points.means[:, emotion]), _y(points.highest[:, emotion])
    area, line, upper = [], [], []
    for part in _parts(points, frame_seconds):
        line.append(_line(x[part], mean[part]))
        area.append(f"{_line(x[part], mean[part])}V{HEIGHT}H{x[part][0]}z")
        if points.width_seconds > 2 * frame_seconds:
            upper.append(_line(x[part], highest[part]))
    peak = ""
    if len(x):
        place = int(np.argmax(points.highest[:, emotion]))
        peak = f"M{x[place]} {highest[place]}h0"
    return CurvePaths("".join(area), "".join(line), "".join(upper), peak)


def label_strip(points: CurvePoints, axis: Axis, frame_seconds: float) -> list[tuple[int, float, float]]:
    """Return the labels shown: place in EMOTIONS or ABSTAINED, and from where to where in BAR_WIDTH."""
    strip: list[tuple[int, float, float]] = []
    for part in _parts(points, frame_seconds):
        labels, lefts = points.labels[part], points.seconds[part] - points.width_seconds / 2
        firsts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist()]
        # Up to the next label: bins finer than the frames leave holes between them.
        edges = [*lefts[firsts].tolist(), float(lefts[-1]) + max(points.width_seconds, frame_seconds)]
        places = [axis.share(edge) * BAR_WIDTH for edge in edges]
        strip += zip(labels[firsts].tolist(), places[:-1], places[1:], strict=True)
    return strip


def bars(intervals: Iterable[Interval], axis: Axis) -> Iterator[Interval]:
    """Yield the stretches of time that a timeline draws: those too close to be told apart are one."""
    waiting: Interval | None = None
    for start, end in intervals:
        if waiting is not None and start - waiting[1] < _SMALLEST_GAP * axis.seconds:
            waiting = (waiting[0], end)
            continue
        if waiting is not None:
            yield waiting
        waiting = (start, end)
    if waiting is not None:
        yield waiting


def _y(values: Floats) -> Whole:
    return np.rint((1 - values) * HEIGHT).astype(np.intp)


def _longest_gap(points: CurvePoints, frame_seconds: float) -> float:
    return max(1.5 * points.width_seconds, _GAP_FRAMES * frame_seconds, _GAP_SECONDS)


def _parts(points: CurvePoints, frame_seconds: float) -> list[slice]:
    """Return the stretches of a curve between which nothing is known."""
    if not len(points.seconds):
        return []
    ends = np.flatnonzero(np.diff(points.seconds) > _longest_gap(points, frame_seconds)) + 1
    edges = [0, *ends.tolist(), len(points.seconds)]
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _line(x: Whole, y: Whole) -> str:
    """Return a line through points; one point alone gets a length, or nothing of it would be seen."""
    if len(x) == 1:
        return f"M{x[0]} {y[0]}h2"
    steps = zip(np.diff(x).tolist(), np.diff(y).tolist(), strict=True)
    return f"M{x[0]} {y[0]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps)
