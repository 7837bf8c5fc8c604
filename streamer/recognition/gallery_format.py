"""The bytes of a gallery's two files, both ways; every field is checked by hand, and nothing is ever unpickled.

{"schema_version": 1, "embedder": {"name": …, "sha256": …},
 "vectors": {"file": "vectors-….safetensors", "sha256": …} or null where nobody is enrolled,
 "people": [{"name": …, "photos": [a label a vector, in the order of the vectors' rows]}, …]}
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamer.errors import GalleryError, printable
from streamer.recognition.people import EmbedderId, Gallery, Person
from streamer.types import Float32

SCHEMA_VERSION = 1
VECTORS_PATTERN = r"vectors-[0-9a-f]{16}\.safetensors"
MAX_DIMENSION = 4096
MAX_LABEL_CHARACTERS = 1000
REMEDY = "restore the gallery's folder from a copy, or remove it and import the photos again"
_TENSOR_NAME = "embeddings"


@dataclass(frozen=True, slots=True)
class VectorsFile:
    """The vectors file that an index names.

    Attributes:
        file_name: In the same folder; matches VECTORS_PATTERN, so it never leads elsewhere.
        sha256: Of the whole file.
    """

    file_name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """One person of an index; their rows follow those of the people before."""

    name: str
    photos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """What gallery.json says; `vectors` None: nobody is enrolled."""

    embedder: EmbedderId
    vectors: VectorsFile | None
    people: tuple[PersonEntry, ...]


class _MalformedError(Exception):
    """Something in the index is not as it must be; says what."""


def vectors_name(content: bytes) -> str:
    """Return the name of the vectors file with this content."""
    return f"vectors-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"


def serialise_vectors(gallery: Gallery) -> bytes | None:
    """Return the vectors file of a gallery, people after people; None where nobody is enrolled."""
    if not gallery.people:
        return None
    return bytes(save({_TENSOR_NAME: np.concatenate([person.embeddings for person in gallery.people])}))


def serialise_index(gallery: Gallery, vectors: bytes | None) -> bytes:
    """Return gallery.json for a gallery and the content of its vectors file."""
    index = {
        "schema_version": SCHEMA_VERSION,
        "embedder": {"name": gallery.embedder.name, "sha256": gallery.embedder.sha256},
        "vectors": None
        if vectors is None
        else {"file": vectors_name(vectors), "sha256": hashlib.sha256(vectors).hexdigest()},
        "people": [{"name": person.name, "photos": list(person.sources)} for person in gallery.people],
    }
    return (json.dumps(index, ensure_ascii=False, indent=1) + "\n").encode()


def parse_index(content: bytes, path: Path) -> Index:
    """Return what gallery.json says.

    Raises:
        GalleryError: It is damaged, or of another version; names `path`.
    """
    try:
        return _index(json.loads(content))
    except _MalformedError as error:
        raise GalleryError(f"{printable(path)} is damaged: {printable(error)}; {REMEDY}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, nested without end
        raise GalleryError(f"{printable(path)} is damaged: it is not JSON; {REMEDY}") from error


def assemble(index: Index, content: bytes | None, path: Path) -> Gallery:
    """Return the gallery of an index and the content of its vectors file.

    Raises:
        GalleryError: They do not belong together; names `path`.
    """
    try:
        rows = _vectors(index, content)
        people, start = [], 0
        for entry in index.people:
            end = start + len(entry.photos)
            people.append(Person(entry.name, rows[start:end], entry.photos))
            start = end
        return Gallery(index.embedder, tuple(people))
    except (_MalformedError, GalleryError, ValueError) as error:
        raise GalleryError(f"{printable(path)} is damaged: {printable(error)}; {REMEDY}") from error


def _vectors(index: Index, content: bytes | None) -> Float32:
    """Return the (N, D) float32 rows that the index speaks of."""
    count = sum(len(entry.photos) for entry in index.people)
    if index.vectors is None or content is None:
        if count:
            raise _MalformedError("it names people but no vectors")
        return np.zeros((0, 1), np.float32)
    if hashlib.sha256(content).hexdigest() != index.vectors.sha256:
        raise _MalformedError("its sha256 is not the one that was saved")
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # not the format; a type that numpy lacks
        raise _MalformedError("it is not a safetensors file of vectors") from error
    rows = tensors.get(_TENSOR_NAME)
    if len(tensors) != 1 or rows is None or rows.dtype != np.float32 or rows.ndim != 2:
        raise _MalformedError("it does not hold one table of float32 vectors")
    if len(rows) != count or not 1 <= rows.shape[1] <= MAX_DIMENSION:
        raise _MalformedError(f"it holds a table of shape {rows.shape} for {count} photos")
    return np.asarray(rows, np.float32)


def _index(value: object) -> Index:
    version = _fields(value, "the file", {"schema_version"}, others=True)["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise _MalformedError(f"its schema_version is {str(version)[:20]} and not {SCHEMA_VERSION}")
    fields = _fields(value, "the file", {"schema_version", "embedder", "vectors", "people"})
    embedder = _fields(fields["embedder"], "embedder", {"name", "sha256"})
    name, sha256 = _text(embedder["name"], "embedder.name"), _sha256(embedder["sha256"], "embedder.sha256")
    people = tuple(_person(entry) for entry in _items(fields["people"], "people"))
    return Index(EmbedderId(name, sha256), _vectors_file(fields["vectors"]), people)


def _vectors_file(value: object) -> VectorsFile | None:
    if value is None:
        return None
    fields = _fields(value, "vectors", {"file", "sha256"})
    name, sha256 = _text(fields["file"], "vectors.file"), _sha256(fields["sha256"], "vectors.sha256")
    if not re.fullmatch(VECTORS_PATTERN, name):
        raise _MalformedError("vectors.file is not the name of a vectors file")
    return VectorsFile(name, sha256)


def _person(value: object) -> PersonEntry:
    fields = _fields(value, "a person", {"name", "photos"})
    photos = tuple(_text(label, "a photo's label") for label in _items(fields["photos"], "photos"))
    return PersonEntry(_text(fields["name"], "a person's name"), photos)


def _fields(value: object, what: str, keys: set[str], *, others: bool = False) -> dict[str, object]:
    if not isinstance(value, dict) or not keys <= value.keys() or (value.keys() != keys and not others):
        raise _MalformedError(f"{what} does not have the fields {', '.join(sorted(keys))}")
    return value


def _items(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise _MalformedError(f"{what} is not a list")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_LABEL_CHARACTERS:
        raise _MalformedError(f"{what} is not a text of 1 to {MAX_LABEL_CHARACTERS} characters")
    return value


def _sha256(value: object, what: str) -> str:
    text = _text(value, what)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise _MalformedError(f"{what} is not a sha256")
    return text
