"""Turns the moments at which pictures were captured into stream time that only goes forward."""

from __future__ import annotations

from fractions import Fraction

TIME_BASE = Fraction(1, 90_000)
_NS = Fraction(1, 1_000_000_000)


class CaptureClock:
    """Counts from the first picture, in whole ticks of TIME_BASE; a gap in capturing is a gap here."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._ticks = -1

    def pts_seconds(self, captured_ns: int) -> float:
        """Return the stream time of a picture captured at `captured_ns` of the monotonic clock."""
        if self._first_ns is None:
            self._first_ns = captured_ns
        ticks = round((captured_ns - self._first_ns) * _NS / TIME_BASE)
        self._ticks = max(ticks, self._ticks + 1)
        return float(self._ticks * TIME_BASE)
