"""The default matcher: cosine to the mean of each person's photo vectors, with "unknown" below a calibrated threshold.

Strangers called by a known name are the worst error, so the threshold is the gallery's own (calibration.py): the more
people, the more chances to resemble one; the fewer photos, the less a template resembles anybody. Between two people
who are as like the face as each other no name is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer.recognition import calibration
from streamer.recognition.people import Gallery, Person
from streamer.recognition.thresholds import calibration_of, templates_of
from streamer.types import Float32, Identity

# Of known faces that were named, with the second best person closer behind than this, 11 of 33 were given a wrong name,
# and 22 strangers were; farther behind, 5 of 27,108 (LFW, 180 galleries of 3 to 100 people).
_LEAST_MARGIN = 0.006
_MOST_CANDIDATES = 3


class CosineMatcher:
    """A `Matcher` over a gallery. An answer depends on its own row alone, not on the rows or people beside it.

    Args:
        gallery: Who may be named.
        false_accept_rate: Share of strangers that may be given a name; sets the thresholds.
        similarity_threshold: One cosine from which anybody is named; None: by `false_accept_rate`.

    Raises:
        ValueError: A rate or threshold is out of range.
        GalleryError: Nothing is known of strangers' vectors of the gallery's net, and no threshold is given.
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
        self._templates, photo_counts = templates_of(people)
        self._allowances = calibration.allowances(photo_counts)
        self._look_alikes, self._looked_like = _look_alikes(people)
        if similarity_threshold is not None:
            self._allowances = np.zeros(len(people), np.float32)
            self._threshold = self._reference = similarity_threshold
            return
        calibrated = calibration_of(gallery)
        self._threshold = calibrated.threshold(false_accept_rate)
        self._reference = calibrated.threshold(calibration.DEFAULT_FALSE_ACCEPT_RATE)

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
        rows = self._checked(embeddings)
        return [self._best(row) for row in rows] if self._names else [Identity(None, -1.0, 1.0, 0.0)] * len(rows)

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        """Return who each row could be: all whose own threshold is reached, at most three, best first.

        Where `match` finds two people too like each other to choose, both are here.

        Raises:
            ValueError: The vectors are of another length than the gallery's.
        """
        rows = self._checked(embeddings)
        return [self._named(row) for row in rows] if self._names else [()] * len(rows)

    def _checked(self, embeddings: Float32) -> Float32:
        return calibration.check_embeddings(embeddings, self._templates.shape[1] if self._names else None)

    def _best(self, row: Float32) -> Identity:
        similarities, excesses = self._compared(row)
        best = int(np.argmax(excesses))
        margin = _lead(excesses, best)
        is_clear = len(excesses) == 1 or margin >= _LEAST_MARGIN
        is_named = bool(excesses[best] >= 0) and is_clear
        return self._identity(best, similarities, excesses, margin, is_named=is_named)

    def _named(self, row: Float32) -> tuple[Identity, ...]:
        similarities, excesses = self._compared(row)
        able = np.flatnonzero(excesses >= 0)
        able = able[np.argsort(-excesses[able], kind="stable")][:_MOST_CANDIDATES]
        return tuple(
            self._identity(index, similarities, excesses, _lead(excesses, index), is_named=True)
            for index in able.tolist()
        )

    def _compared(self, row: Float32) -> tuple[Float32, Float32]:
        """Return the (P,) similarities of one (D,) row to all people, and by how much it exceeds their thresholds."""
        # A product of one row at a time: of several at once its last bits depend on how many there are.
        similarities = np.clip(self._templates @ row, -1, 1)
        excesses = similarities + self._allowances - np.float32(self._threshold)
        if len(self._looked_like):
            # Who is more like somebody's look-alike than like them misses by as much, whatever the threshold.
            alike = self._look_alikes @ row + calibration.allowance(1)
            lacks = similarities[self._looked_like] + self._allowances[self._looked_like] - alike
            np.minimum.at(excesses, self._looked_like, np.where(lacks < 0, lacks, np.inf).astype(np.float32))
        return similarities, excesses

    def _identity(
        self, index: int, similarities: Float32, excesses: Float32, margin: float, *, is_named: bool
    ) -> Identity:
        # From thresholds for the usual rate: how sure an answer is does not depend on the rate that was asked for.
        odds = calibration.name_odds(excesses + np.float32(self._threshold - self._reference))
        probability = float(odds[index] / (1 + odds.sum()))
        return Identity(
            name=self._names[index] if is_named else None,
            similarity=float(similarities[index]),
            probability=probability if is_named else max(0.5, 1 - probability),
            margin=margin,
        )


def _look_alikes(people: Sequence[Person]) -> tuple[Float32, npt.NDArray[np.intp]]:
    """Return the (M, D) vectors of those whom people were said not to be, and (M,) of whom that was said."""
    counts = [len(person.look_alikes) for person in people]
    return np.concatenate([person.look_alikes for person in people]), np.repeat(np.arange(len(people)), counts)


def _lead(excesses: Float32, index: int) -> float:
    """Return how far the best of all others stays behind one, negative where it is ahead; 0 where there is no other."""
    others = max(excesses[:index].max(initial=-np.inf), excesses[index + 1 :].max(initial=-np.inf))
    return float(excesses[index] - others) if np.isfinite(others) else 0.0
