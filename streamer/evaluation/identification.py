"""Who of a gallery is a face, or nobody? The arithmetic over answers: rank-1, and open-set rates after ISO/IEC 19795-1.

TPIR (true-positive identification rate) at an FPIR (false-positive identification rate): of the faces of known people,
those whose best person is the right one and whose score lies above that of all but the given share of strangers. Where
that share is less than one stranger, none may be accepted. The rates at the matcher's own threshold need no sweep: they
are what a user gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.evaluation.shares import Spread
from streamer.evaluation.verification import lowest_threshold

FALSE_ACCEPT_RATES = (0.05, 0.01, 0.001)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a method says of N faces.

    Attributes:
        best: N names: the best person of each, accepted or not.
        scores: (N,) how sure that is; higher is surer, any scale.
        named: N names given; None: called unknown.
    """

    best: tuple[str, ...]
    scores: npt.NDArray[np.float64]
    named: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if not len(self.best) == len(self.scores) == len(self.named):
            raise ValueError("best, scores and named must be of one length")


@dataclass(frozen=True, slots=True)
class DrawFigures:
    """What one gallery came to; all are shares, 0..1.

    Attributes:
        rank1: Of known faces, those whose best person is the right one.
        tpir: Of known faces, those right and accepted; one a rate of `FALSE_ACCEPT_RATES`.
        strangers_named: Of strangers, those who were given a name.
        known_named: Of known faces, those who were given their name.
        known_misnamed: Of known faces, those who were given another name.
    """

    rank1: float
    tpir: tuple[float, ...]
    strangers_named: float
    known_named: float
    known_misnamed: float


@dataclass(frozen=True, slots=True)
class Identification:
    """What galleries drawn at random came to; see `DrawFigures`."""

    rank1: Spread
    tpir: tuple[Spread, ...]
    strangers_named: Spread
    known_named: Spread
    known_misnamed: Spread


def identify(known: Answers, truth: Sequence[str], strangers: Answers) -> DrawFigures:
    """Return the figures of one gallery.

    Args:
        known: The answers to faces of the gallery's people, at least one.
        truth: Who they are.
        strangers: The answers to faces of others, at least one.
    """
    is_right = np.array([best == name for best, name in zip(known.best, truth, strict=True)], bool)
    thresholds = [lowest_threshold(strangers.scores, rate) for rate in FALSE_ACCEPT_RATES]
    named_right = [given == name for given, name in zip(known.named, truth, strict=True)]
    named_wrong = [given not in (None, name) for given, name in zip(known.named, truth, strict=True)]
    return DrawFigures(
        rank1=float(is_right.mean()),
        tpir=tuple(float((is_right & (known.scores >= threshold)).mean()) for threshold in thresholds),
        strangers_named=float(np.mean([name is not None for name in strangers.named])),
        known_named=float(np.mean(named_right)),
        known_misnamed=float(np.mean(named_wrong)),
    )


def summarise(draws: Sequence[DrawFigures]) -> Identification:
    """Return the mean and spread of at least one gallery's figures."""
    return Identification(
        rank1=Spread.of([draw.rank1 for draw in draws]),
        tpir=tuple(Spread.of(values) for values in zip(*(draw.tpir for draw in draws), strict=True)),
        strangers_named=Spread.of([draw.strangers_named for draw in draws]),
        known_named=Spread.of([draw.known_named for draw in draws]),
        known_misnamed=Spread.of([draw.known_misnamed for draw in draws]),
    )
