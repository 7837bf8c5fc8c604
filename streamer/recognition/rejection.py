"""From how a matcher scored known faces and strangers it had not seen to "unknown", and to a probability.

Held-out scores come from folds: in each, whole people are left out and play strangers, and of the others some photos
are. The threshold is where as large a share of strangers is named as of known faces is refused, unless a rate is asked
for. The probability is Platt's ("Probabilistic outputs for support vector machines", 1999), as if half of all faces
were strangers. Both can be no better than the scores: see trained.py for how little some methods tell strangers.
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
    """

    threshold: float
    slope: float
    intercept: float
    refused: float
    accepted: float

    def name_probability(self, similarity: float) -> float:
        """Return how probable it is, 0..1, that the best person is the right one."""
        log_odds = float(np.clip(self.slope * similarity + self.intercept, -700, 700))
        return float(1 / (1 + np.exp(-log_odds)))


def fit_rejection(held_out: HeldOut, false_accept_rate: float | None = None) -> Rejection:
    """Choose threshold and probability.

    Args:
        held_out: At least one known face and one stranger.
        false_accept_rate: Share of the held-out strangers that may be named; None: as large a share as that of known
            faces which are refused.
    """
    cuts = np.unique(np.concatenate([held_out.known, held_out.strangers, [-1.0, 1.0]])).astype(np.float64)
    cuts = np.concatenate([cuts[:1], (cuts[1:] + cuts[:-1]) / 2, cuts[-1:]])
    refused = np.searchsorted(np.sort(held_out.known), cuts) / len(held_out.known)
    accepted = 1 - np.searchsorted(np.sort(held_out.strangers), cuts) / len(held_out.strangers)
    if false_accept_rate is None:
        difference = np.abs(refused - accepted)
        alike = np.flatnonzero(difference == difference.min())  # where known faces and strangers lie apart: a gap
        place = int(alike[len(alike) // 2])
    else:
        place = int(np.argmax(accepted <= false_accept_rate))
    slope, intercept = _platt(held_out)
    return Rejection(float(cuts[place]), slope, intercept, float(refused[place]), float(accepted[place]))


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
