"""How much a live run is asked to do, and how much of it is done: measured over a second or so, for overload.py.

LoadMeter stands beside the pipeline: it is told of each frame that goes in and each result that comes out.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

_LATE_SHARE = 0.95  # of the results, which are younger than what is told of their age


@dataclass(frozen=True, slots=True)
class Load:
    """What happened since the last measurement.

    Attributes:
        seconds: Time covered.
        captured: Frames that the sources gave, those dropped included.
        processed: Frames whose results came out.
        dropped: Frames passed over because newer ones waited, wherever that was.
        busy: Share of the time in which the pipeline had something to do, 0..1.
        age_seconds: From capture to result, what 95 % of the results do not exceed; None: no result came out.
    """

    seconds: float
    captured: int
    processed: int
    dropped: int
    busy: float
    age_seconds: float | None

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError(f"seconds must be above 0, not {self.seconds}")
        if min(self.captured, self.processed, self.dropped) < 0:
            raise ValueError(f"counts of frames must not be negative: {self}")
        if not 0 <= self.busy <= 1:
            raise ValueError(f"busy must lie in 0..1, not {self.busy}")

    @property
    def dropped_share(self) -> float:
        """Return the share of the captured frames that were dropped, 0..1."""
        return min(1.0, self.dropped / self.captured) if self.captured else 0.0


class LoadMeter:
    """Measures the load; frames may go in and come out in different threads.

    Args:
        clock: Monotonic seconds, the clock of `Frame.captured_at`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._inside = 0
        self._busy_seconds = 0.0
        self._ages: list[float] = []
        self._read_at = self._changed_at = clock()
        self._captured = self._dropped = 0

    def enter(self, count: int) -> None:
        """Note that the pipeline takes `count` frames."""
        with self._lock:
            self._pass_time()
            self._inside += count

    def leave(self, captured_at: float) -> None:
        """Note that the result of a frame is out; `captured_at` is the frame's."""
        with self._lock:
            self._ages.append(max(0.0, self._pass_time() - captured_at))
            self._inside = max(0, self._inside - 1)

    def read(self, captured: int, dropped: int) -> Load | None:
        """Return what happened since the last call; None: no time has passed.

        Args:
            captured: Frames that the sources gave in the whole run so far, those dropped included.
            dropped: Those dropped in the whole run so far.
        """
        with self._lock:
            now = self._pass_time()
            seconds = now - self._read_at
            if seconds <= 0:
                return None
            load = Load(
                seconds,
                max(0, captured - self._captured),
                len(self._ages),
                max(0, dropped - self._dropped),
                min(1.0, self._busy_seconds / seconds),
                _late_age(self._ages),
            )
            self._read_at, self._busy_seconds, self._ages = now, 0.0, []
            self._captured, self._dropped = captured, dropped
            return load

    def _pass_time(self) -> float:
        """Count the time since the last change as busy where a frame was inside; the caller holds the lock."""
        now = self._clock()
        if self._inside:
            self._busy_seconds += max(0.0, now - self._changed_at)
        self._changed_at = now
        return now


def _late_age(ages: list[float]) -> float | None:
    return sorted(ages)[math.ceil(_LATE_SHARE * len(ages)) - 1] if ages else None
