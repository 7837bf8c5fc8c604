"""From a gallery and a rate of strangers accepted to the similarity that names somebody, and to a probability.

Strangers are drawn from a model of a population (population.py) and shown to the gallery's own templates, so every
gallery has thresholds of its own, which rise as it grows. Asked for 1 % of strangers accepted, really accepted (LFW,
funneled; population fitted on 900 people, galleries and strangers drawn from 341 others, 20 draws each): 1.2 % with 5
people × 8 photos, 1.0 with 5 × 2, 1.0 with 20 × 3, 1.5 with 100 × 1, of photos' vectors; .4 to 1.1 % of single views
without their mirror image, as they come from videos, .5 to .7 % of faces of 28 px, 2.5 % after a blur of 6 px of 150.

That holds for a whole track, too: a mean of views is not made a unit vector again, so its similarity is the views'
average, and of strangers looked at four to six times in different pictures .1 to 1.9 % were ever accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.recognition.population import Population
from streamer.types import Float32

DEFAULT_FALSE_ACCEPT_RATE = 0.01
# For what rates thresholds are worked out; those between are interpolated.
_RATES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
# Strangers shown to a gallery; fewer where so many templates would take seconds.
_MOST_STRANGERS, _FEWEST_STRANGERS = 40_000, 4_000
_MOST_COMPARISONS = 3e8
DRAWN_AT_ONCE = 15_000
# So many of the strangers that are most like somebody tell how the tail goes on, which falls off exponentially.
_TAIL = 150
# The mixture's own tail is too thin: for .1 % asked, .13 to .24 % came, for .3 % .38 to .54 %.
_TRUSTED_RATE, _TAIL_EXPONENT = 0.02, 0.2
# A template of K photos resembles its person, and strangers, less than one of many by this over K.
_FEW_PHOTOS = 0.01325
# Real strangers count for as much as this many say of how a camera's faces differ from the population.
_PRIOR_STRANGERS = 100
_SHIFT_RATES = (0.3, 0.2, 0.1, 0.05)
# log-odds = SLOPE × (similarity above the threshold for 1 % of strangers) + INTERCEPT, fitted on as many known faces as
# strangers over nine kinds of gallery of LFW, population and galleries of different people; calibration error .0013.
_SLOPE, _INTERCEPT = 214.8, 0.88


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What similarity names somebody of one gallery, by the share of strangers that may be accepted.

    Attributes:
        thresholds: (12,) float32 cosines for the rates .5, .2, .1 … .0001, rising; of a template of many photos.
    """

    thresholds: Float32

    def __post_init__(self) -> None:
        if self.thresholds.shape != (len(_RATES),) or not np.isfinite(self.thresholds).all():
            raise ValueError(f"thresholds must be ({len(_RATES)},) finite, not {self.thresholds.shape}")

    def threshold(self, false_accept_rate: float) -> float:
        """Return the cosine from which a template of many photos names its person, for a rate in 0..0.5."""
        logs = np.log(_RATES[::-1])
        rate = float(np.clip(np.log(false_accept_rate), logs[0], logs[-1]))
        return float(np.interp(rate, logs, self.thresholds[::-1]))


def allowances(photo_counts: npt.NDArray[np.intp]) -> Float32:
    """Return by how much lower the thresholds of (P,) templates lie, because they are means of so few photos."""
    return np.asarray(_FEW_PHOTOS / photo_counts, np.float32)


def allowance(photo_count: int) -> float:
    """Return the same for one template."""
    return _FEW_PHOTOS / photo_count


def name_odds(excesses: Float32) -> Float32:
    """Return the odds of each name against "unknown", given how far (P,) similarities exceed the threshold for 1 %."""
    return np.asarray(np.exp(np.clip(_SLOPE * excesses + _INTERCEPT, -60, 60)))


def calibrate(
    templates: Float32,
    photo_counts: npt.NDArray[np.intp],
    population: Population,
) -> Calibration:
    """Show strangers who do not exist to a gallery.

    Args:
        templates: (P, D) float32 unit vectors, one a person, P at least 1.
        photo_counts: (P,) how many photos each is the mean of.
        population: Where strangers are drawn from.

    Returns:
        The thresholds; the same for the same input.
    """
    return calibration_at(_closest(templates, photo_counts, population))


