"""The label shown of a face: what is new shows soon, what comes and goes does not.

The label follows the averaged probabilities with a margin, as a Schmitt trigger does. An emotion that was the label a
moment ago, or would have become it, must lead a longer average as well. So A, B, C shows each at once; of A, B, A, B
what fills most of the time stays. The idea is that of route flap damping (RFC 2439): only what flaps is held back.

Compared on single_face_360p looped for 60 s (neutral .6 s and smiling 1.8 s in turn), and on expressions_360p, both at
10, 24 or 30 and 60 fps and re-encoded at crf 36, looks every .2 s; and on made logits (another emotion every 8 s leads
by 2, noise of .7 a logit with a time constant of .2 s; nothing abstains):

| label from                               | looped, changes | sadness, happiness    | made, needless   | made,      |
|                                          | a minute        | shown after, at most  | changes a minute | time wrong |
|------------------------------------------|-----------------|-----------------------|------------------|------------|
| the likeliest of each look               | 49              | at once               | 46               | 9.0 %      |
| average of .5 s, the likeliest (before)  | 49              | .50 s, .38 s          | .7               | 3.4 %      |
| average of logits, .3 s, margin of .5    | 49              | .62 s, .58 s          | .7               | 3.1 %      |
| hidden Markov model, .1 changes a second | 49              | .75 s, .58 s          | .0               | 8.1 %      |
| the same, .02 changes a second           | 1               | .92 s, 1.0 s          | .0               | 12.6 %     |
| cumulative sums (Page, 1954)             | 49              | .53 s, .25 s          | 7.3              | 9 %        |
| the same, and back and forth costs time  | 1               | .42 s, .33 s          | 4.7              | 15 %       |
| average of .25 s with margin, and this   | 1               | .42 s, .13 s          | 2.8              | 3.3 %      |

With looks every 0, .1, .4 and 1 s the looped face changes 1, 1, 3 and 1 times a minute. A label that is back for good
after another one of 2 s shows within 1.5 s.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from streamer.emotion.policy import EmotionPolicy
from streamer.types import EMOTIONS

Float64 = npt.NDArray[np.float64]

# Times as likely as the label another emotion must be to replace it.
_MARGIN = 1.35
# How far an emotion that was dropped a moment ago must exceed the least confidence, as a share of what lies above it.
_MARGIN_OF_NONE = 0.2
# An emotion is told a moment ago for so many `steady_seconds`. At 8 the smile of expressions_360p, which was the label
# for a moment 8 s before, shows .75 s late; below 1.5 the looped one flickers.
_MOMENT = 4.0


class SteadyLabel:
    """The label of one face.

    Args:
        policy: How steady it is, and below what no emotion is told.
    """

    def __init__(self, policy: EmotionPolicy) -> None:
        self._policy = policy
        self._shown: int | None = None
        self._challenger: int | None = None  # leads by the margin, and is held back
        self._told_seconds = np.full(len(EMOTIONS), -math.inf)  # when each was last the label, or held back
        self._likely_seconds = -math.inf

    @property
    def index(self) -> int | None:
        """Which of `EMOTIONS` is shown; None: none."""
        return self._shown

    def begin(self, probabilities: Float64, now: float) -> None:
        """Show at once what (7,) probabilities say: nothing was shown lately."""
        self._change(None, now)
        self._likely_seconds = -math.inf
        self.follow(probabilities, probabilities, now)

    def drop(self, now: float) -> None:
        """Show no emotion from now on."""
        self._change(None, now)

    def follow(self, mean: Float64, long_mean: Float64, now: float) -> None:
        """Change the label where (7,) averaged probabilities say so; `long_mean`: averaged over `steady_seconds`."""
        best = int(mean.argmax())
        is_likely = bool(mean[best] >= self._policy.least_confidence)
        is_ahead = best != self._shown and (self._shown is None or mean[best] >= _MARGIN * mean[self._shown])
        if self._challenger is not None and not (is_likely and is_ahead and best == self._challenger):
            self._told_seconds[self._challenger] = now
            self._challenger = None
        if not is_likely:
            if now - self._likely_seconds >= self._policy.hold_seconds:
                self.drop(now)
            return
        self._likely_seconds = now
        if is_ahead:
            if self.holds_back(best, long_mean, now):
                self._challenger = best
            else:
                self._change(best, now)

    def holds_back(self, emotion: int, long_mean: Float64, now: float) -> bool:
        """Say whether an emotion was told a moment ago, and does not lead in the long run."""
        moment = _MOMENT * self._policy.steady_seconds
        if now - self._told_seconds[emotion] >= moment:
            return False
        if self._shown is None:
            least = self._policy.least_confidence
            return bool(long_mean[emotion] < least + (1 - least) * _MARGIN_OF_NONE)
        return bool(long_mean[emotion] < _MARGIN * long_mean[self._shown])

    def inherit(self, older: SteadyLabel) -> None:
        """Take over what was told of the same face in an earlier track."""
        self._told_seconds = np.maximum(self._told_seconds, older._told_seconds)

    def _change(self, new: int | None, now: float) -> None:
        if self._shown is not None and new != self._shown:
            self._told_seconds[self._shown] = now
        self._shown, self._challenger = new, None
