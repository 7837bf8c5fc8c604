"""What is done to a gallery by hand in a live run, each with its way back; values only, nothing is saved here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamer.errors import printable
from streamer.recognition.calibration import allowance
from streamer.recognition.people import SAME_PICTURE_SIMILARITY, Gallery, Person
from streamer.stages import Matcher
from streamer.types import Float32

ENOUGH_LOOKS = 3
"""With fewer an enrolment is meagre."""
TURN_HEAD = "turn the head a little to either side"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of an enrolment.

    Attributes:
        name: As it is kept.
        looks: So many were added.
        was_known: Somebody of that name was in the gallery; the looks were added to theirs.
        is_kept: It outlives the run.
        notes: What is doubtful, a line each.
    """

    name: str
    looks: int
    was_known: bool
    is_kept: bool
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line."""
        looks = f"{self.looks} look" if self.looks == 1 else f"{self.looks} looks"
        done = f"{looks} more of {self.name}" if self.was_known else f"{self.name} is known now, from {looks}"
        return printable(done if self.is_kept else f"{done}; for this run only")


@dataclass(frozen=True, slots=True)
class Denied:
    """What came of saying that a face is not somebody.

    Attributes:
        name: Whom it is not.
        is_kept: It outlives the run.
        notes: What is doubtful, a line each.
    """

    name: str
    is_kept: bool
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line."""
        done = f"this is not {self.name}: faces more like it than like {self.name} are not named so"
        return printable(done if self.is_kept else f"{done}; for this run only")


@dataclass(slots=True, eq=False)
class Enrolling:
    """Adds a person to a gallery, or their looks to whoever is known by that name.

    Attributes:
        person: With the looks to add.
        before: Who was known by that name; None: nobody. Known once it is done.
        added: So many looks were new.
        rivals: Who would have kept the face from being told from them.
    """

    person: Person
    before: Person | None = field(default=None, init=False)
    added: int = field(default=0, init=False)
    rivals: tuple[str, ...] = field(default=(), init=False)

    @property
    def name(self) -> str:
        """Whose looks they are."""
        return self.person.name

    @property
    def what(self) -> str:
        """What it is, in a few words."""
        return f"the enrolment of {self.name}"

    def __call__(self, current: Gallery) -> Gallery:
        """Return the gallery with them in it."""
        name = self.name
        self.before = current.person(name) if name in current.names else None
        grown = current.with_person(self.person)
        after = grown.person(name)
        self.added = len(after.embeddings) - (len(self.before.embeddings) if self.before is not None else 0)
        return grown.with_replaced(name, after.without_look_alikes(self._contradicting(after)))

    def _contradicting(self, after: Person) -> npt.NDArray[np.bool_]:
        """Say which look-alikes would keep the name from the very face that was just said to have it."""
        mean = self._face
        # With a threshold of a user's own a person's template is allowed nothing.
        own = float(_direction(after.embeddings) @ mean)
        return np.asarray(after.look_alikes @ mean + allowance(1) > own)

    def cleared(self, grown: Gallery, matcher: Matcher) -> Gallery | None:
        """Return a gallery that gives the face the name where the one that came out does not; None: it does.

        That is so where the face was enrolled under another name before. What was said last holds, so it is not that
        other person, as if that had been said, too.

        Args:
            grown: What came out.
            matcher: Over it.
        """
        mean = self.person.embeddings.mean(axis=0)[None]
        if matcher.match(mean)[0].name == self.name:
            return None
        self.rivals = tuple(name for name in self._names_like(matcher) if name != self.name)
        for name in self.rivals:
            rival = grown.person(name)
            grown = grown.with_replaced(name, rival.with_look_alike(self._face, self.person.sources[0]))
        return grown if self.rivals else None

    @property
    def _face(self) -> Float32:
        return _direction(self.person.embeddings)

    def _names_like(self, matcher: Matcher) -> list[str]:
        candidates = matcher.candidates(self.person.embeddings.mean(axis=0)[None])[0]
        return [one.name for one in candidates if one.name is not None]

    def back(self, current: Gallery) -> Gallery:
        """Return the gallery without what was added. Raises GalleryError where nobody has the name any more."""
        for rival in (person for person in current.people if person.name in self.rivals):
            mask = _is_row(rival.look_alikes, self._face)
            current = current.with_replaced(rival.name, rival.without_look_alikes(mask))
        name, before = self.name, self.before
        person = current.person(name)
        is_own = _is_among(person.embeddings, self.person.embeddings)
        if before is not None:
            is_own &= ~_is_among(person.embeddings, before.embeddings)
        left = person.photos_where(~is_own)
        if left is None:
            return current.without_person(name)
        if before is not None:
            for vector, source in zip(before.look_alikes, before.look_alike_sources, strict=True):
                if not _is_row(left.look_alikes, vector).any():
                    left = left.with_look_alike(vector, source)
        return current.with_replaced(name, left)

    def notes(self, matcher: Matcher, other_similarity: float | None) -> Iterator[str]:
        """Yield what is doubtful about it.

        Args:
            matcher: Over the gallery that came out.
            other_similarity: Below this cosine two faces are two people; None: not known of the net.
        """
        name, mean = self.name, self.person.embeddings.mean(axis=0)
        if self.added == 0:
            yield printable(f"{name} was known by these looks already")
        elif len(self.person.embeddings) < ENOUGH_LOOKS:
            yield f"that is few: {TURN_HEAD}, and enrol again"
        others = [one for one in self._names_like(matcher) if one != name]
        if self.rivals:
            rivals = " or ".join(self.rivals)
            yield printable(f"it was known as {rivals}: that it is not {rivals} is noted, too; see people forget")
        if others:
            yield printable(f"the face looks like {' and '.join(others)}, too: one may be taken for the other")
        elif matcher.match(mean[None])[0].name != name:
            yield printable(f"{name} may be missed: the looks are too unlike each other; enrol again")
        if self.before is not None and other_similarity is not None:
            likeness = float(_direction(self.before.embeddings) @ mean)
            if likeness < other_similarity:
                yield printable(f"the face looks unlike {name} as known before; if these are two people, take it back")


