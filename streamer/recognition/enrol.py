"""Enrolment: people's photos to vectors, each photo judged with a reason, all or nothing. It writes no file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from streamer.errors import GalleryError, printable
from streamer.recognition.people import EmbedderId, Gallery, Person
from streamer.recognition.people_folders import PeopleFolder, PersonPhotos, Still, find_people
from streamer.recognition.photo_reader import Memory, PhotoFace, PhotoReader, RefusedError, digest_of
from streamer.recognition.suspects import Suspicion
from streamer.recognition.thresholds import knows_strangers, population_of
from streamer.stages import Detector, Embedder

__all__ = ["EnrolmentReport", "PeopleFolder", "PersonPhotos", "PhotoReport", "enrol_folder", "find_people"]


@dataclass(frozen=True, slots=True)
class PhotoReport:
    """What became of one photo.

    Attributes:
        name: Whose it is said to be.
        path: Where it lies.
        reason: Why it is not enrolled; None: it is.
        is_known: It was enrolled before, so nothing is added.
        is_late: It was refused when all others were known, not when it was looked at.
    """

    name: str
    path: Path
    reason: str | None = None
    is_known: bool = False
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class PersonReport:
    """How many photos of one person were enrolled, refused, and known before."""

    name: str
    enrolled: int
    refused: int
    known: int = 0


@dataclass(frozen=True, slots=True)
class EnrolmentReport:
    """A finished enrolment.

    Attributes:
        gallery: Those enrolled now, and nobody else.
        photos: Every photo, in the order in which they were read.
        notes: What was passed over, and what is doubtful, a line each.
        failed: People none of whose photos can be used, with the reasons; they are not in the gallery.
    """

    gallery: Gallery
    photos: tuple[PhotoReport, ...]
    notes: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def people(self) -> tuple[PersonReport, ...]:
        """The counts a person, in order."""
        own: dict[str, list[PhotoReport]] = {}
        for photo in self.photos:
            own.setdefault(photo.name, []).append(photo)
        return tuple(_count(name, photos) for name, photos in own.items())


_MOST_STILLS = 12


def _count(name: str, photos: Sequence[PhotoReport]) -> PersonReport:
    refused = sum(photo.reason is not None for photo in photos)
    known = sum(photo.is_known for photo in photos)
    return PersonReport(name, len(photos) - refused - known, refused, known)


OnPhoto = Callable[[PhotoReport], None]


@dataclass(slots=True)
class _Photo:
    """One photo on its way: its report so far, and its face where it has a fit one."""

    path: Path
    still: Still | None = None
    digest: str = ""
    face: PhotoFace | None = None
    reason: str | None = None
    is_known: bool = False
    is_late: bool = False

    def refuse(self, reason: str) -> None:
        self.face, self.reason, self.is_late = None, reason, True

    def report(self, name: str) -> PhotoReport:
        return PhotoReport(name, self.path, self.reason, self.is_known, self.is_late)


@dataclass(slots=True)
class Enrolment:
    """Enrols people's photos beside those who are known already.

    Attributes:
        reader: Makes the vectors.
        known: The gallery to which they will be added.
        memory: What an import that was stopped left; None: nothing is remembered.
        accept_doubtful: Take also photos that look like somebody else's.
        on_photo: Called with each photo's report once it has been looked at; a photo may be refused later, too, when
            all others are known.
    """

    reader: PhotoReader
    known: Gallery
    memory: Memory | None = None
    accept_doubtful: bool = False
    on_photo: OnPhoto | None = None
    _owners: dict[str, str] = field(init=False)  # of the photos that are enrolled already, by their sha256

    def __post_init__(self) -> None:
        self._owners = {digest: p.name for p in self.known.people for digest in p.digests if digest}

    def enrol(self, folder: PeopleFolder) -> EnrolmentReport:
        """Judge all photos, and return the people that come of those that are fit."""
        photos = {person.name: self._read(person) for person in folder.people}
        notes = list(folder.notes)
        if not self.accept_doubtful and knows_strangers(self.known):
            suspicion = Suspicion(population_of(self.known))
            for name, own in photos.items():
                notes += self._refuse_outliers(name, own, suspicion)
            self._refuse_look_alikes(photos, suspicion)
        for own in photos.values():
            _thin_out([photo for photo in own if photo.still is not None and photo.face is not None])
        people = {name: _person(name, own) for name, own in photos.items()}
        left_out = [name for name, person in people.items() if person is None and not _is_known(photos[name])]
        return EnrolmentReport(
            Gallery(self.known.embedder, tuple(person for person in people.values() if person is not None)),
            tuple(photo.report(name) for name, own in photos.items() for photo in own),
            tuple(notes),
            {name: _reasons(photos[name]) for name in left_out},
        )

    def _read(self, person: PersonPhotos) -> list[_Photo]:
        photos = [_Photo(path) for path in person.paths]
        photos += [_Photo(Path(still.label), still) for still in person.stills]
        for photo in photos:
            try:
                self._look_at(photo, person.name)
            except RefusedError as error:
                photo.reason = str(error)
            if self.on_photo is not None:
                self.on_photo(photo.report(person.name))
        return photos

    def _look_at(self, photo: _Photo, name: str) -> None:
        still = photo.still
        photo.digest = digest_of(photo.path) if still is None else _digest_of_still(still)
        owner = self._owners.get(photo.digest)
        if owner is not None and owner != name:
            raise RefusedError(f"it is enrolled as {owner} already")
        photo.is_known = owner is not None
        if photo.is_known:
            return
        if still is None:
            photo.face = self.reader.read(photo.path, photo.digest, self.memory)
        else:
            photo.face = self.reader.face_in(photo.path, still.picture)

    def _refuse_outliers(self, name: str, photos: Sequence[_Photo], suspicion: Suspicion) -> list[str]:
        """Refuse the photos of other people among one's own; return a note where it is unclear which those are."""
        before = [person.embeddings for person in self.known.people if person.name == name]
        fit = [photo for photo in photos if photo.face is not None]
        if not fit:
            return []
        vectors = np.concatenate([*before, *[photo.face.vector[None] for photo in fit if photo.face is not None]])
        if suspicion.disagree(vectors):
            return [f"{name}: the two photos look like different people; add a third to tell which is right"]
        is_out = suspicion.outliers(vectors)[len(vectors) - len(fit) :]
        for photo, out in zip(fit, is_out.tolist(), strict=True):
            if out:
                photo.refuse(f"it looks like somebody else than the other photos of {name}")
        return []

    def _refuse_look_alikes(self, photos: Mapping[str, Sequence[_Photo]], suspicion: Suspicion) -> None:
        people = [person for name, own in photos.items() if (person := _person(name, own)) is not None]
        everybody = self.known.merged_with(Gallery(self.known.embedder, tuple(people)))
        for likeness in suspicion.look_alikes(everybody, frozenset(photos)):
            digest = everybody.person(likeness.name).digests[likeness.photo]
            for photo in photos[likeness.name]:
                if photo.face is not None and photo.digest == digest:
                    where = "in the gallery" if likeness.other in self.known.names else "enrolled at the same time"
                    photo.refuse(f"it looks like {likeness.other}, who is {where}")