def calibration_at(closest: Float32) -> Calibration:
    """Return the thresholds, given (M,), rising, how much each drawn stranger resembles whom they resemble most."""
    return Calibration(np.array([_quantile(closest, _asked(rate)) for rate in _RATES], np.float32))


def stranger_shift(
    templates: Float32, photo_counts: npt.NDArray[np.intp], population: Population, strangers: Float32
) -> float:
    """Return by how much (M, D) unit vectors of real strangers resemble a gallery more than the population does.

    The fewer there are, the less is believed.
    """
    closest = _closest(templates, photo_counts, population)
    real: Float32 = (strangers @ templates.T + allowances(photo_counts)).max(axis=1)
    shift = float(np.mean([np.quantile(real, 1 - rate) - np.quantile(closest, 1 - rate) for rate in _SHIFT_RATES]))
    return float(shift * len(real) / (len(real) + _PRIOR_STRANGERS))


def shifted(calibration: Calibration, shift: float) -> Calibration:
    """Return the thresholds for a camera whose strangers resemble the gallery by `shift` more."""
    return Calibration(np.asarray(calibration.thresholds + np.float32(shift), np.float32))


def _closest(templates: Float32, photo_counts: npt.NDArray[np.intp], population: Population) -> Float32:
    """Return, rising, how much each of many drawn strangers resembles the person whom they resemble most."""
    allowed = allowances(photo_counts)
    drawn = population.drawn(strangers_for(len(templates)), DRAWN_AT_ONCE)
    return np.sort(
        np.concatenate(
            [
                (part @ templates.T + allowed).max(axis=1)
                for strangers in drawn
                for part in in_parts(strangers, len(templates))
            ]
        )
    )


def strangers_for(people: int) -> int:
    """Return how many strangers are shown to so many templates."""
    return int(np.clip(_MOST_COMPARISONS / people, _FEWEST_STRANGERS, _MOST_STRANGERS))


def in_parts(strangers: Float32, people: int) -> Iterator[Float32]:
    """Yield (M, D) strangers in parts whose similarities to so many templates take 80 MB at most."""
    part = max(500, int(2e7 / people))
    for start in range(0, len(strangers), part):
        yield strangers[start : start + part]


def _asked(rate: float) -> float:
    """Return for what rate the drawn strangers are asked, so that of real ones `rate` are accepted."""
    return float(rate * min(1.0, (rate / _TRUSTED_RATE) ** _TAIL_EXPONENT))


def _quantile(rising: Float32, rate: float) -> float:
    """Return what a share `rate` of the values lies above; beyond the tail's beginning it is drawn out."""
    tail = min(_TAIL, len(rising) // 4)
    if rate * len(rising) >= tail:
        return float(np.quantile(rising, 1 - rate))
    start = float(rising[-tail - 1])
    mean_excess = float((rising[-tail:] - start).mean())
    return start + mean_excess * math.log(tail / len(rising) / rate)


def check_rates(false_accept_rate: float, similarity_threshold: float | None) -> None:
    """Raise ValueError where a rate lies outside 0..0.5 or a threshold outside -1..1."""
    if not 0 < false_accept_rate <= 0.5:
        raise ValueError(f"false_accept_rate must lie above 0 and at most at 0.5, not {false_accept_rate}")
    if similarity_threshold is not None and not -1 <= similarity_threshold <= 1:
        raise ValueError(f"similarity_threshold must lie in -1..1, not {similarity_threshold}")


def check_embeddings(embeddings: Float32, dimension: int | None) -> Float32:
    """Return (N, D) embeddings as float32. Raises ValueError for another shape or values that are not finite."""
    if embeddings.ndim != 2 or (dimension is not None and embeddings.shape[1] != dimension):
        wanted = "D" if dimension is None else dimension
        raise ValueError(f"embeddings must be (N, {wanted}) float32, not {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite")
    return np.asarray(embeddings, np.float32)
