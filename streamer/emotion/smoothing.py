"""What a face shows over time: probabilities averaged by what each view is worth, and a label that does not flicker.

All goes by stream time, so 10 and 60 frames a second give the same. Views that tell nothing change nothing, but when
none has told anything for long the label is dropped, and the next that does starts the averages afresh.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from streamer.emotion.averaging import Float64, WeightedAverage
from streamer.emotion.legibility import View
from streamer.emotion.policy import EmotionPolicy
from streamer.emotion.resting import RestingFace
from streamer.emotion.steadiness import SteadyLabel
from streamer.types import EMOTIONS, Emotion, Float32

# A face not looked at for so long, and for so many intervals between looks, is begun afresh.
_FORGOTTEN_SECONDS, _FORGOTTEN_LOOKS = 1.5, 3.0
# The long average spans so many looks at least: of few, chance decides.
_STEADY_LOOKS = 4.0
# Views worth less say nothing of a person's look at rest; a frontal face of 32 px is worth .28.
_LEAST_RESTING_QUALITY = 0.25
_WHOLE_VIEW = View()


class EmotionSmoother:
    """Holds one face's emotion.

    Args:
        policy: How it is averaged, and how its label changes.
    """

    def __init__(self, policy: EmotionPolicy) -> None:
        self._policy = policy
        self._average = WeightedAverage(policy.smoothing_seconds)
        steady_seconds = (
            max(policy.steady_seconds, _STEADY_LOOKS * policy.every_seconds) if policy.steady_seconds else 0.0
        )
        self._long_average = WeightedAverage(steady_seconds)
        self._label = SteadyLabel(replace(policy, steady_seconds=steady_seconds))
        self._resting = RestingFace(policy.baseline_seconds) if policy.baseline_seconds is not None else None
        self._forgotten_seconds = max(_FORGOTTEN_SECONDS, _FORGOTTEN_LOOKS * policy.every_seconds)
        self._latest: int | None = None  # the likeliest emotion of the last view that told any
        self._seconds = self._told_seconds = -math.inf
        self.emotion: Emotion | None = None

    @property
    def is_changing(self) -> bool:
        """Say whether the last view showed another emotion than the label, and no other one holds it back."""
        if self._latest is None or self._label.index in (None, self._latest):
            return False
        return not self._label.holds_back(self._latest, self._long_average.mean, self._seconds)

    def update(self, probabilities: Float32, pts_seconds: float, view: View = _WHOLE_VIEW) -> Emotion:
        """Take (7,) probabilities seen at `pts_seconds`; return the emotion as it now stands."""
        seen = np.asarray(probabilities, np.float64)
        if not view.is_legible:
            if self.emotion is None:
                self._begin_averages(seen, view)
            return self.miss(pts_seconds)
        untold, is_back = pts_seconds - self._told_seconds, self._told_seconds < self._seconds
        seen = self._without_rest(seen, untold, view)
        if untold > self._forgotten_seconds:
            self._begin_averages(seen, view)
        else:
            self._average.add(seen, view.quality, untold)
            self._long_average.add(seen, view.quality, untold)
        self._latest = int(seen.argmax())
        if untold == math.inf or pts_seconds - self._seconds > self._forgotten_seconds:
            self._label.begin(self._average.mean, pts_seconds)
        elif not (is_back and self._label.index is None):
            # A dropped label is not taken up at a single view that tells: it would come and go with the views.
            self._label.follow(self._average.mean, self._long_average.mean, pts_seconds)
        self._seconds = self._told_seconds = pts_seconds
        return self._told()

    def miss(self, pts_seconds: float) -> Emotion:
        """Note that the view at `pts_seconds` told nothing; some view must have been assessed before."""
        if pts_seconds - self._told_seconds >= self._policy.hold_seconds:
            self._label.drop(pts_seconds)
        self._seconds, self._latest = pts_seconds, None
        return self._told()

    def inherit(self, older: EmotionSmoother) -> None:
        """Take over what lasts of the same person's earlier track: the look at rest, and what was told a moment ago."""
        self._label.inherit(older._label)
        if self._resting is not None and older._resting is not None:
            self._resting.absorb(older._resting)

    def _begin_averages(self, seen: Float64, view: View) -> None:
        self._average.begin(seen, view.quality)
        self._long_average.begin(seen, view.quality)

    def _without_rest(self, probabilities: Float64, elapsed: float, view: View) -> Float64:
        if self._resting is None:
            return probabilities
        if view.quality >= _LEAST_RESTING_QUALITY and elapsed <= self._forgotten_seconds:
            self._resting.learn(probabilities, elapsed)
        return self._resting.adjusted(probabilities)

    def _told(self) -> Emotion:
        label, mean = self._label.index, self._average.mean
        told = (mean / mean.sum()).astype(np.float32)
        confidence = float(told.max() if label is None else told[label])
        self.emotion = Emotion(told, None if label is None else EMOTIONS[label], confidence)
        return self.emotion
