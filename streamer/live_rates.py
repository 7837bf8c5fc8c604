"""How a live run goes just now, over the last seconds, as people watch it; stats.py adds up the whole of a run."""

from __future__ import annotations

import math
import threading
from collections import deque

_WINDOW_SECONDS = 3.0
_LATE_SHARE = 0.95
_MOST_MOMENTS = 1000  # of 3 s: no source gives more


class LiveRates:
    """Moments of the last seconds and what was measured in each; several threads may write and ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: deque[tuple[float, float]] = deque(maxlen=_MOST_MOMENTS)

    def add(self, now_seconds: float, value: float = 0.0) -> None:
        """Note that something happened at a monotonic moment."""
        with self._lock:
            self._moments.append((now_seconds, value))
            self._forget(now_seconds)

    def per_second(self, now_seconds: float) -> float | None:
        """Return how often it happened a second; None: too seldom to say."""
        with self._lock:
            self._forget(now_seconds)
            if len(self._moments) < 2:
                return None
            # What is missing since the last one counts once it is longer than usual: a rate falls when all stops.
            first, last = self._moments[0][0], self._moments[-1][0]
            usual = (last - first) / (len(self._moments) - 1)
            seconds = max(last - first, now_seconds - first - usual)
            return (len(self._moments) - 1) / seconds if seconds > 0 else None

    def late_value(self, now_seconds: float) -> float | None:
        """Return what 95 % of the values do not exceed; None: there are none."""
        with self._lock:
            self._forget(now_seconds)
            values = sorted(value for _, value in self._moments)
        return values[math.ceil(_LATE_SHARE * len(values)) - 1] if values else None

    def _forget(self, now_seconds: float) -> None:
        while self._moments and self._moments[0][0] < now_seconds - _WINDOW_SECONDS:
            self._moments.popleft()
