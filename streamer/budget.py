"""How many looks at faces one source may still have: an allowance that comes in steadily and is hardly saved up."""

from __future__ import annotations

# Embeddings that were not needed are saved up for so long.
_SAVED_SECONDS = 0.5


class Budget:
    """Embeddings that one source may still have: so many come in each second, and few can be saved up."""

    def __init__(self, per_second: float) -> None:
        self._per_second, self._most = per_second, max(1.0, per_second * _SAVED_SECONDS)
        self._left, self._seconds = self._most, 0.0

    def refill(self, now: float, share: float) -> int:
        """Return how many there are at stream time `now`; only a `share` of them has come in since."""
        self._left = min(self._most, self._left + max(0.0, now - self._seconds) * self._per_second * share)
        self._seconds = now
        return int(self._left)

    def spend(self, count: int) -> None:
        """Use `count` of them."""
        self._left -= count
