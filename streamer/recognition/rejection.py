"""From how a matcher scored known faces and strangers it had not seen to "unknown", and to a probability.

Held-out scores come from folds: in each, whole people are left out and play strangers, and of the others some photos
are. The probability is Platt's ("Probabilistic outputs for support vector machines", 1999), as if half of all faces
were strangers. A face is named where the name is more probable than not, unless a rate is asked for. Both can be no
better than the scores: see trained.py for how little some methods tell strangers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.types import Float32

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Scores of faces that the matcher had not seen.

    Attributes:
        known: (N,) float32 similarity of the best person for faces of known people.
        is_right: (N,) bool, the best person was the right one.
        strangers: (M,) float32 similarity of the best person for strangers.
    """

    known: Float32
    is_right: Bools
    strangers: Float32


@dataclass(frozen=True, slots=True)
class Rejection:
    """From which similarity a face is named, and how probable the name is.

    Attributes:
        threshold: Similarity, -1..1.
        slope: Of the log-odds of the name over the similarity, at least 0.
        intercept: Of the same.
        refused: Share of the held-out known faces that the threshold refuses.
        accepted: Share of the held-out strangers that it lets be named.
        right: Share of the held-out known faces whose best person is the right one, whatever the threshold.
    """

    threshold: float
    slope: float
    intercept: float
    refused: float
    accepted: float
    right: float

    def name_probability(self, similarity: float) -> float:
        """Return how probable it is, 0..1, that the best person is the right one."""
        log_odds = float(np.clip(self.slope * similarity + self.intercept, -700, 700))
        return float(1 / (1 + np.exp(-log_odds)))


def fit_rejection(held_out: HeldOut, false_accept_rate: float | None = None) -> Rejection:
    """Choose threshold and probability.

    Args:
        held_out: At least one known face and one stranger.
        false_accept_rate: Share of the held-out strangers that may be named; None: faces are named whose name is more
            probable than not.
    """
    slope, intercept = _platt(held_out)
    if false_accept_rate is not None:
        threshold = _strict_threshold(held_out.strangers, false_accept_rate)
    elif slope > 0:
        threshold = float(np.clip(-intercept / slope, -1, 1))
    else:  # the similarity tells nothing, so it names nobody
        threshold = 1.0
    return Rejection(
        threshold=threshold,
        slope=slope,
        intercept=intercept,
        refused=float((held_out.known < threshold).mean()),
        accepted=float((held_out.strangers >= threshold).mean()),
        right=float(held_out.is_right.mean()),
    )


def _strict_threshold(strangers: Float32, false_accept_rate: float) -> float:
    """Return the lowest similarity that at most such a share of strangers reaches."""
    falling = np.sort(strangers)[::-1]
    allowed = int(false_accept_rate * len(falling))
    return float(np.nextafter(falling[allowed], np.float32(2))) if allowed < len(falling) else -1.0


def _platt(held_out: HeldOut) -> tuple[float, float]:
    """Return slope and intercept of the log-odds that a name is right."""
    from sklearn.linear_model import LogisticRegression

    scores = np.concatenate([held_out.known, held_out.strangers]).astype(np.float64)
    is_right = np.concatenate([held_out.is_right, np.zeros(len(held_out.strangers), bool)])
    weights = np.repeat(
        [0.5 / len(held_out.known), 0.5 / len(held_out.strangers)], [len(held_out.known), len(held_out.strangers)]
    )
    # Platt's targets, a little off 0 and 1, so that scores which lie apart do not claim to be certain.
    right, wrong = int(is_right.sum()), int((~is_right).sum())
    targets = np.where(is_right, (right + 1) / (right + 2), 1 / (wrong + 2))
    centre, spread = float(scores.mean()), max(float(scores.std()), 1e-6)
    fit = LogisticRegression(C=1e4).fit(
        np.tile((scores - centre) / spread, 2)[:, None],
        np.repeat([True, False], len(scores)),
        sample_weight=np.concatenate([weights * targets, weights * (1 - targets)]) * len(scores),
    )
    slope = max(float(fit.coef_[0, 0]), 0.0) / spread
    return slope, float(fit.intercept_[0]) - slope * centre
