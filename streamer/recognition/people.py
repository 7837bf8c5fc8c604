"""Who is known: people, their photos' vectors, and the net that made them. Values only; gallery.py stores them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

import numpy as np

from streamer.errors import GalleryError, printable
from streamer.types import Float32

MAX_NAME_CHARACTERS = 200
# Two vectors of one person more alike than this come from one picture; different pictures of LFW stay below .998.
_SAME_PICTURE_SIMILARITY = 0.9999
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
    """

    name: str
    embeddings: Float32
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        if clean_name(self.name) != self.name:
            raise ValueError(f"the name {self.name!r} is not as clean_name returns it")
        vectors = self.embeddings
        if vectors.dtype != np.float32 or vectors.ndim != 2 or 0 in vectors.shape:
            raise ValueError(f"embeddings must be (K, D) float32, K >= 1, not {vectors.shape} {vectors.dtype}")
        if len(self.sources) != len(vectors):
            raise ValueError(f"{len(vectors)} embeddings need as many sources, not {len(self.sources)}")
        # Written so that NaN fails, too.
        if not np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3):
            raise ValueError("embeddings must be unit vectors")
        view = vectors.view()
        view.flags.writeable = False
        object.__setattr__(self, "embeddings", view)

    def with_photos(self, other: Person) -> Person:
        """Return this person with another's photos added; a picture that is here already is not added again."""
        is_new = (other.embeddings @ self.embeddings.T).max(axis=1) < _SAME_PICTURE_SIMILARITY
        return replace(
            self,
            embeddings=np.concatenate([self.embeddings, other.embeddings[is_new]]),
            sources=self.sources + tuple(s for s, new in zip(other.sources, is_new, strict=True) if new),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The people who may be named, in the order in which they were added; an immutable value.

    Attributes:
        embedder: The net that made all the vectors.
        people: Each name once.
    """

    embedder: EmbedderId
    people: tuple[Person, ...] = ()

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

    def with_person(self, person: Person) -> Gallery:
        """Return the gallery with a person added; where the name is known already, the photos are added to it."""
        if person.name not in self.names:
            return replace(self, people=(*self.people, person))
        return replace(self, people=tuple(p.with_photos(person) if p.name == person.name else p for p in self.people))

    def without_person(self, name: str) -> Gallery:
        """Return the gallery without a person. Raises GalleryError where nobody has that name."""
        wanted = clean_name(name)
        if wanted not in self.names:
            raise GalleryError(f"nobody in the gallery is called {printable(wanted)!r}; `people list` prints the names")
        return replace(self, people=tuple(person for person in self.people if person.name != wanted))

    def merged_with(self, other: Gallery) -> Gallery:
        """Return this gallery with all people of another added. Raises GalleryError where another net made that one."""
        check_embedder(other.embedder, self.embedder, "the gallery to be added")
        merged = {person.name: person for person in self.people}
        for person in other.people:
            merged[person.name] = merged[person.name].with_photos(person) if person.name in merged else person
        return replace(self, people=tuple(merged.values()))


def check_embedder(found: EmbedderId, wanted: EmbedderId, what: str) -> None:
    """Raise GalleryError where the vectors of `what` come from another net than the one in use."""
    if found != wanted:
        raise GalleryError(
            f"{what} was made with the net {printable(found.name)} ({found.sha256[:12]}) and not with "
            f"{printable(wanted.name)} ({wanted.sha256[:12]}), so its vectors cannot be compared; "
            "import the photos again into a new gallery, or use that net"
        )
