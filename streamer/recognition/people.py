"""Who is known: people, their photos' vectors, and the net that made them. Values only; gallery.py stores them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from streamer.errors import GalleryError, printable
from streamer.recognition.calibration import Calibration
from streamer.recognition.population import Population
from streamer.types import Float32

MAX_NAME_CHARACTERS = 200
# Two vectors of one person more alike than this come from one picture; different pictures of LFW stay below .998.
SAME_PICTURE_SIMILARITY = 0.9999
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Control characters, lone surrogates (bytes of a file name that are no text) and line ends have no place in one line.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def clean_name(text: str) -> str:
    """Return a person's name as it is kept: Unicode NFC, without space around it.

    Names are data, never paths, so "../x" is one. Names that differ in case only are different people, because no
    folding of case is right in every language.

    Raises:
        GalleryError: It is empty, longer than 200 characters, or holds control characters or line ends.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise GalleryError("a person's name is empty; give at least one letter")
    if len(name) > MAX_NAME_CHARACTERS:
        raise GalleryError(
            f"the name that starts {printable(name[:20])!r} has {len(name)} characters; "
            f"give at most {MAX_NAME_CHARACTERS}"
        )
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in name):
        raise GalleryError(f"the name {printable(name)!r} holds control characters or line ends; remove them")
    return name


@dataclass(frozen=True, slots=True)
class EmbedderId:
    """Which net made a gallery's vectors; those of another net cannot be compared with them.

    Attributes:
        name: What the weights are called.
        sha256: Of the weights file, lower-case hexadecimal.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.name or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"an embedder needs a name and a sha256, not {self.name!r} and {self.sha256!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One known person.

    Attributes:
        name: As `clean_name` returns it.
        embeddings: (K, D) float32 unit vectors, one a photo, K at least 1; kept read-only.
        sources: K labels for people to read, such as the photos' file names.
        thumbnails: K small JPEG pictures of the faces; b"" where there is none.
        digests: K sha256 of the photos' files, lower-case hexadecimal; "" where it is not known.
        look_alikes: (M, D) float32 unit vectors of others who were said not to be this person.
        look_alike_sources: M labels of those.
    """

    name: str
    embeddings: Float32
    sources: tuple[str, ...]
    thumbnails: tuple[bytes, ...] = ()
    digests: tuple[str, ...] = ()
    look_alikes: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    look_alike_sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if clean_name(self.name) != self.name:
            raise ValueError(f"the name {self.name!r} is not as clean_name returns it")
        object.__setattr__(self, "embeddings", _unit_vectors("embeddings", self.embeddings, None))
        count = len(self.embeddings)
        if not count:
            raise ValueError("embeddings must be of one photo at least")
        # Nothing said of thumbnails, digests or look-alikes: there are none.
        object.__setattr__(self, "thumbnails", self.thumbnails or (b"",) * count)
        object.__setattr__(self, "digests", self.digests or ("",) * count)
        if not self.look_alikes.size:
            object.__setattr__(self, "look_alikes", np.zeros((0, self.embeddings.shape[1]), np.float32))
        for name, labels in (("sources", self.sources), ("thumbnails", self.thumbnails), ("digests", self.digests)):
            if len(labels) != count:
                raise ValueError(f"{count} embeddings need as many {name}, not {len(labels)}")
        if len(self.look_alike_sources) != len(self.look_alikes):
            raise ValueError(f"{len(self.look_alikes)} look-alikes need as many sources")
        object.__setattr__(self, "look_alikes", _unit_vectors("look_alikes", self.look_alikes, self.embeddings))

    def with_photos(self, other: Person) -> Person:
        """Return this person with another's photos added; a picture that is here already is not added again."""
        is_new = (other.embeddings @ self.embeddings.T).max(axis=1) < SAME_PICTURE_SIMILARITY
        more = other.photos_where(is_new)
        return self._joined(more) if more is not None else self._with_look_alikes_of(other)

    def photos_where(self, chosen: npt.NDArray[np.bool_]) -> Person | None:
        """Return this person with the photos of a (K,) mask only; None where that leaves none."""
        if not chosen.any():
            return None
        return replace(
            self,
            embeddings=self.embeddings[chosen],
            sources=tuple(compress(self.sources, chosen)),
            thumbnails=tuple(compress(self.thumbnails, chosen)),
            digests=tuple(compress(self.digests, chosen)),
        )

    def with_look_alike(self, vector: Float32, source: str) -> Person:
        """Return this person with the (D,) unit vector of somebody who is said not to be them."""
        vectors = np.concatenate([self.look_alikes, vector[None]])
        return replace(self, look_alikes=vectors, look_alike_sources=(*self.look_alike_sources, source))

    def without_look_alikes(self, chosen: npt.NDArray[np.bool_]) -> Person:
        """Return this person without the look-alikes of an (M,) mask."""
        sources = tuple(compress(self.look_alike_sources, ~chosen))
        return replace(self, look_alikes=self.look_alikes[~chosen], look_alike_sources=sources)

    def photos_like(self, vector: Float32) -> int:
        """Return how many photos are more like a (D,) unit vector than like the mean of the others."""
        if len(self.embeddings) == 1:
            return 0
        others = self.embeddings.sum(axis=0) - self.embeddings
        own = (others * self.embeddings).sum(axis=1) / np.maximum(np.linalg.norm(others, axis=1), 1e-6)
        return int((self.embeddings @ vector > own).sum())

    def _joined(self, other: Person) -> Person:
        return replace(
            self._with_look_alikes_of(other),
            embeddings=np.concatenate([self.embeddings, other.embeddings]),
            sources=self.sources + other.sources,
            thumbnails=self.thumbnails + other.thumbnails,
            digests=self.digests + other.digests,
        )

    def _with_look_alikes_of(self, other: Person) -> Person:
        is_new = ~(other.look_alikes[:, None] == self.look_alikes[None]).all(axis=2).any(axis=1)
        return replace(
            self,
            look_alikes=np.concatenate([self.look_alikes, other.look_alikes[is_new]]),
            look_alike_sources=self.look_alike_sources + tuple(compress(other.look_alike_sources, is_new)),
        )


