"""Who could be meant: ranks people for each vector, by the nearest photos' votes or by a net's last layer, and names.

What is ranked is all the same to `RejectingMatcher`, which says "unknown" below a threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamer.recognition.calibration import check_embeddings
from streamer.recognition.rejection import Rejection
from streamer.types import Float32, Identity

NEIGHBOURS = 5  # k, as this project began
_MOST_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Rival:
    """A person who could be meant: their number, and a similarity in -1..1."""

    person: int
    similarity: float


class Ranking(Protocol):
    """Ranks people. Implementations: NeighbourRanking, HeadRanking."""

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        ...

    def ranked(self, embeddings: Float32) -> list[list[Rival]]:
        """Return, for each row of (N, D) float32, people, the best first, at least one; no row depends on others."""
        ...


class NeighbourRanking:
    """Ranks by the votes of the nearest photos (Cover and Hart, 1967), a tie by the nearest one.

    Args:
        photos: (N, D) float32 unit vectors.
        owners: (N,) whose each is.
        k: How many photos vote; never more than somebody has, or others would outvote whoever has fewer.
    """

    def __init__(self, photos: Float32, owners: npt.NDArray[np.intp], k: int = NEIGHBOURS) -> None:
        # Imported here because it takes 0.8 s, which runs with the default matcher need not wait for.
        from sklearn.neighbors import NearestNeighbors

        self._photos, self._owners = photos, owners
        fewest = int(np.bincount(owners).min())
        self._neighbours = NearestNeighbors(n_neighbors=min(k, fewest), algorithm="brute").fit(photos)

    @property
    def dimension(self) -> int:
        """D."""
        return int(self._photos.shape[1])

    def ranked(self, embeddings: Float32) -> list[list[Rival]]:
        """Return the people among each row's neighbours; a similarity is the cosine to the person's nearest photo."""
        if not len(embeddings):
            return []
        # Photo vectors have one length, so the nearest are those of highest cosine, whatever the row's own length.
        neighbours = self._neighbours.kneighbors(embeddings, return_distance=False)
        return [self._voted(row, np.sort(near)) for row, near in zip(embeddings, neighbours, strict=True)]

    def _voted(self, row: Float32, near: npt.NDArray[np.intp]) -> list[Rival]:
        # One row at a time, so that the last bits do not depend on the batch.
        similarities = np.clip(self._photos[near] @ row, -1, 1)
        owners = self._owners[near].tolist()
        votes = Counter(owners)
        best = {
            owner: max(s for s, o in zip(similarities.tolist(), owners, strict=True) if o == owner) for owner in votes
        }
        order = sorted(votes, key=lambda owner: (-votes[owner], -best[owner], owner))
        return [Rival(owner, best[owner]) for owner in order]


class HeadRanking:
    """Ranks by a net's last layer.

    Args:
        weight: (P, D) float32, a unit vector a person.
    """

    def __init__(self, weight: Float32) -> None:
        self._weight = weight

    @property
    def dimension(self) -> int:
        """D."""
        return int(self._weight.shape[1])

    def ranked(self, embeddings: Float32) -> list[list[Rival]]:
        """Return the likeliest people of each row; a similarity is the cosine to the person's weights."""
        return [self._likeliest(np.clip(self._weight @ row, -1, 1)) for row in embeddings]

    @staticmethod
    def _likeliest(similarities: Float32) -> list[Rival]:
        order = np.argsort(-similarities, kind="stable")[:_MOST_CANDIDATES]
        return [Rival(int(person), float(similarities[person])) for person in order]


class RejectingMatcher:
    """A `Matcher` that takes the best of a ranking, or says "unknown" where even that is not similar enough.

    Args:
        names: Of the people, by number.
        ranking: Who could be meant.
        rejection: From where on a face is named.
        threshold: Another similarity for that; None: the rejection's own.
    """

    def __init__(
        self, names: Sequence[str], ranking: Ranking, rejection: Rejection, threshold: float | None = None
    ) -> None:
        self._names, self._ranking, self._rejection = tuple(names), ranking, rejection
        self._threshold = rejection.threshold if threshold is None else threshold

    def match(self, embeddings: Float32) -> list[Identity]:
        """Return one answer a row of (N, D) float32 unit vectors, or means of such. Raises ValueError for others."""
        return [self._identity(rivals) for rivals in self._ranked(embeddings)]

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        """Return for each row the names it could be given, at most three, the best first; empty: unknown.

        Raises:
            ValueError: The embeddings are of another shape, or not finite.
        """
        return [self._possible(rivals) for rivals in self._ranked(embeddings)]

    def _ranked(self, embeddings: Float32) -> list[list[Rival]]:
        return self._ranking.ranked(check_embeddings(embeddings, self._ranking.dimension))

    def _identity(self, rivals: list[Rival]) -> Identity:
        best = rivals[0]
        is_named = best.similarity >= self._threshold
        probability = self._rejection.name_probability(best.similarity)
        return Identity(
            name=self._names[best.person] if is_named else None,
            similarity=best.similarity,
            # Of "unknown" never below one half, or it would not be the answer.
            probability=probability if is_named else max(0.5, 1 - probability),
            margin=max(0.0, best.similarity - rivals[1].similarity) if len(rivals) > 1 else 0.0,
        )

    def _possible(self, rivals: list[Rival]) -> tuple[Identity, ...]:
        if rivals[0].similarity < self._threshold:
            return ()
        near = [place for place, rival in enumerate(rivals) if rival.similarity >= self._threshold]
        return tuple(self._identity(rivals[place:]) for place in near[:_MOST_CANDIDATES])
