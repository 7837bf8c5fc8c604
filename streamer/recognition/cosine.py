"""The default matcher: cosine to the mean of each person's photo vectors, with "unknown" below a calibrated threshold.

Strangers called by a known name are the worst error, so the threshold follows the gallery: the more people, the more
chances to resemble one; the fewer photos, the less a template resembles anybody. See calibration.py for the figures.
"""

from __future__ import annotations

import numpy as np

from streamer.recognition import calibration
from streamer.recognition.people import Gallery
from streamer.types import Float32, Identity

_MOST_CANDIDATES = 3


class CosineMatcher:
    """A `Matcher` over a gallery. An answer depends on its own row alone, not on the rows or people beside it.

    Args:
        gallery: Who may be named.
        false_accept_rate: Share of strangers that may be given a name; sets the thresholds.
        similarity_threshold: One cosine from which anybody is named; None: by `false_accept_rate`.

    Raises:
        ValueError: A rate or threshold is out of range.
    """

    def __init__(
        self,
        gallery: Gallery,
        *,
        false_accept_rate: float = calibration.DEFAULT_FALSE_ACCEPT_RATE,
        similarity_threshold: float | None = None,
    ) -> None:
        calibration.check_rates(false_accept_rate, similarity_threshold)
        # By name, so that the gallery's order decides nothing, not even between two people with the same photos.
        people = sorted(gallery.people, key=lambda person: person.name)
        self._names = [person.name for person in people]
        if not people:
            return
        means = np.stack([person.embeddings.mean(axis=0) for person in people])
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        # Photos that cancel out have no common direction: such a template of zeros resembles nobody.
        self._templates = np.asarray(means / np.maximum(lengths, 1e-6), np.float32)
        photo_counts = np.array([len(person.embeddings) for person in people], np.intp)
        if similarity_threshold is not None:
            self._thresholds = self._references = np.full(len(people), similarity_threshold, np.float32)
            return
        rate = calibration.DEFAULT_FALSE_ACCEPT_RATE
        self._thresholds = calibration.similarity_thresholds(photo_counts, len(people), false_accept_rate)
        self._references = calibration.similarity_thresholds(photo_counts, len(people), rate)

    def match(self, embeddings: Float32) -> list[Identity]:
        """Name each row, or call it unknown.

        Args:
            embeddings: (N, D) float32 unit vectors; or means of several views' unit vectors, which are shorter: their
                similarity is the views' average, and their answer surer.

        Returns:
            N answers. The best person is the one whose threshold is exceeded most, or missed least; `margin` is how far
            the second best stays behind, both measured from their own thresholds.

        Raises:
            ValueError: The vectors are of another length than the gallery's.
        """
        embeddings = calibration.check_embeddings(embeddings, self._templates.shape[1] if self._names else None)
        if not self._names:
            return [Identity(None, -1.0, 1.0, 0.0)] * len(embeddings)
        return [self._identity(row) for row in embeddings]

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        """Return for each row the people whose threshold it exceeds, the most exceeded first, at most 3."""
        embeddings = calibration.check_embeddings(embeddings, self._templates.shape[1] if self._names else None)
        if not self._names:
            return [()] * len(embeddings)
        return [self._candidates(row) for row in embeddings]

    def _candidates(self, embedding: Float32) -> tuple[Identity, ...]:
        similarities, excesses = self._compared(embedding)
        best = np.argsort(-excesses, kind="stable")[:_MOST_CANDIDATES]
        return tuple(self._answer(similarities, excesses, int(person)) for person in best if excesses[person] >= 0)

    def _identity(self, embedding: Float32) -> Identity:
        similarities, excesses = self._compared(embedding)
        return self._answer(similarities, excesses, int(np.argmax(excesses)))

    def _compared(self, embedding: Float32) -> tuple[Float32, Float32]:
        """Return the (P,) similarities to all people, and by how much they exceed the thresholds."""
        # A product of one row at a time: of several at once its last bits depend on how many there are.
        similarities = np.asarray(np.clip(self._templates @ embedding, -1, 1), np.float32)
        return similarities, np.asarray(similarities - self._thresholds, np.float32)

    def _answer(self, similarities: Float32, excesses: Float32, best: int) -> Identity:
        margin = float(excesses[best] - np.delete(excesses, best).max()) if len(excesses) > 1 else 0.0
        is_named = bool(excesses[best] >= 0)
        return Identity(
            name=self._names[best] if is_named else None,
            similarity=float(similarities[best]),
            probability=calibration.answer_probability(
                float(similarities[best] - self._references[best]), is_named=is_named
            ),
            margin=margin,
        )
