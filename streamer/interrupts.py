"""Waiting that another thread can end at once: between two attempts to open a source again, for instance."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field


class Interrupt:
    """A request to give up, made once, from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Wake whoever waits; from now on nobody waits."""
        self._event.set()

    def is_set(self) -> bool:
        """Say whether it was made."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; return whether the request was made."""
        return self._event.wait(seconds)


@dataclass(slots=True)
class BackOff:
    """How long to wait before the next attempt: twice as long each time, up to a limit.

    Many programs that lost one server together do not come back together: each time is drawn from the upper half of
    what it may be at most.

    Attributes:
        first_seconds: At most, before the first attempt.
        most_seconds: At most, before any.
    """

    first_seconds: float
    most_seconds: float
    _attempts: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.most_seconds:
            raise ValueError(f"back-off must grow from above 0 s, not from {self.first_seconds} to {self.most_seconds}")

    def next_seconds(self) -> float:
        """Return how long to wait now."""
        # The exponent is bounded, or hours of attempts would overflow a float.
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        return longest * self._random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Begin again with the shortest time."""
        self._attempts = 0
