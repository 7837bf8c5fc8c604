"""Evidence over a track: what a view is worth, what all views together say, and each name at most once a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamer.types import Float32, Identity, Track

# The weight of old evidence is limited to so many perfect views, so that a track can still change its mind.
_MOST_EVIDENCE = 6.0
# From this size on a larger face says no more: the embedder's 150 px crop holds about 112 px of face, edge to edge.
_FULL_SIZE_PIXELS = 112.0
_LEAST_QUALITY = 0.05


def view_quality(track: Track) -> float:
    """Return how much a view is worth as evidence, 0.05..1: by its size, its score and how squarely it faces us.

    In a frontal view the nose lies half way between the eyes; in a profile it lies beyond one of them.
    """
    if track.landmarks is None:
        return _LEAST_QUALITY
    left_eye, right_eye, nose = track.landmarks[0], track.landmarks[1], track.landmarks[2]
    between_eyes = right_eye - left_eye
    span = float(np.hypot(*between_eyes))
    if span < 1e-3:
        return _LEAST_QUALITY
    along = float((nose - (left_eye + right_eye) / 2) @ between_eyes) / span**2
    frontality = max(0.0, 1 - 2 * abs(along))
    size = min(1.0, shorter_side(track) / _FULL_SIZE_PIXELS)
    return float(np.clip(size * frontality * track.score, _LEAST_QUALITY, 1.0))


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


def one_name_once(
    identities: Sequence[Identity | None], advantages: Sequence[float] | None = None
) -> list[Identity | None]:
    """Leave each name to the face with the best claim to it; the others of that name become unknown.

    Two faces of a frame cannot be one person, whatever the matcher says of each.

    Args:
        identities: What the matcher says of each face of a frame.
        advantages: Added to each face's similarity before claims are compared; None: nothing.
    """
    claims = [
        (identity.similarity + advantage if identity is not None else 0.0)
        for identity, advantage in zip(identities, advantages or [0.0] * len(identities), strict=True)
    ]
    holders: dict[str, int] = {}
    for index, identity in enumerate(identities):
        if identity is not None and identity.name is not None:
            rival = holders.get(identity.name, index)
            holders[identity.name] = index if claims[index] >= claims[rival] else rival
    return [
        identity
        if identity is None or identity.name is None or holders[identity.name] == index
        else replace(identity, name=None, probability=max(0.5, 1 - identity.probability))
        for index, identity in enumerate(identities)
    ]
