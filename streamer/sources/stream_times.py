"""The times of a live stream's frames, over all its connections, and which frames are too old to be worth a look."""

from __future__ import annotations

from fractions import Fraction

from streamer.sources.video_clock import VideoClock

# Further than this from the clock on the wall, time stamps have jumped, or drifted for a day.
_MOST_DRIFT_SECONDS = 10.0
# Where frames have waited: older than this, and a newer one is right behind.
_STALE_SECONDS = 0.08
# So far behind, decoding itself is too slow.
_FAR_BEHIND_SECONDS, _CAUGHT_UP_SECONDS = 2.0, 0.5
_WINDOW_SECONDS = 5.0


class LiveTimes:
    """Gives frames their stream times: strictly increasing, and further by the gap after a new connection.

    Args:
        time_base: Seconds a tick; all times are whole ticks.
    """

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._began_at: float | None = None
        self._last_ticks = -1
        self._connect(time_base, time_base)

    def _connect(self, time_base: Fraction, frame_seconds: Fraction) -> None:
        self._connection_base = time_base
        self._clock = VideoClock(None, max(1, round(frame_seconds / time_base)), time_base)
        self._shift_seconds: float | None = None

    def connected(self, time_base: Fraction, fps: float) -> None:
        """Begin a new connection, whose stamps have nothing to do with those before."""
        self._connect(time_base, 1 / Fraction(fps).limit_denominator(1001))

    def place(self, pts: int | None, dts: int | None, arrived_at: float) -> float:
        """Return the time of the next frame, seconds from the first frame of all.

        Args:
            pts: Its presentation stamp, ticks of the connection.
            dts: Its decoding stamp, ticks of the connection.
            arrived_at: Monotonic seconds.
        """
        if self._began_at is None:
            self._began_at = arrived_at
        seconds = float(self._clock.advance(pts, dts) * self._connection_base)
        on_the_wall = arrived_at - self._began_at
        if self._shift_seconds is None or abs(self._shift_seconds + seconds - on_the_wall) > _MOST_DRIFT_SECONDS:
            self._shift_seconds = on_the_wall - seconds
        ticks = round((self._shift_seconds + seconds) / float(self._time_base))
        self._last_ticks = max(ticks, self._last_ticks + 1)
        return float(self._last_ticks * self._time_base)


class Freshness:
    """Tells by how much a frame is late: that is how long it lay in the network's buffers while nobody read.

    What the network itself takes cancels out: a frame is compared with the fastest of the last seconds.
    """

    def __init__(self) -> None:
        self._least = self._least_before = float("inf")
        self._window_ends_at = float("-inf")
        self.lag_seconds = 0.0

    def note(self, pts_seconds: float, arrived_at: float, had_waited: bool) -> None:
        """Take a frame's time, when its packet was read, and whether that was there already."""
        if arrived_at > self._window_ends_at:
            self._window_ends_at = arrived_at + _WINDOW_SECONDS
            self._least_before, self._least = self._least, float("inf")
        self._least = min(self._least, arrived_at - pts_seconds)
        # Nothing newer is there than a frame that had to be waited for, however late it is.
        self.lag_seconds = arrived_at - pts_seconds - min(self._least, self._least_before) if had_waited else 0.0

    @property
    def is_stale(self) -> bool:
        """A newer frame is right behind: the last one noted is not worth a look."""
        return self.lag_seconds > _STALE_SECONDS

    def must_leap(self, is_leaping: bool) -> bool:
        """Tell whether only key frames should be decoded, given whether only those are now."""
        return self.lag_seconds > (_CAUGHT_UP_SECONDS if is_leaping else _FAR_BEHIND_SECONDS)