def _unit_vectors(what: str, vectors: Float32, like: Float32 | None) -> Float32:
    """Return a read-only view of checked (K, D) vectors. Raises ValueError."""
    if vectors.dtype != np.float32 or vectors.ndim != 2 or 0 in vectors.shape[1:]:
        raise ValueError(f"{what} must be (K, D) float32, not {vectors.shape} {vectors.dtype}")
    if like is not None and vectors.shape[1] != like.shape[1]:
        raise ValueError(f"{what} must be (K, {like.shape[1]}) like the embeddings, not {vectors.shape}")
    # Written so that NaN fails, too.
    if not np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3):
        raise ValueError(f"{what} must be unit vectors")
    view = vectors.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """What a user's own strangers say of the faces that a camera sees; no vector of any of them.

    Attributes:
        pictures: How many there were, at least 1.
        shift: By how much they resemble known people more than the population does, cosine.
        population: Fitted to them, for a net that the package has no population of; None: the package's holds.
    """

    pictures: int
    shift: float = 0.0
    population: Population | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The people who may be named, in the order in which they were added; an immutable value.

    Attributes:
        embedder: The net that made all the vectors.
        people: Each name once.
        strangers: What is known of people who are not in it; None: nothing beyond the population of the package.
        calibration: The thresholds of exactly these people's photos; None: not worked out.
    """

    embedder: EmbedderId
    people: tuple[Person, ...] = ()
    strangers: Strangers | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError("a name occurs twice in the gallery")
        if len({person.embeddings.shape[1] for person in self.people}) > 1:
            raise ValueError("the people's vectors differ in length")

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in order."""
        return tuple(person.name for person in self.people)

    @property
    def photo_count(self) -> int:
        """How many vectors there are, over all people."""
        return sum(len(person.embeddings) for person in self.people)

    def person(self, name: str) -> Person:
        """Return a person. Raises GalleryError where nobody has that name."""
        wanted = clean_name(name)
        for person in self.people:
            if person.name == wanted:
                return person
        raise GalleryError(f"nobody in the gallery is called {printable(wanted)!r}; `people list` prints the names")

    def with_person(self, person: Person) -> Gallery:
        """Return the gallery with a person added; where the name is known already, the photos are added to it."""
        if person.name not in self.names:
            return self._of((*self.people, person))
        return self._of(p.with_photos(person) if p.name == person.name else p for p in self.people)

    def with_replaced(self, name: str, person: Person) -> Gallery:
        """Return the gallery with another person in the place of one. Raises GalleryError as `person` does."""
        old = self.person(name)
        return self._of(person if p is old else p for p in self.people)

    def with_renamed(self, name: str, new_name: str) -> Gallery:
        """Return the gallery with another name for a person.

        Raises:
            GalleryError: Nobody has that name, or the new one is taken or no name.
        """
        person, cleaned = self.person(name), clean_name(new_name)
        if cleaned in self.names:
            raise GalleryError(f"{printable(cleaned)!r} is known already; `people merge` puts two people together")
        return replace(self, people=tuple(replace(p, name=cleaned) if p is person else p for p in self.people))

    def with_merged(self, name: str, others: Sequence[str]) -> Gallery:
        """Return the gallery with the photos of others given to a person. Raises GalleryError as `person` does."""
        merged, gone = self.person(name), [self.person(other) for other in others]
        if any(other is merged for other in gone):
            raise GalleryError(f"{printable(merged.name)!r} cannot be merged with themselves; give two names")
        kept = [person for person in self.people if person not in gone]
        together = merged
        for other in gone:
            together = together.with_photos(other)
        return self._of(together if person is merged else person for person in kept)

    def without_calibration(self) -> Gallery:
        """Return the gallery with its thresholds to be worked out anew."""
        return replace(self, calibration=None)

    def _of(self, people: Iterable[Person]) -> Gallery:
        """Return the gallery of other people; their thresholds are to be worked out anew."""
        return replace(self, people=tuple(people), calibration=None)

    def without_person(self, name: str) -> Gallery:
        """Return the gallery without a person. Raises GalleryError where nobody has that name."""
        gone = self.person(name)
        return self._of(person for person in self.people if person is not gone)

    def merged_with(self, other: Gallery) -> Gallery:
        """Return this gallery with all people of another added; of strangers it knows what this one does, if anything.

        Raises:
            GalleryError: Another net made the other gallery.
        """
        check_embedder(other.embedder, self.embedder, "the gallery to be added")
        merged = {person.name: person for person in self.people}
        for person in other.people:
            merged[person.name] = merged[person.name].with_photos(person) if person.name in merged else person
        together = self._of(merged.values())
        return together if self.strangers is not None else replace(together, strangers=other.strangers)


def check_embedder(found: EmbedderId, wanted: EmbedderId, what: str) -> None:
    """Raise GalleryError where the vectors of `what` come from another net than the one in use."""
    if found != wanted:
        raise GalleryError(
            f"{what} was made with the net {printable(found.name)} ({found.sha256[:12]}) and not with "
            f"{printable(wanted.name)} ({wanted.sha256[:12]}), so its vectors cannot be compared; "
            "import the photos again into a new gallery, or use that net"
        )
