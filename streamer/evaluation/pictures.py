"""Evaluates naming, and emotions, in pictures whose truth is in a table, by what `streamer image` says of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.evaluation.labelled import ExpectedFace, JudgedFace, SeenFace, Verdict, judge
from streamer.evaluation.shares import Share
from streamer.pictures import Picture
from streamer.types import Annotation, FrameResult

Look = Callable[[Path], FrameResult]
OnJudged = Callable[[Picture, Sequence[JudgedFace]], None]


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
    look: Look,
    *,
    on_judged: OnJudged = lambda _picture, _faces: None,
) -> PictureFigures:
    """Judge the faces of all pictures.

    Args:
        labels: The faces that each picture shows.
        look: Finds and names the faces of a picture; what it raises ends all.
        on_judged: Gets each picture, upright, with its faces.
    """
    faces: list[JudgedFace] = []
    for path, expected in labels.items():
        result = look(path)
        judged = judge(path, expected, [_seen(face) for face in result.annotations])
        faces += judged
        on_judged(result.frame.picture, judged)
    return PictureFigures(tuple(faces), len(labels))


def _seen(face: Annotation) -> SeenFace:
    return SeenFace(
        face.track.xyxy,
        face.identity.name if face.identity is not None else None,
        face.emotion.label if face.emotion is not None else None,
    )
