"""Enrolment: people's photos to vectors, each photo judged with a reason, all or nothing. It writes no file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import GalleryError, SourceOpenError, printable
from streamer.photos import PICTURE_SUFFIXES, read_picture
from streamer.recognition.people import EmbedderId, Gallery, Person, clean_name
from streamer.recognition.photo_faces import locate_faces
from streamer.recognition.photo_vectors import photo_vectors
from streamer.stages import Crops, Detector, Embedder

# The embedder's crop holds a face of about 112 px; below a third of that the vector says little of who it is.
MIN_FACE_PIXELS = 40.0


class _RefusedError(Exception):
    """A photo that cannot be enrolled; says why in a few words."""


class _SeveralFacesError(_RefusedError):
    """A photo in which whom it shows is anybody's guess, so that all of the import is refused."""


@dataclass(frozen=True, slots=True)
class PersonPhotos:
    """One person's photos before they are looked at: a cleaned name, and paths in order."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class PeopleFolder:
    """What lies in a folder of people: whom to enrol, and notes, a line each, on what was passed over."""

    people: tuple[PersonPhotos, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoReport:
    """What became of one photo; `reason` None: it was enrolled."""

    name: str
    path: Path
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PersonReport:
    """How many photos of one person were enrolled and refused."""

    name: str
    enrolled: int
    refused: int


@dataclass(frozen=True, slots=True)
class EnrolmentReport:
    """A finished enrolment.

    Attributes:
        gallery: Those enrolled now, and nobody else.
        photos: Every photo, in the order in which they were read.
        notes: What was passed over, a line each.
    """

    gallery: Gallery
    photos: tuple[PhotoReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def people(self) -> tuple[PersonReport, ...]:
        """The counts a person, in order."""
        return tuple(self._count(name) for name in self.gallery.names)

    def _count(self, name: str) -> PersonReport:
        enrolled = [photo.reason is None for photo in self.photos if photo.name == name]
        return PersonReport(name, sum(enrolled), len(enrolled) - sum(enrolled))


OnPhoto = Callable[[PhotoReport], None]


def find_people(root: Path) -> PeopleFolder:
    """List a folder of people: one folder a person, named after them, with photos in it.

    Hidden entries are skipped silently; what is no photo, lies deeper or lies beside the people's folders, with a note.

    Raises:
        GalleryError: It is no folder, holds no person's folder, or a folder's name is no name, or two are the same.
    """
    entries = _visible(root)
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        raise GalleryError(
            f"{printable(root)} holds no people; make one folder a person in it, named after them, with their photos"
        )
    notes = [f"{printable(e.name)} is not in a person's folder, so it was skipped" for e in entries if e not in folders]
    people: dict[str, PersonPhotos] = {}
    for folder in folders:
        name = clean_name(folder.name)
        if name in people:
            raise GalleryError(
                f"two folders in {printable(root)} stand for the name {printable(name)!r}; put their photos together"
            )
        inside = _visible(folder)
        photos = [entry for entry in inside if entry.suffix.lower() in PICTURE_SUFFIXES and not entry.is_dir()]
        people[name] = PersonPhotos(name, tuple(photos))
        notes += [
            f"{printable(f'{folder.name}/{entry.name}')} is {'a folder' if entry.is_dir() else 'no photo'}, "
            "so it was skipped"
            for entry in inside
            if entry not in photos
        ]
    return PeopleFolder(tuple(people.values()), tuple(notes))


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
        on_photo: Called with each photo's report as it is judged.

    Raises:
        GalleryError: As `find_people` and `enrol_photos` do.
    """
    found = find_people(root)
    gallery = Gallery(embedder_id)
    photos: list[PhotoReport] = []
    for person in found.people:
        enrolled, reports = enrol_photos(person, detector, embedder, on_photo=on_photo)
        gallery = gallery.with_person(enrolled)
        photos += reports
    return EnrolmentReport(gallery, tuple(photos), found.notes)


def enrol_photos(
    photos: PersonPhotos, detector: Detector, embedder: Embedder, *, on_photo: OnPhoto | None = None
) -> tuple[Person, tuple[PhotoReport, ...]]:
    """Make a person of photos; those without a usable face are refused, each with its reason.

    Returns:
        The person, and a report a photo.

    Raises:
        GalleryError: No photo has a usable face (the reasons are given), or one shows several people.
    """
    crops: list[Crops] = []
    reports: list[PhotoReport] = []
    for path in photos.paths:
        try:
            crops.append(_face_crop(path, detector, embedder))
            report = PhotoReport(photos.name, path)
        except _SeveralFacesError as error:
            raise GalleryError(
                f"{photos.name}: {error} in {printable(path)}; which is meant is not guessed: crop it to one face"
            ) from error
        except _RefusedError as error:
            report = PhotoReport(photos.name, path, str(error))
        reports.append(report)
        if on_photo is not None:
            on_photo(report)
    if not crops:
        reasons = "; ".join(f"{report.reason} in {printable(report.path.name)}" for report in reports)
        raise GalleryError(
            f"{photos.name}: {reasons or 'no photo in the folder'}; "
            "give a photo in which the face is seen from the front, or remove the folder"
        )
    labels = tuple(printable(report.path.name) for report in reports if report.reason is None)
    return Person(photos.name, photo_vectors(crops, embedder), labels), tuple(reports)


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise GalleryError(
            f"{printable(folder)} cannot be read ({error.strerror}); give a folder with one folder a person"
        ) from error


def _face_crop(path: Path, detector: Detector, embedder: Embedder) -> Crops:
    """Return the aligned crop of a photo's only face. Raises _RefusedError."""
    try:
        picture = read_picture(path)
    except SourceOpenError as error:
        raise _RefusedError("no readable picture") from error
    picture, faces = locate_faces(picture, detector)
    if not len(faces):
        raise _RefusedError("no face found")
    sides = np.minimum(faces.xyxy[:, 2] - faces.xyxy[:, 0], faces.xyxy[:, 3] - faces.xyxy[:, 1])
    # Small faces in the background are nobody's portrait; they could not be enrolled anyway.
    faces = faces[sides >= MIN_FACE_PIXELS]
    if not len(faces):
        raise _RefusedError(f"only a face of {sides.max():.0f} px, under {MIN_FACE_PIXELS:.0f},")
    if len(faces) > 1:
        raise _SeveralFacesError(f"{len(faces)} faces")
    return embedder.crop(picture, faces.landmarks[0])
