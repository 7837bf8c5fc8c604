"""Photos to train on: a folder of people, judged as enrolment does, and a folder of strangers, to aligned crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import GalleryError, printable
from streamer.photos import PICTURE_SUFFIXES
from streamer.recognition.enrol import OnPhoto, PhotoReport
from streamer.recognition.people_folders import find_people
from streamer.recognition.photo_reader import PhotoReader, RefusedError, largest_face, open_photo
from streamer.stages import Crops, Detector, Embedder


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPhotos:
    """What there is to learn from.

    Attributes:
        crops_by_name: (N, S, S, 3) uint8 BGR aligned crops of each person, N >= 1.
        notes: What was passed over, a line each.
    """

    crops_by_name: dict[str, Crops]
    notes: tuple[str, ...]


def people_crops(
    root: Path, detector: Detector, embedder: Embedder, *, on_photo: OnPhoto | None = None
) -> TrainingPhotos:
    """Cut the faces of a folder of people, one folder a person, from the photos that could be enrolled.

    Args:
        root: The folder.
        detector: Finds the faces.
        embedder: Cuts them, and judges photos as it would for a gallery.
        on_photo: Called with each photo's report as it is judged; what it raises ends this.

    Raises:
        GalleryError: As enrolment does: there are no people, or none of a person's photos can be used.
    """
    found = find_people(root)
    reader = PhotoReader(detector, embedder)
    crops_by_name = {}
    for person in found.people:
        crops, reports = [], []
        for path in person.paths:
            crop, reason = _fit_crop(path, reader)
            crops += [crop] if crop is not None else []
            reports.append(PhotoReport(person.name, path, reason))
            if on_photo is not None:
                on_photo(reports[-1])
        if not crops:
            reasons = "; ".join(f"{report.reason} in {printable(report.path.name)}" for report in reports[:10])
            raise GalleryError(
                f"{person.name}: {reasons or 'no photo in the folder'}; "
                "give a photo in which the face is seen from the front, or remove the folder"
            )
        crops_by_name[person.name] = np.stack(crops)
    return TrainingPhotos(crops_by_name, found.notes)


def _fit_crop(path: Path, reader: PhotoReader) -> tuple[Crops | None, str | None]:
    """Return the crop of a photo that could be enrolled, or why it could not be."""
    try:
        return reader.crop(path, open_photo(path)), None
    except RefusedError as error:
        return None, str(error)


def stranger_crops(
    root: Path, detector: Detector, embedder: Embedder, *, on_done: Callable[[int, int], None] | None = None
) -> Crops:
    """Cut the largest face of each photo in a folder and the folders in it, (N, S, S, 3) uint8 BGR, N >= 1.

    Args:
        root: The folder.
        detector: Finds the faces.
        embedder: Cuts them.
        on_done: Called after each photo with how many are done, and of how many; what it raises ends this.

    Raises:
        GalleryError: There is no photo in which a face can be used.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    crops = []
    for done, path in enumerate(paths, 1):
        crop = _largest_face(path, detector, embedder)
        if crop is not None:
            crops.append(crop)
        if on_done is not None:
            on_done(done, len(paths))
    if not crops:
        raise GalleryError(
            f"{printable(root)} holds no photo in which a face can be used; give a folder of photos of strangers"
        )
    return np.stack(crops)


def _largest_face(path: Path, detector: Detector, embedder: Embedder) -> Crops | None:
    """Return the aligned crop of a photo's largest face; None: it cannot be read, or shows none large enough."""
    reader = PhotoReader(detector, embedder, largest_face, accept_faults=True)
    return _fit_crop(path, reader)[0]
