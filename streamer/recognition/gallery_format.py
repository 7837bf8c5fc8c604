"""The bytes of a gallery's two files, both ways; every field is checked by hand, and nothing is ever unpickled.

{"schema_version": 2, "embedder": {"name": …, "sha256": …},
 "vectors": {"file": "vectors-….safetensors", "sha256": …} or null where nobody is enrolled and nothing is known,
 "people": [{"name": …, "photos": [{"label": …, "sha256": … or ""}, …], "look_alikes": [label, …]}, …],
 "strangers": {"pictures": …, "shift": …} or null, "thresholds": [12 cosines] or null}

The vectors file is described in gallery_tensors.py. Version 1 had labels only for photos and none of the last three.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import GalleryError, printable
from streamer.recognition import gallery_tensors
from streamer.recognition.calibration import Calibration
from streamer.recognition.gallery_tensors import MalformedError, Table
from streamer.recognition.people import EmbedderId, Gallery, Person, Strangers

SCHEMA_VERSION = 2
VECTORS_PATTERN = r"vectors-[0-9a-f]{16}\.safetensors"
MAX_LABEL_CHARACTERS = 1000
REMEDY = "restore the gallery's folder from a copy, or remove it and import the photos again"


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
    digests: tuple[str, ...] = ()
    look_alikes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """What gallery.json says; `vectors` None: nobody is enrolled."""

    embedder: EmbedderId
    vectors: VectorsFile | None
    people: tuple[PersonEntry, ...]
    strangers: Strangers | None = None
    calibration: Calibration | None = None


def vectors_name(content: bytes) -> str:
    """Return the name of the vectors file with this content."""
    return f"vectors-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"


def serialise_vectors(gallery: Gallery) -> bytes | None:
    """Return the vectors file of a gallery; None where there is nothing to be kept in it."""
    return gallery_tensors.serialise(gallery)


def serialise_index(gallery: Gallery, vectors: bytes | None) -> bytes:
    """Return gallery.json for a gallery and the content of its vectors file."""
    strangers, calibration = gallery.strangers, gallery.calibration
    index = {
        "schema_version": SCHEMA_VERSION,
        "embedder": {"name": gallery.embedder.name, "sha256": gallery.embedder.sha256},
        "vectors": None
        if vectors is None
        else {"file": vectors_name(vectors), "sha256": hashlib.sha256(vectors).hexdigest()},
        "strangers": None if strangers is None else {"pictures": strangers.pictures, "shift": strangers.shift},
        "thresholds": None if calibration is None else [float(value) for value in calibration.thresholds],
    }
    # A line for each person can be read, and is written twenty times as fast as one for each of their photos.
    lines = [f'"{key}": {_json(value)}' for key, value in index.items()]
    people = ",\n ".join(_json(_entry(person)) for person in gallery.people)
    return ("{\n" + ",\n".join([*lines, f'"people": [\n {people}\n]']) + "\n}\n").encode()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _entry(person: Person) -> dict[str, object]:
    photos = [{"label": label, "sha256": digest} for label, digest in zip(person.sources, person.digests, strict=True)]
    return {"name": person.name, "photos": photos, "look_alikes": list(person.look_alike_sources)}


def parse_index(content: bytes, path: Path) -> Index:
    """Return what gallery.json says.

    Raises:
        GalleryError: It is damaged, or of another version; names `path`.
    """
    try:
        return _index(json.loads(content))
    except (MalformedError, GalleryError) as error:
        raise GalleryError(f"{printable(path)} is damaged: {printable(error)}; {REMEDY}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, nested without end
        raise GalleryError(f"{printable(path)} is damaged: it is not JSON; {REMEDY}") from error


def assemble(index: Index, content: bytes | None, path: Path) -> Gallery:
    """Return the gallery of an index and the content of its vectors file.

    Raises:
        GalleryError: They do not belong together; names `path`.
    """
    try:
        table = _table(index, content)
        start, look_alike = 0, 0
        people = []
        for entry in index.people:
            end, last = start + len(entry.photos), look_alike + len(entry.look_alikes)
            people.append(_person(entry, table, slice(start, end), slice(look_alike, last)))
            start, look_alike = end, last
        strangers = index.strangers
        if strangers is not None and table.population is not None:
            strangers = Strangers(strangers.pictures, strangers.shift, table.population)
        return Gallery(index.embedder, tuple(people), strangers, index.calibration)
    except (MalformedError, GalleryError, ValueError) as error:
        raise GalleryError(f"{printable(path)} is damaged: {printable(error)}; {REMEDY}") from error


def _person(entry: PersonEntry, table: Table, photos: slice, look_alikes: slice) -> Person:
    return Person(
        entry.name,
        table.embeddings[photos],
        entry.photos,
        table.thumbnails[photos],
        entry.digests,
        table.look_alikes[look_alikes],
        entry.look_alikes,
    )


def _table(index: Index, content: bytes | None) -> Table:
    """Return what the vectors file holds, as many rows as the index speaks of."""
    photos = sum(len(entry.photos) for entry in index.people)
    look_alikes = sum(len(entry.look_alikes) for entry in index.people)
    if index.vectors is None or content is None:
        if photos:
            raise MalformedError("it names people but no vectors")
        return Table.empty()
    if hashlib.sha256(content).hexdigest() != index.vectors.sha256:
        raise MalformedError("its sha256 is not the one that was saved")
    return gallery_tensors.parse(content, photos, look_alikes)


def _index(value: object) -> Index:
    version = _fields(value, "the file", {"schema_version"}, others=True)["schema_version"]
    if type(version) is not int or version not in (1, SCHEMA_VERSION):
        raise MalformedError(f"its schema_version is {str(version)[:20]} and not {SCHEMA_VERSION}")
    keys = {"schema_version", "embedder", "vectors", "people"}
    fields = _fields(value, "the file", keys if version == 1 else keys | {"strangers", "thresholds"})
    embedder = _fields(fields["embedder"], "embedder", {"name", "sha256"})
    name, sha256 = _text(embedder["name"], "embedder.name"), _sha256(embedder["sha256"], "embedder.sha256")
    read = _first_version_person if version == 1 else _person_entry
    people = tuple(read(entry) for entry in _items(fields["people"], "people"))
    return Index(
        EmbedderId(name, sha256),
        _vectors_file(fields["vectors"]),
        people,
        _strangers(fields.get("strangers")),
        _calibration(fields.get("thresholds")),
    )


def _vectors_file(value: object) -> VectorsFile | None:
    if value is None:
        return None
    fields = _fields(value, "vectors", {"file", "sha256"})
    name, sha256 = _text(fields["file"], "vectors.file"), _sha256(fields["sha256"], "vectors.sha256")
    if not re.fullmatch(VECTORS_PATTERN, name):
        raise MalformedError("vectors.file is not the name of a vectors file")
    return VectorsFile(name, sha256)


def _first_version_person(value: object) -> PersonEntry:
    fields = _fields(value, "a person", {"name", "photos"})
    photos = tuple(_text(label, "a photo's label") for label in _items(fields["photos"], "photos"))
    return PersonEntry(_text(fields["name"], "a person's name"), photos)


def _person_entry(value: object) -> PersonEntry:
    fields = _fields(value, "a person", {"name", "photos", "look_alikes"})
    photos = [_fields(photo, "a photo", {"label", "sha256"}) for photo in _items(fields["photos"], "photos")]
    return PersonEntry(
        _text(fields["name"], "a person's name"),
        tuple(_text(photo["label"], "a photo's label") for photo in photos),
        tuple("" if photo["sha256"] == "" else _sha256(photo["sha256"], "a photo's sha256") for photo in photos),
        tuple(_text(label, "a look-alike's label") for label in _items(fields["look_alikes"], "look_alikes")),
    )


def _strangers(value: object) -> Strangers | None:
    if value is None:
        return None
    fields = _fields(value, "strangers", {"pictures", "shift"})
    pictures, shift = fields["pictures"], _number(fields["shift"], "strangers.shift")
    if type(pictures) is not int or pictures < 1:
        raise MalformedError("strangers.pictures is not a whole number from 1 on")
    return Strangers(pictures, shift)


def _calibration(value: object) -> Calibration | None:
    if value is None:
        return None
    thresholds = [_number(one, "a threshold") for one in _items(value, "thresholds")]
    try:
        return Calibration(np.array(thresholds, np.float32))
    except ValueError as error:
        raise MalformedError(str(error)) from error


def _fields(value: object, what: str, keys: set[str], *, others: bool = False) -> dict[str, object]:
    if not isinstance(value, dict) or not keys <= value.keys() or (value.keys() != keys and not others):
        raise MalformedError(f"{what} does not have the fields {', '.join(sorted(keys))}")
    return value


def _items(value: object, what: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise MalformedError(f"{what} is not a list")
    return value


def _number(value: object, what: str) -> float:
    """Return a cosine, or a difference of two."""
    if type(value) not in (int, float) or not isinstance(value, int | float) or not abs(value) <= 2:
        raise MalformedError(f"{what} is not a number in -2..2")
    return float(value) if math.isfinite(value) else 0.0


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_LABEL_CHARACTERS:
        raise MalformedError(f"{what} is not a text of 1 to {MAX_LABEL_CHARACTERS} characters")
    return value


def _sha256(value: object, what: str) -> str:
    text = _text(value, what)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise MalformedError(f"{what} is not a sha256")
    return text
