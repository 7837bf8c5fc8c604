"""The k-nearest-neighbours matcher (k = 5, as this project began): photos vote, and those too far away have no vote."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from streamer.recognition import calibration
from streamer.recognition.people import Gallery
from streamer.types import Float32, Identity

DEFAULT_NEIGHBOURS = 5
_MOST_CANDIDATES = 3

# Each photo more is one more chance for a stranger, though less than another person would be. A person with K photos
# counts as K ** 0.7 people: asked for 1 % strangers accepted, .87 to 1.5 % were, with 1 to 60 people × 1 to 12 photos.
_RIVALS_EXPONENT = 0.7


class KnnMatcher:
    """A `Matcher` over a gallery by the votes of the photos that are nearest and near enough.

    Args:
        gallery: Who may be named.
        k: How many neighbours are asked, at least 1.
        false_accept_rate: Share of strangers that may be given a name; sets the threshold.
        similarity_threshold: The cosine from which a photo may vote; None: by `false_accept_rate`.

    Raises:
        ValueError: k, a rate or a threshold is out of range.
    """

    def __init__(
        self,
        gallery: Gallery,
        k: int = DEFAULT_NEIGHBOURS,
        *,
        false_accept_rate: float = calibration.DEFAULT_FALSE_ACCEPT_RATE,
        similarity_threshold: float | None = None,
    ) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        calibration.check_rates(false_accept_rate, similarity_threshold)
        # By name, so that the gallery's order decides nothing, not even between two people with the same photos.
        people = sorted(gallery.people, key=lambda person: person.name)
        self._names = [person.name for person in people]
        if not people:
            return
        # Imported here because it takes 0.8 s, which runs with the default matcher need not wait for.
        from sklearn.neighbors import NearestNeighbors

        self._photos = np.concatenate([person.embeddings for person in people])
        self._owners = np.repeat(np.arange(len(people)), [len(person.embeddings) for person in people])
        self._neighbours = NearestNeighbors(n_neighbors=min(k, len(self._photos)), algorithm="brute").fit(self._photos)
        if similarity_threshold is not None:
            self._threshold = self._reference = similarity_threshold
            return
        rivals = float(sum(len(person.embeddings) ** _RIVALS_EXPONENT for person in people))
        rate = calibration.DEFAULT_FALSE_ACCEPT_RATE
        single = np.ones(1, np.intp)
        self._threshold = float(calibration.similarity_thresholds(single, rivals, false_accept_rate)[0])
        self._reference = float(calibration.similarity_thresholds(single, rivals, rate)[0])

    def match(self, embeddings: Float32) -> list[Identity]:
        """Name each row by most votes (a tie goes to the nearest photo), or call it unknown where no photo may vote.

        Args:
            embeddings: (N, D) float32 unit vectors, or means of several views' unit vectors, which are shorter.

        Returns:
            N answers; `similarity` is that to the person's nearest photo, `margin` how far the nearest neighbour of
            anybody else stays behind it: at least so much where all neighbours are of one person, and 0 where votes
            outweigh a nearer photo.

        Raises:
            ValueError: The vectors are of another length than the gallery's.
        """
        embeddings = calibration.check_embeddings(embeddings, self._photos.shape[1] if self._names else None)
        if not self._names or not len(embeddings):
            return [Identity(None, -1.0, 1.0, 0.0)] * len(embeddings)
        # For photo vectors of one length the nearest are those of highest cosine, whatever the row's own length.
        neighbours = self._neighbours.kneighbors(embeddings, return_distance=False)
        return [self._identity(row, near) for row, near in zip(embeddings, neighbours, strict=True)]

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        """Return for each row the people whose photos have votes, most votes first, at most 3."""
        embeddings = calibration.check_embeddings(embeddings, self._photos.shape[1] if self._names else None)
        if not self._names or not len(embeddings):
            return [()] * len(embeddings)
        neighbours = self._neighbours.kneighbors(embeddings, return_distance=False)
        return [self._candidates(row, near) for row, near in zip(embeddings, neighbours, strict=True)]

    def _candidates(self, embedding: Float32, near: npt.NDArray[np.intp]) -> tuple[Identity, ...]:
        answers: list[Identity] = []
        while len(near) and len(answers) < _MOST_CANDIDATES:
            answer = self._identity(embedding, near)
            if answer.name is None:
                break
            answers.append(answer)
            near = near[self._owners[near] != self._names.index(answer.name)]
        return tuple(answers)

    def _identity(self, embedding: Float32, near: npt.NDArray[np.intp]) -> Identity:
        # One row at a time, and photos in a fixed order, so that the last bits do not depend on the batch.
        near = np.sort(near)
        similarities = np.clip(self._photos[near] @ embedding, -1, 1)
        owners = self._owners[near]
        best_of = {int(owner): float(similarities[owners == owner].max()) for owner in owners}
        votes = Counter(int(owner) for owner in owners[similarities >= self._threshold])
        winner = max(best_of, key=lambda owner: (votes[owner], best_of[owner], -owner))
        is_named = votes[winner] > 0
        return Identity(
            name=self._names[winner] if is_named else None,
            similarity=best_of[winner],
            probability=calibration.answer_probability(best_of[winner] - self._reference, is_named=is_named),
            margin=self._margin(best_of, winner, float(similarities.min())),
        )

    def _margin(self, best_of: dict[int, float], winner: int, farthest: float) -> float:
        if len(self._names) == 1:
            return 0.0
        others = [similarity for owner, similarity in best_of.items() if owner != winner]
        return max(0.0, best_of[winner] - max(others, default=farthest))
