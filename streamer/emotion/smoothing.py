"""What a face shows over time: probabilities averaged in stream time, so that one odd frame changes nothing."""

from __future__ import annotations

import numpy as np

from streamer.types import EMOTIONS, Emotion, Float32


class EmotionSmoother:
    """Holds one track's emotion.

    Args:
        smoothing_seconds: Time constant of the average; 0: no smoothing.
        least_confidence: Below it the label is None (abstained), 0..1.
    """

    def __init__(self, smoothing_seconds: float, least_confidence: float = 0.35) -> None:
        self._smoothing_seconds = smoothing_seconds
        self._least_confidence = least_confidence
        self._mean = np.zeros(len(EMOTIONS))
        self._seconds = 0.0
        self._is_first = True

    def update(self, probabilities: Float32, pts_seconds: float) -> Emotion:
        """Take (7,) probabilities seen at `pts_seconds`; return the emotion as it now stands."""
        elapsed = max(pts_seconds - self._seconds, 0.0)
        if self._is_first or self._smoothing_seconds <= 0:
            weight = 1.0
        else:
            weight = 1 - float(np.exp(-elapsed / self._smoothing_seconds))
        self._mean += weight * (probabilities - self._mean)
        self._seconds, self._is_first = pts_seconds, False
        best = int(np.argmax(self._mean))
        confidence = float(self._mean[best])
        label = EMOTIONS[best] if confidence >= self._least_confidence else None
        return Emotion((self._mean / self._mean.sum()).astype(np.float32), label, confidence)
