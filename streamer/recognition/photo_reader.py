"""Reads one photo for the gallery: whose face is meant, whether it is fit, and the vector and thumbnail of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from streamer.errors import SourceOpenError
from streamer.photos import read_picture
from streamer.pictures import BgrPicture
from streamer.recognition.photo_faces import locate_faces
from streamer.recognition.photo_landmarks import steady_landmarks
from streamer.recognition.photo_quality import MIN_FACE_PIXELS, fault_of
from streamer.recognition.photo_vectors import photo_vectors
from streamer.stages import Crops, Detector, Embedder
from streamer.types import Faces, Float32

_THUMBNAIL_PIXELS, _THUMBNAIL_QUALITY = 96, 75


class RefusedError(Exception):
    """A photo that is not enrolled; says why in a few words."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFace:
    """A photo's face, fit to be enrolled.

    Attributes:
        vector: (D,) float32 unit vector.
        thumbnail: A small JPEG picture of it.
    """

    vector: Float32
    thumbnail: bytes


class Memory(Protocol):
    """Keeps what became of photos, so that an import which was stopped goes on where it was."""

    def recall(self, digest: str) -> PhotoFace | None:
        """Return what was made of the photo with this sha256. Raises RefusedError as it did the first time."""
        ...

    def keep(self, digest: str, found: PhotoFace | RefusedError) -> None:
        """Remember what became of a photo."""
        ...


ChooseFace = Callable[[Path, Faces], int | None]
"""Says which of several faces of a photo is meant; None: it cannot be said."""


def largest_face(_path: Path, faces: Faces) -> int:
    """Choose the face with the largest box."""
    sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]
    return int(np.argmax(sides.prod(axis=1)))


def no_face(_path: Path, _faces: Faces) -> None:
    """Choose none: which is meant is not guessed."""


class PhotoReader:
    """Makes what a gallery keeps of photos.

    Args:
        detector: Finds the faces.
        embedder: Makes the vectors.
        choose: Asked where a photo shows several faces.
        accept_faults: Take also what is blurred, dark or turned.
    """

    def __init__(
        self, detector: Detector, embedder: Embedder, choose: ChooseFace = no_face, *, accept_faults: bool = False
    ) -> None:
        self._detector, self._embedder = detector, embedder
        self._choose, self._accept_faults = choose, accept_faults

    def read(self, path: Path, digest: str = "", memory: Memory | None = None) -> PhotoFace:
        """Return the face of a photo. Raises RefusedError with the reason where it should not be enrolled."""
        known = memory.recall(digest) if memory is not None else None
        if known is not None:
            return known
        try:
            found = self.face_in(path, open_photo(path))
        except RefusedError as error:
            if memory is not None:
                memory.keep(digest, error)
            raise
        if memory is not None:
            memory.keep(digest, found)
        return found

    def face_in(self, path: Path, picture: BgrPicture) -> PhotoFace:
        """Return the face of a picture that `path` names. Raises RefusedError."""
        crop = self.crop(path, picture)
        return PhotoFace(photo_vectors(crop[None], self._embedder)[0], thumbnail(crop))

    def crop(self, path: Path, picture: BgrPicture) -> Crops:
        """Return the embedder's crop of the face that is meant. Raises RefusedError."""
        picture, faces = locate_faces(picture, self._detector)
        if not len(faces):
            raise RefusedError("no face found")
        sides = np.minimum(faces.xyxy[:, 2] - faces.xyxy[:, 0], faces.xyxy[:, 3] - faces.xyxy[:, 1])
        # Small faces in the background are nobody's portrait; they could not be enrolled anyway.
        faces = faces[sides >= MIN_FACE_PIXELS]
        if not len(faces):
            raise RefusedError(f"only a face of {sides.max():.0f} px, under {MIN_FACE_PIXELS:.0f}")
        chosen = 0 if len(faces) == 1 else self._choose(path, faces)
        if chosen is None:
            raise RefusedError(
                f"{len(faces)} faces, and which is meant is not guessed: crop it to one, or add --largest"
            )
        landmarks = steady_landmarks(picture, faces, chosen, self._detector)
        crop = self._embedder.crop(picture, landmarks)
        fault = None if self._accept_faults else fault_of(crop, landmarks)
        if fault is not None:
            raise RefusedError(fault.reason)
        return crop


def open_photo(path: Path) -> BgrPicture:
    """Return a photo's picture. Raises RefusedError where it cannot be read."""
    try:
        return read_picture(path)
    except SourceOpenError as error:
        raise RefusedError("no readable picture") from error


def digest_of(path: Path) -> str:
    """Return the sha256 of a file. Raises RefusedError where it cannot be read."""
    try:
        if not path.exists():
            raise RefusedError("there is no such file")
        if not path.is_file():  # a pipe would be waited for without end
            raise RefusedError("no readable picture")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RefusedError(f"it cannot be read ({error.strerror})") from error


def thumbnail(crop: Crops) -> bytes:
    """Return a small JPEG picture of an (S, S, 3) uint8 BGR crop."""
    size = (_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS)
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    done, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])
    if not done:
        raise AssertionError("a crop can be written as JPEG")
    return bytes(content.tobytes())