@dataclass(slots=True, eq=False)
class Denying:
    """Notes in a gallery that a face is not somebody.

    Attributes:
        name: Whom it is not.
        vector: (D,) float32 unit vector of the face.
        source: Where that is from, for people to read.
        closer: So many of the person's photos are more like it than like the others. Known once it is done.
        photos: Of so many.
    """

    name: str
    vector: Float32
    source: str
    closer: int = field(default=0, init=False)
    photos: int = field(default=0, init=False)

    @property
    def what(self) -> str:
        """What it is, in a few words."""
        return f"that a face is not {self.name}"

    def __call__(self, current: Gallery) -> Gallery:
        """Return the gallery in which it is a look-alike. Raises GalleryError where nobody has the name any more."""
        person = current.person(self.name)
        self.closer, self.photos = person.photos_like(self.vector), len(person.embeddings)
        return current.with_replaced(self.name, person.with_look_alike(self.vector, self.source))

    def cleared(self, grown: Gallery, matcher: Matcher) -> None:
        """Find nothing better: whom the face is like then is left open."""

    def back(self, current: Gallery) -> Gallery:
        """Return the gallery in which it is none. Raises GalleryError as before."""
        person = current.person(self.name)
        return current.with_replaced(self.name, person.without_look_alikes(_is_row(person.look_alikes, self.vector)))

    def notes(self) -> Iterator[str]:
        """Yield what is doubtful about it."""
        if self.closer:
            yield printable(
                f"{self.closer} of the {self.photos} photos of {self.name} are more like this face than like the "
                "others: if it is them after all, or was enrolled under a wrong name, take that back"
            )


def _direction(embeddings: Float32) -> Float32:
    """Return the (D,) unit vector of the mean of (K, D) ones."""
    mean = embeddings.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), np.float32)


def _is_among(vectors: Float32, others: Float32) -> npt.NDArray[np.bool_]:
    return np.asarray((vectors @ others.T).max(axis=1) >= SAME_PICTURE_SIMILARITY)


def _is_row(vectors: Float32, vector: Float32) -> npt.NDArray[np.bool_]:
    return np.asarray((vectors == vector).all(axis=1))
