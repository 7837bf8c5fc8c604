"""Shares of a whole, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Interval: TypeAlias = tuple[float, float]

_Z_95 = 1.959964  # standard deviations about the mean that hold 95 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """A count of a whole."""

    hits: int = 0
    total: int = 0

    @property
    def value(self) -> float | None:
        """The share, 0..1; None: of nothing."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the share, were each of the whole a trial of its own (Wilson, JASA 22, 1927).

        Unlike the mean plus and minus some standard errors, it stays within 0..1 and has a width at 0 and at 1, too.
        """
        if not self.total:
            return None
        share, weight = self.hits / self.total, _Z_95**2 / self.total
        middle = (share + weight / 2) / (1 + weight)
        half = _Z_95 * math.sqrt(share * (1 - share) / self.total + weight / (4 * self.total)) / (1 + weight)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __add__(self, other: Share) -> Share:
        """Count both together."""
        return Share(self.hits + other.hits, self.total + other.total)


@dataclass(frozen=True, slots=True)
class Spread:
    """What repeated draws came to.

    Attributes:
        mean: Over the draws.
        interval: What 95 % of the draws lie within: their 2.5th and 97.5th percentiles. It tells how much one gallery
            may differ from the mean, and does not shrink with the number of draws.
    """

    mean: float
    interval: Interval

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one draw's value."""
        low, high = np.percentile(values, [2.5, 97.5])
        return cls(float(np.mean(values)), (float(low), float(high)))
