"""The k-nearest-neighbours matcher (k = 5, as this project began): photos vote, and those too far away have no vote."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from streamer.recognition import calibration
from streamer.recognition.people import Gallery
from streamer.recognition.thresholds import calibration_for, templates_of
from streamer.types import Float32, Identity

DEFAULT_NEIGHBOURS = 5
_MOST_CANDIDATES = 3
# Beyond so many photos only those of the people whose means are nearest are compared: of 80,000 photos all took 6 ms.
_MOST_PHOTOS, _NEAR_PEOPLE = 20_000, 64


class KnnMatcher:
    """A `Matcher` over a gallery by the votes of the photos that are nearest and near enough.

    The vector of somebody who was said not to be a person votes for nobody.

    Args:
        gallery: Who may be named.
        k: How many neighbours are asked, at least 1.
        false_accept_rate: Share of strangers that may be given a name; sets the threshold.
        similarity_threshold: The cosine from which a photo may vote; None: by `false_accept_rate`.

    Raises:
        ValueError: k, a rate or a threshold is out of range.
        GalleryError: Nothing is known of strangers' vectors of the gallery's net, and no threshold is given.
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
        self._k = k
        if not people:
            return
        every = [person.embeddings for person in people] + [person.look_alikes for person in people]
        self._photos = np.concatenate(every)
        # Whom each photo belongs to; look-alikes of the person i to nobody, who has the number P + i.
        self._owners = np.repeat(np.arange(2 * len(people)), [len(own) for own in every])
        self._index = _Index(self._photos, self._owners, templates_of(people)[0], k)
        if similarity_threshold is not None:
            self._threshold = self._reference = similarity_threshold
            return
        photos = np.concatenate([person.embeddings for person in people])
        calibrated = calibration_for(photos, np.ones(len(photos), np.intp), gallery)
        # A photo alone is a template of one.
        allowed = calibration.allowance(1)
        self._threshold = calibrated.threshold(false_accept_rate) - allowed
        self._reference = calibrated.threshold(calibration.DEFAULT_FALSE_ACCEPT_RATE) - allowed

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
        return [
            ranked[0] if ranked else Identity(None, -1.0, 1.0, 0.0)
            for ranked in self._ranked(self._checked(embeddings))
        ]

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        """Return the people for whom neighbours of each row vote, at most three, most votes first.

        Raises:
            ValueError: The vectors are of another length than the gallery's.
        """
        return [
            tuple(one for one in ranked if one.name is not None)[:_MOST_CANDIDATES]
            for ranked in self._ranked(self._checked(embeddings))
        ]

    def _checked(self, embeddings: Float32) -> Float32:
        return calibration.check_embeddings(embeddings, self._photos.shape[1] if self._names else None)

    def _ranked(self, embeddings: Float32) -> list[list[Identity]]:
        if not self._names:
            return [[] for _ in embeddings]
        neighbours = self._index.nearest(embeddings)
        return [self._identities(row, near) for row, near in zip(embeddings, neighbours, strict=True)]

    def _identities(self, embedding: Float32, near: npt.NDArray[np.intp]) -> list[Identity]:
        """Return what the neighbours of one row say, whoever has most votes first, nobody behind their look-alike."""
        # One row at a time, and photos in a fixed order, so that the last bits do not depend on the batch.
        near = np.sort(near)
        similarities = np.clip(self._photos[near] @ embedding, -1, 1)
        owners = self._owners[near]
        best_of = {int(owner): float(similarities[owners == owner].max()) for owner in owners}
        votes = Counter(int(owner) for owner in owners[similarities >= self._threshold])
        order = sorted(best_of, key=lambda owner: (-votes[owner], -best_of[owner], owner))
        order = [owner for rank, owner in enumerate(order) if owner + len(self._names) not in order[:rank]]
        return [self._identity(owner, best_of, float(similarities.min()), is_named=votes[owner] > 0) for owner in order]

    def _identity(self, owner: int, best_of: dict[int, float], farthest: float, *, is_named: bool) -> Identity:
        is_somebody = owner < len(self._names)
        odds = float(calibration.name_odds(np.asarray([best_of[owner] - self._reference], np.float32))[0])
        probability = odds / (1 + odds) if is_somebody else 0.0
        is_named = is_named and is_somebody
        others = [similarity for other, similarity in best_of.items() if other != owner]
        lead = best_of[owner] - max(others, default=farthest)
        return Identity(
            name=self._names[owner] if is_named else None,
            similarity=best_of[owner],
            probability=probability if is_named else max(0.5, 1 - probability),
            margin=max(0.0, lead) if len(self._names) > 1 or others else 0.0,
        )


class _Index:
    """Finds the nearest photos by scikit-learn; of very many, among those of the people whose means are nearest."""

    def __init__(self, photos: Float32, owners: npt.NDArray[np.intp], templates: Float32, k: int) -> None:
        # Imported here because it takes 0.8 s, which runs with the default matcher need not wait for.
        from sklearn.neighbors import NearestNeighbors

        self._photos, self._k = photos, min(k, len(photos))
        self._of_person: list[npt.NDArray[np.intp]] | None = None
        if len(photos) > _MOST_PHOTOS:
            order = np.argsort(owners % len(templates), kind="stable")
            counts = np.bincount(owners % len(templates), minlength=len(templates))
            self._of_person = np.split(order, np.cumsum(counts)[:-1])
            photos = templates
        near = self._k if self._of_person is None else min(_NEAR_PEOPLE, len(templates))
        self._neighbours = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(photos)

    def nearest(self, embeddings: Float32) -> list[npt.NDArray[np.intp]]:
        """Return the rows of the k nearest photos of each of (N, D) vectors."""
        if not len(embeddings):
            return []
        # For photo vectors of one length the nearest are those of highest cosine, whatever the row's own length.
        found = list(self._neighbours.kneighbors(embeddings, return_distance=False))
        if self._of_person is None:
            return found
        return [self._among(self._of_person, people, row) for people, row in zip(found, embeddings, strict=True)]

    def _among(
        self, of_person: list[npt.NDArray[np.intp]], people: npt.NDArray[np.intp], row: Float32
    ) -> npt.NDArray[np.intp]:
        photos = np.concatenate([of_person[person] for person in np.sort(people)])
        return photos[np.argsort(-(self._photos[photos] @ row), kind="stable")[: self._k]]
