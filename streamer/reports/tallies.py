"""Sums of time: when somebody was in view, and how long each emotion was shown; a frame counts as long as it stands."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from streamer.types import EMOTIONS

# What a face that was assessed shows: one of EMOTIONS, or nothing that can be said.
ABSTAINED = len(EMOTIONS)
LABEL_OF: dict[str | None, int] = {**{name: place for place, name in enumerate(EMOTIONS)}, None: ABSTAINED}

Interval = tuple[float, float]  # start and end, seconds

# Times are recorded to the microsecond.
_TOUCHING_SECONDS = 2e-6


class Intervals:
    """Stretches of time in order, each (start, end) in seconds; those that touch are one."""

    __slots__ = ("_edges",)

    def __init__(self) -> None:
        self._edges = array("d")

    def __iter__(self) -> Iterator[Interval]:
        return zip(self._edges[::2], self._edges[1::2], strict=True)

    def __len__(self) -> int:
        return len(self._edges) // 2

    @property
    def seconds(self) -> float:
        """How long they are together."""
        return sum(end - start for start, end in self)

    def add(self, start: float, end: float) -> None:
        """Add a stretch that starts no earlier than any before."""
        if self._edges and start <= self._edges[-1] + _TOUCHING_SECONDS:
            self._edges[-1] = max(self._edges[-1], end)
        else:
            self._edges.extend((start, end))


def union(every: Iterable[Intervals]) -> Intervals:
    """Return the time that is in any of them."""
    merged = Intervals()
    for start, end in sorted(interval for one in every for interval in one):
        merged.add(start, end)
    return merged


class Tally:
    """What one face, or several that are one person, come to."""

    __slots__ = ("frames", "intervals", "label_seconds")

    def __init__(self) -> None:
        self.frames = 0
        self.intervals = Intervals()
        self.label_seconds = [0.0] * (ABSTAINED + 1)  # by place in EMOTIONS, and ABSTAINED

    def add(self, pts_seconds: float, step_seconds: float, label: int | None) -> None:
        """Count one frame.

        Args:
            pts_seconds: When it is shown.
            step_seconds: How long.
            label: Place in EMOTIONS, or ABSTAINED; None: the face was not assessed.
        """
        self.frames += 1
        self.intervals.add(pts_seconds, pts_seconds + step_seconds)
        if label is not None:
            self.label_seconds[label] += step_seconds

    @property
    def seconds(self) -> float:
        """How long they are in view."""
        return self.intervals.seconds

    @property
    def assessed_seconds(self) -> float:
        """For how long of that their emotion was looked at."""
        return sum(self.label_seconds)

    def shares(self) -> list[float] | None:
        """Return each emotion's share of the assessed time, and at ABSTAINED that of nothing said; None: no time."""
        whole = self.assessed_seconds
        return [seconds / whole for seconds in self.label_seconds] if whole > 0 else None

    @property
    def span(self) -> Interval:
        """When they are seen first and last, in seconds."""
        edges = list(self.intervals)
        return (edges[0][0], edges[-1][1]) if edges else (0.0, 0.0)


def merged(tallies: Iterable[Tally]) -> Tally:
    """Return the sum: time in which two of them are in view counts once."""
    every = list(tallies)
    total = Tally()
    total.frames = sum(one.frames for one in every)
    total.intervals = union(one.intervals for one in every)
    total.label_seconds = [sum(column) for column in zip(*(one.label_seconds for one in every), strict=True)]
    return total
