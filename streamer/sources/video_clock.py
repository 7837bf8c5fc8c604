"""Turns the time stamps that decoders give into a time line that only goes forward.

Everything is counted in ticks of the stream's time base, so a variable frame rate stays exact.
"""

from __future__ import annotations

from fractions import Fraction

# A splice of two recordings moves time stamps by hours; a slide show or a motion-triggered camera by some seconds.
_LONGEST_GAP_SECONDS = 60
_LONGEST_STEP_BACK_SECONDS = 1


class VideoClock:
    """Gives every frame of one stream its time, strictly increasing.

    Args:
        start_ticks: The stream's first time stamp; None: the first one seen.
        frame_ticks: One frame at the declared rate, at least 1 tick.
        time_base: Seconds a tick.
        wanted_ticks: Where reading was asked to start, counted from `start_ticks`: the first frame may lie so far in.
    """

    def __init__(self, start_ticks: int | None, frame_ticks: int, time_base: Fraction, wanted_ticks: int = 0) -> None:
        self._start = start_ticks
        self._frame = frame_ticks
        self._longest_gap = int(_LONGEST_GAP_SECONDS / time_base)
        self._longest_step_back = int(_LONGEST_STEP_BACK_SECONDS / time_base)
        self._latest_first = wanted_ticks + self._longest_gap
        self._previous: int | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0

    def advance(self, pts: int | None, dts: int | None) -> int:
        """Return the time of the next frame in presentation order, ticks from the stream's start, at least 0.

        A frame without time stamps follows the previous one by one declared frame. So does one whose time stamp goes
        back or leaps ahead of all reason; after a leap, later time stamps are counted from there.
        """
        stamp = self._choose(pts, dts)
        if self._previous is None:
            self._previous = self._first(stamp)
            return self._previous
        following = self._previous + self._frame
        if stamp is None or self._start is None:
            self._previous = following
            return following
        now = stamp - self._start
        step = now - self._previous
        if step > self._longest_gap or step < -self._longest_step_back:
            self._start = stamp - following
        self._previous = now if 0 < step <= self._longest_gap else following
        return self._previous

    def _first(self, stamp: int | None) -> int:
        if stamp is None:
            return 0
        if self._start is None or not 0 <= stamp - self._start <= self._latest_first:
            self._start = stamp
        return stamp - self._start

    def _choose(self, pts: int | None, dts: int | None) -> int | None:
        """Pick the stamp that has been in order more often: AVI has no pts, and those made up for it come shuffled."""
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        return pts if self._last_dts is None or self._faulty_pts <= self._faulty_dts else dts