def enrol_folder(
    root: Path,
    detector: Detector,
    embedder: Embedder,
    embedder_id: EmbedderId,
    *,
    on_photo: OnPhoto | None = None,
) -> EnrolmentReport:
    """Enrol all people of a folder (see `find_people`), or nobody.

    Args:
        root: The folder.
        detector: Finds the faces.
        embedder: Makes the vectors.
        embedder_id: What the gallery shall record of it.
        on_photo: Called with each photo's report as it is looked at.

    Raises:
        GalleryError: As `find_people` does, or a person has no usable photo; the reasons are given.
    """
    enrolment = Enrolment(PhotoReader(detector, embedder), Gallery(embedder_id), on_photo=on_photo)
    report = enrolment.enrol(find_people(root))
    check_all_enrolled(report)
    return report


def check_all_enrolled(report: EnrolmentReport) -> None:
    """Raise GalleryError where a person has no usable photo."""
    if report.failed:
        others = f" (and {len(report.failed) - 1} more people)" if len(report.failed) > 1 else ""
        name, reasons = next(iter(report.failed.items()))
        raise GalleryError(
            f"{name}{others}: {reasons}; give a photo in which the face is seen from the front, or leave the person "
            "out; what is only doubtful is taken with --accept-doubtful"
        )


def _thin_out(stills: Sequence[_Photo]) -> None:
    """Keep the stills that differ most from each other, at most twelve: a video's views are mostly the same."""
    if len(stills) <= _MOST_STILLS:
        return
    vectors = np.stack([photo.face.vector for photo in stills if photo.face is not None])
    # The one most like all of them, then again and again the one least like any chosen one.
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    while len(chosen) < _MOST_STILLS:
        chosen.append(int(np.argmin((vectors @ vectors[chosen].T).max(axis=1))))
    for index, photo in enumerate(stills):
        if index not in chosen:
            photo.refuse("other pictures show the same")


def _person(name: str, photos: Sequence[_Photo]) -> Person | None:
    """Return the person whom the fit photos show; None: there is none."""
    faces = [(photo, photo.face) for photo in photos if photo.face is not None]
    if not faces:
        return None
    return Person(
        name,
        np.stack([face.vector for _, face in faces]),
        tuple(printable(photo.path.name) for photo, _ in faces),
        tuple(face.thumbnail for _, face in faces),
        tuple(photo.digest for photo, _ in faces),
    )


def _digest_of_still(still: Still) -> str:
    return hashlib.sha256(still.picture.bgr().tobytes()).hexdigest()


def _is_known(photos: Sequence[_Photo]) -> bool:
    return any(photo.is_known for photo in photos)


def _reasons(photos: Sequence[_Photo]) -> str:
    reasons = [f"{printable(photo.path.name)}: {photo.reason}" for photo in photos if photo.reason is not None]
    return "; ".join(reasons[:10]) or "no photo in the folder"
