"""What a person's face shows at rest: some look sad or angry when they feel nothing.

Learnt are, for each emotion, the logits by which the person's usual look exceeds what a calm face shows; they are taken
off every look. Learning goes by clipped steps, which end near the median, so that what fills less than half of the time
changes little, and no faster than `_MOST_BIAS` in `baseline_seconds`: an emotion x logits above neutral keeps its lead
for at least x / _MOST_BIAS of that time however long it lasts, and for ever above `_MOST_BIAS`, 12 times as likely.
"""

from __future__ import annotations

import numpy as np

from streamer.emotion.averaging import Float64
from streamer.types import EMOTIONS

_NEUTRAL = EMOTIONS.index("neutral")
# By so many logits neutral leads every emotion in a calm face: 4.5 times as likely.
_CALM = 1.5
# At most so many logits are taken off.
_MOST_BIAS = 2.5
_LEAST_PROBABILITY = 1e-4
# A look speaks for the time since the one before it, if that is not long ago.
_MOST_SECONDS = 1.0


class RestingFace:
    """The look at rest of one person.

    Args:
        baseline_seconds: Time in which it is learnt, above 0.
    """

    def __init__(self, baseline_seconds: float) -> None:
        self._baseline_seconds = baseline_seconds
        self._bias = np.zeros(len(EMOTIONS))
        self._seconds = 0.0

    def adjusted(self, probabilities: Float64) -> Float64:
        """Return (7,) probabilities with the look at rest taken off."""
        powers = np.maximum(probabilities, _LEAST_PROBABILITY) * np.exp(-self._bias)
        return np.asarray(powers / powers.sum())

    def learn(self, probabilities: Float64, seconds: float) -> None:
        """Take (7,) probabilities, as the net gave them, which stood for `seconds`."""
        seconds = min(seconds, _MOST_SECONDS)
        logs = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
        excess = logs - logs[_NEUTRAL] + _CALM
        step = _MOST_BIAS * seconds / self._baseline_seconds
        self._bias = np.clip(self._bias + step * np.clip(excess - self._bias, -1.0, 1.0), 0.0, _MOST_BIAS)
        self._bias[_NEUTRAL] = 0.0
        self._seconds = min(self._seconds + seconds, self._baseline_seconds)

    def absorb(self, older: RestingFace) -> None:
        """Take over what was learnt of the same person before, by how long each has watched."""
        total = self._seconds + older._seconds
        if total > 0:
            self._bias = (self._bias * self._seconds + older._bias * older._seconds) / total
            self._seconds = min(total, self._baseline_seconds)
