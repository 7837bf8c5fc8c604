"""Gives a stranger a name: their best and most different looks go into the gallery, as photos of a person do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import SourceOpenError, printable
from streamer.recognition.gallery import edit_gallery, load_or_empty
from streamer.recognition.people import EmbedderId, Gallery, Person, clean_name
from streamer.recorded import RecordedLook, RecordedTrack
from streamer.recorded_tracks import check_dimension, read_tracks
from streamer.strangers_file import KnownStranger, file_sha256, stranger_numbered

MAX_ENROLLED_LOOKS = 12
_DAMAGE = "run `people strangers` again"


@dataclass(frozen=True, slots=True, eq=False)
class SourcedLook:
    """A look, and where it is from.

    Attributes:
        source: For people to read: `video.jsonl#3 @ 12.4 s`.
        look: What the embedder saw.
        crop: JPEG; None: it is not the best of its track, of which alone one is kept.
    """

    source: str
    look: RecordedLook
    crop: bytes | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """What came of naming a stranger.

    Attributes:
        name: As it is kept.
        looks: So many were added.
        was_known: Somebody of that name was in the gallery; the looks were added to theirs.
    """

    name: str
    looks: int
    was_known: bool


def name_stranger(gallery: Path, embedder: EmbedderId, number: int, name: str) -> Naming:
    """Enrol a stranger of the last gathering.

    Args:
        gallery: The gallery's folder.
        embedder: The net in use.
        number: Which.
        name: Of a new person, or of one who is known and gets more looks.

    Raises:
        UsageError: There is no such stranger.
        SourceOpenError: A results file has changed since, or is gone.
        GalleryError: The name is none, the vectors are another net's, or the gallery cannot be written.
    """
    looks = recorded_looks(stranger_numbered(gallery, number), load_or_empty(gallery, embedder))
    person = person_of(clean_name(name), best_looks(looks))
    before: list[int] = []

    def add(current: Gallery) -> Gallery:
        before.append(current.photo_count)
        before.append(int(person.name in current.names))
        return current.with_person(person)

    after = edit_gallery(gallery, embedder, add)
    return Naming(person.name, after.photo_count - before[0], bool(before[1]))


def recorded_looks(stranger: KnownStranger, gallery: Gallery) -> list[SourcedLook]:
    """Read the looks of a stranger again. Raises as `name_stranger` does."""
    looks: list[SourcedLook] = []
    for path, sha256 in dict.fromkeys((track.path, track.sha256) for track in stranger.tracks):
        if file_sha256(path) != sha256:
            raise SourceOpenError(f"{printable(path)} has changed since its strangers were found; {_DAMAGE}")
        found = read_tracks(path, gallery.embedder)
        check_dimension(found, gallery)
        for reference in stranger.tracks:
            if reference.path == path and reference.track_id in found.tracks:
                looks += _sourced(path, found.tracks[reference.track_id])
    if not looks:
        raise SourceOpenError(f"nothing is recorded of stranger {stranger.number} any more; {_DAMAGE}")
    return looks


def _sourced(path: Path, track: RecordedTrack) -> list[SourcedLook]:
    best = max(track.looks, key=lambda look: look.quality, default=None)
    return [
        SourcedLook(
            f"{path.name}#{track.track_id} @ {look.pts_seconds:.1f} s", look, track.crop if look is best else None
        )
        for look in track.looks
    ]


def best_looks(looks: Sequence[SourcedLook]) -> list[SourcedLook]:
    """Return MAX_ENROLLED_LOOKS at most: the best one, then again and again the one that is best and least like those.

    What a look adds is its quality times its cosine distance from the nearest that is taken already.
    """
    vectors = np.stack([one.look.vector for one in looks]).astype(np.float64)
    qualities = np.array([one.look.quality for one in looks])
    taken = [int(np.argmax(qualities))]
    distances = 1 - vectors @ vectors[taken[0]]
    while len(taken) < min(MAX_ENROLLED_LOOKS, len(looks)):
        gains = qualities * np.maximum(distances, 0)
        gains[taken] = -1
        taken.append(int(np.argmax(gains)))
        distances = np.minimum(distances, 1 - vectors @ vectors[taken[-1]])
    return [looks[place] for place in taken]


def person_of(name: str, looks: Sequence[SourcedLook]) -> Person:
    """Return the person to enrol."""
    vectors = np.stack([one.look.vector for one in looks])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Person(name, np.asarray(unit, np.float32), tuple(printable(one.source) for one in looks))
