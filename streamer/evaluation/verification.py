"""Are two faces of one person? The arithmetic over pairs' similarities: accuracy by folds, ROC, equal error rate.

Accuracy follows the protocol of Labeled Faces in the Wild (Huang et al., 2007): ten folds, each judged by the threshold
that is best on the other nine. A pair is judged the same from the threshold on. Rates at a share of false matches are
those of the lowest threshold that lets no more than that share of different pairs pass, without interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.evaluation.shares import Share

FOLDS = 10
FALSE_MATCH_RATES = (0.01, 0.001)

Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Folds = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Verification:
    """How well similarities tell the same person from different people.

    Attributes:
        accuracy: Of all pairs, those judged right by the threshold fitted on the folds they are not in.
        threshold: Fitted on all pairs.
        equal_error_rate: Where as large a share of different pairs passes as of same pairs does not.
        tpr_at_fpr: Of the same pairs, those that pass where at most a given share of different pairs does.
    """

    accuracy: Share
    threshold: float
    equal_error_rate: float
    tpr_at_fpr: tuple[OperatingPoint, ...]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one threshold comes to.

    Attributes:
        rate: Share of different pairs that may pass.
        share: Of the same pairs, those that pass.
        threshold: From which similarity on a pair passes.
    """

    rate: float
    share: Share
    threshold: float


def verify(
    similarities: Scores, is_same: Mask, folds: Folds, rates: Sequence[float] = FALSE_MATCH_RATES
) -> Verification:
    """Return how well (N,) similarities tell pairs `is_same` (N,) from the others.

    Args:
        similarities: Higher for the same person.
        is_same: At least one pair of each kind, in at least two folds.
        folds: (N,) the number of each pair's fold.
        rates: At which shares of different pairs that pass to say how many same ones do.
    """
    right = 0
    for fold in np.unique(folds):
        held_out = folds == fold
        threshold = best_threshold(similarities[~held_out], is_same[~held_out])
        right += int(((similarities[held_out] >= threshold) == is_same[held_out]).sum())
    return Verification(
        accuracy=Share(right, len(similarities)),
        threshold=best_threshold(similarities, is_same),
        equal_error_rate=equal_error_rate(similarities, is_same),
        tpr_at_fpr=tuple(operating_point(similarities, is_same, rate) for rate in rates),
    )


def draw_folds(is_same: Mask, count: int, seed: int) -> Folds:
    """Deal pairs into `count` folds at random, each with its share of same and of different pairs; return (N,)."""
    rng = np.random.default_rng(seed)
    folds = np.empty(len(is_same), np.intp)
    for kind in (True, False):
        rows = rng.permutation(np.flatnonzero(is_same == kind))
        folds[rows] = np.arange(len(rows)) % count
    return folds


def best_threshold(similarities: Scores, is_same: Mask) -> float:
    """Return a threshold that judges about as many pairs right as any, half way between two similarities.

    Of all thresholds whose errors are within one standard error of the fewest (the rule of Breiman et al., CART, 1984)
    the middle one: the very best of a sample is best by chance. On LFW's first 1,800 pairs it
    cost .1 to .3 points of accuracy. It may lie above or below all similarities, where judging all pairs alike is best.
    """
    values, same, different = _counts(similarities, is_same)
    # Errors of a threshold just below values[i]: the same pairs under it, the different ones from it on.
    errors = np.concatenate([[0], np.cumsum(same)]) + different.sum() - np.concatenate([[0], np.cumsum(different)])
    good = np.flatnonzero(errors <= errors.min() + np.sqrt(errors.min()))
    place = int(good[len(good) // 2])
    edges = np.concatenate([[values[0] - 1], values, [values[-1] + 1]])
    return float((edges[place] + edges[place + 1]) / 2)


def equal_error_rate(similarities: Scores, is_same: Mask) -> float:
    """Return where the ROC, its points joined by lines, crosses equal shares of false matches and false non-matches."""
    _, same, different = _counts(similarities, is_same)
    # From the threshold above all down to the one below all.
    false_matches = np.concatenate([[0], np.cumsum(different[::-1])]) / different.sum()
    misses = 1 - np.concatenate([[0], np.cumsum(same[::-1])]) / same.sum()
    after = int(np.argmax(false_matches >= misses))
    gap_before, gap_after = misses[after - 1] - false_matches[after - 1], false_matches[after] - misses[after]
    weight = gap_before / (gap_before + gap_after)
    return float(false_matches[after - 1] + weight * (false_matches[after] - false_matches[after - 1]))


def operating_point(similarities: Scores, is_same: Mask, rate: float) -> OperatingPoint:
    """Return how many same pairs pass the lowest threshold that at most `rate` of the different ones pass."""
    threshold = lowest_threshold(similarities[~is_same], rate)
    same = similarities[is_same]
    return OperatingPoint(rate, Share(int((same >= threshold).sum()), len(same)), threshold)


def lowest_threshold(others: Scores, rate: float) -> float:
    """Return the lowest threshold that at most the share `rate` of (N,) scores of others reaches; -inf: all may pass.

    Where `rate` is less than one of them, none of them passes.
    """
    falling = np.sort(others)[::-1]
    passing = int(np.floor(rate * len(falling) + 1e-9))
    # The next number above the first that may not pass, so that equals of it do not pass either.
    return float(np.nextafter(falling[passing], np.inf)) if passing < len(falling) else -np.inf


def _counts(similarities: Scores, is_same: Mask) -> tuple[Scores, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the U values that occur, rising, and how many same and different pairs have each."""
    values, places = np.unique(similarities, return_inverse=True)
    same = np.bincount(places[is_same], minlength=len(values))
    return values, same, np.bincount(places[~is_same], minlength=len(values))
