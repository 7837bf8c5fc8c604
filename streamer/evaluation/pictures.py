"""Evaluates naming, and emotions, in pictures whose truth is in a table: finds, names and judges every face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.emotion.smoothing import EmotionSmoother
from streamer.evaluation.labelled import ExpectedFace, JudgedFace, SeenFace, Verdict, judge
from streamer.evaluation.matching import sides
from streamer.evaluation.shares import Share
from streamer.photos import read_picture
from streamer.pictures import BgrPicture
from streamer.recognition.photo_faces import locate_faces
from streamer.recognition.photo_vectors import photo_vectors
from streamer.recognition.vote import one_name_once
from streamer.stages import Detector, Embedder, EmotionClassifier, Matcher
from streamer.types import Faces, Float32

OnJudged = Callable[[BgrPicture, Sequence[JudgedFace]], None]


@dataclass(frozen=True, slots=True)
class PictureStages:
    """What finds and names faces in pictures.

    Attributes:
        detector: Finds them.
        embedder: Makes vectors of them.
        matcher: Names those.
        emotion: None: emotions are not read.
        min_face_pixels: Smaller faces are not named.
    """

    detector: Detector
    embedder: Embedder
    matcher: Matcher
    emotion: EmotionClassifier | None
    min_face_pixels: float


@dataclass(frozen=True, slots=True)
class PictureFigures:
    """What became of all faces.

    Attributes:
        faces: Each one, picture by picture: those of the table first, then those that it does not have.
        pictures: How many.
    """

    faces: tuple[JudgedFace, ...]
    pictures: int

    def count(self, verdict: Verdict) -> int:
        """Return how many faces have a verdict."""
        return sum(face.verdict is verdict for face in self.faces)

    @property
    def listed(self) -> Share:
        """Of the faces in the table, those that were found and named right, or left unnamed where a stranger's."""
        return Share(self.count(Verdict.RIGHT), len(self.faces) - self.count(Verdict.EXTRA))

    @property
    def known(self) -> Share:
        """Of the faces with a name in the table, those that were found and given it."""
        rights = [face.verdict is Verdict.RIGHT for face in self.faces if face.expected and face.expected.name]
        return Share(sum(rights), len(rights))

    @property
    def strangers(self) -> Share:
        """Of the strangers in the table that were found, those who were left unnamed."""
        found = [face for face in self.faces if face.expected and face.seen and face.expected.name is None]
        return Share(sum(face.verdict is Verdict.RIGHT for face in found), len(found))

    @property
    def emotions(self) -> Share:
        """Of the faces with an emotion in the table that were found, those of which it was told; none told is wrong."""
        told = [
            face.seen.emotion == face.expected.emotion
            for face in self.faces
            if face.expected and face.seen and face.expected.emotion
        ]
        return Share(sum(told), len(told))

    @property
    def misnamed(self) -> int:
        """How many faces were given a name that is not theirs, those that the table does not have included."""
        return sum(face.is_misnamed for face in self.faces)


def evaluate_pictures(
    labels: Mapping[Path, Sequence[ExpectedFace]],
    stages: PictureStages,
    *,
    on_judged: OnJudged = lambda _picture, _faces: None,
) -> PictureFigures:
    """Judge the faces of all pictures; `on_judged` gets each picture, upright, with its faces.

    Raises:
        SourceOpenError: A picture cannot be read.
    """
    faces: list[JudgedFace] = []
    for path, expected in labels.items():
        picture = read_picture(path)
        judged = judge(path, expected, see(picture, stages))
        faces += judged
        on_judged(picture, judged)
    return PictureFigures(tuple(faces), len(labels))


def see(picture: BgrPicture, stages: PictureStages) -> list[SeenFace]:
    """Find and name all faces of a picture."""
    searched, faces = locate_faces(picture, stages.detector)
    is_large = sides(faces.xyxy) >= stages.min_face_pixels
    names: list[str | None] = [None] * len(faces)
    emotions: list[str | None] = [None] * len(faces)
    rows = np.flatnonzero(is_large).tolist()
    for row, name, emotion in zip(
        rows, _names(searched, faces[is_large], stages), _emotions(searched, faces[is_large], stages), strict=True
    ):
        names[row], emotions[row] = name, emotion
    boxes = _in_photo(faces.xyxy, picture, searched)
    return [SeenFace(*face) for face in zip(boxes, names, emotions, strict=True)]


def _names(picture: BgrPicture, faces: Faces, stages: PictureStages) -> list[str | None]:
    if not len(faces):
        return []
    crops = [stages.embedder.crop(picture, landmarks) for landmarks in faces.landmarks]
    identities = one_name_once(stages.matcher.match(photo_vectors(crops, stages.embedder)))
    return [None if identity is None else identity.name for identity in identities]


def _emotions(picture: BgrPicture, faces: Faces, stages: PictureStages) -> list[str | None]:
    if stages.emotion is None or not len(faces):
        return [None] * len(faces)
    crops = np.stack([stages.emotion.crop(picture, landmarks) for landmarks in faces.landmarks])
    # A picture stands for itself, so a smoother that has seen nothing before only decides whether to abstain.
    return [EmotionSmoother(0.0).update(row, 0.0).label for row in stages.emotion.classify(crops)]


def _in_photo(xyxy: Float32, picture: BgrPicture, searched: BgrPicture) -> Float32:
    """Return (N, 4) boxes in a photo's own pixels: `locate_faces` may have shrunk it and put a frame around it.

    The frame is half as wide as the shrunk photo on each side, rounded down.
    """
    if searched is picture:
        return xyxy
    width, height = (searched.width + 1) // 2, (searched.height + 1) // 2
    shift = np.array([width // 2, height // 2], np.float32)
    scale = np.array([picture.width / width, picture.height / height], np.float32)
    return np.asarray((xyxy - np.tile(shift, 2)) * np.tile(scale, 2), np.float32)
