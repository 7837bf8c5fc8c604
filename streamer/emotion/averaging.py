"""An average over stream time in which every view has the weight that it is worth."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


class WeightedAverage:
    """The exponentially fading average of probabilities, weighted by quality.

    A view's weight is relative to the other views': where all are worth little, the average is no slower.

    Args:
        time_constant_seconds: How fast views fade; 0: only the last one counts.
    """

    __slots__ = ("_quality", "_seconds", "mean")

    def __init__(self, time_constant_seconds: float) -> None:
        self._seconds = time_constant_seconds
        self.mean: Float64 = np.zeros(0)
        self._quality = 1.0

    def begin(self, values: Float64, quality: float) -> None:
        """Take the first view: (K,) values, and what it is worth, above 0."""
        self.mean, self._quality = values, quality

    def add(self, values: Float64, quality: float, elapsed: float) -> None:
        """Take the next view, `elapsed` seconds after the one before it."""
        share = -math.expm1(-max(elapsed, 0.0) / self._seconds) if self._seconds > 0 else 1.0
        # The qualities' own average is what the weights so far sum to.
        self._quality += share * (quality - self._quality)
        self.mean = self.mean + share * quality / self._quality * (values - self.mean)
