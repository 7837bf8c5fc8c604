"""Evidence over a track: what a view is worth, what all views together say, and each name at most once a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lap
import numpy as np

from streamer import geometry
from streamer.pictures import Picture
from streamer.types import Float32, Identity, Track

# The weight of old evidence is limited to so many perfect views, so that a track can still change its mind.
_MOST_EVIDENCE = 6.0
# From this size on a larger face says no more: the embedder's 150 px crop holds about 112 px of face, edge to edge.
_FULL_SIZE_PIXELS = 112.0
_LEAST_QUALITY = 0.05
# A face reaches beyond its landmarks' box by about so much of it.
_EDGE_MARGIN = 0.4
# Log-odds by which a rival must be better to take a name over: views of one person differ by about .02 in similarity,
# which the default matcher takes for so much.
_HOLDER_ADVANTAGE = 2.8
# Who is seen goes before who is only predicted, whatever the odds.
_UNSEEN_WEIGHT = 1e-3
_LEAST_PROBABILITY = 0.51  # an answer that was given is likelier than not


def view_quality(track: Track) -> float:
    """Return how much a view is worth as evidence, 0.05..1: by its size, its score and how squarely it faces us."""
    if track.landmarks is None:
        return _LEAST_QUALITY
    frontality = max(0.0, 1 - 2 * geometry.nose_offset(track.landmarks))
    size = min(1.0, shorter_side(track) / _FULL_SIZE_PIXELS)
    return float(np.clip(size * frontality * track.score, _LEAST_QUALITY, 1.0))


def is_whole(picture: Picture, landmarks: Float32) -> bool:
    """Say whether the picture's edge leaves a face with these (5, 2) landmarks whole."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    margin = (high - low) * _EDGE_MARGIN
    return bool((low >= margin).all() and (high + margin <= (picture.width, picture.height)).all())


def shorter_side(track: Track) -> float:
    """Return the shorter side of a track's box, px."""
    left, top, right, bottom = (float(edge) for edge in track.xyxy)
    return min(right - left, bottom - top)


class TrackEvidence:
    """The quality-weighted sum of one track's embeddings; old views fade once there are many."""

    __slots__ = ("_sum", "_weight", "best_quality", "samples")

    def __init__(self) -> None:
        self._sum: Float32 | None = None
        self._weight = 0.0
        self.samples = 0
        self.best_quality = 0.0

    def add(self, vector: Float32, quality: float) -> None:
        """Take the (D,) unit vector of a view and what the view is worth."""
        fading = min(1.0, _MOST_EVIDENCE / (self._weight + quality))
        before = self._sum if self._sum is not None else np.zeros_like(vector)
        self._sum = np.asarray(fading * (before + quality * vector), np.float32)
        self._weight = fading * (self._weight + quality)
        self.samples += 1
        self.best_quality = max(self.best_quality, quality)

    def mean(self) -> Float32:
        """Return the (D,) float32 weighted mean of all views, of length 1 at most.

        It is not made a unit vector again: its similarity to a template is then the mean of the views' similarities,
        for which thresholds are calibrated. Drawn out to length 1, a mean of views resembles everybody more than any
        view does, strangers too.
        """
        if self._sum is None:
            raise ValueError("no view has been added")
        return np.asarray(self._sum / self._weight, np.float32)

    def absorb(self, other: TrackEvidence) -> None:
        """Take all views of another one's as if they had been added here."""
        if other._sum is None:
            return
        weight = self._weight + other._weight
        fading = min(1.0, _MOST_EVIDENCE / weight)
        before = self._sum if self._sum is not None else np.zeros_like(other._sum)
        self._sum = np.asarray(fading * (before + other._sum), np.float32)
        self._weight = fading * weight
        self.samples += other.samples
        self.best_quality = max(self.best_quality, other.best_quality)


@dataclass(frozen=True, slots=True)
class Claim:
    """The names that one face of a frame could have.

    Attributes:
        answers: Named ones, the one it has come to first.
        is_seen: It is in the picture, not only predicted to be there.
        held: The name that it was given in the frame before.
    """

    answers: Sequence[Identity]
    is_seen: bool = True
    held: str | None = None

    def strength(self, answer: Identity) -> float:
        """Return how good a claim one of the answers is, above 0: in the main the logarithm of its odds."""
        odds = np.clip(answer.probability, _LEAST_PROBABILITY, 1 - 1e-4)
        value = float(np.log(odds / (1 - odds))) + (answer.similarity + 1) / 2
        value += _HOLDER_ADVANTAGE if answer.name == self.held else 0.0
        return value if self.is_seen else value * _UNSEEN_WEIGHT


def each_name_once(claims: Sequence[Claim]) -> list[Identity | None]:
    """Give every face of a frame a name of its own, so that the claims are as strong in total as they can be.

    Two faces of a frame cannot be one person, whatever the matcher says of each.

    Args:
        claims: Those of the faces.

    Returns:
        The answer for each face; None: all its names went to others.
    """
    names = sorted({answer.name for claim in claims for answer in claim.answers if answer.name is not None})
    strengths = np.full((len(claims), len(names)), -1.0)
    chosen: dict[tuple[int, int], Identity] = {}
    for row, claim in enumerate(claims):
        for answer in claim.answers:
            if answer.name is not None and (row, column := names.index(answer.name)) not in chosen:
                strengths[row, column], chosen[row, column] = claim.strength(answer), answer
    if not names:
        return [None] * len(claims)
    # Jonker and Volgenant's algorithm; a claim of no strength is dearer than leaving face and name alone.
    ceiling = float(strengths.max())
    _, columns, _ = lap.lapjv(ceiling - strengths, extend_cost=True, cost_limit=ceiling)
    return [chosen.get((row, int(column))) for row, column in enumerate(columns)]
