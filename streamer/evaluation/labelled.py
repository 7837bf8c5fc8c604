"""Whom pictures show: a table of truth, which found face each of its rows is about, and whether the answer is right."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import GalleryError, SourceOpenError, UsageError, printable
from streamer.evaluation.matching import assign
from streamer.recognition.people import clean_name
from streamer.tables import TableRow, read_table
from streamer.types import EMOTIONS, Float32

_STRANGER = "unknown"


@dataclass(frozen=True, slots=True)
class ExpectedFace:
    """One row of a table of truth.

    Attributes:
        line: Of the table.
        name: Who it is; None: a stranger.
        point: x and y inside the face, px of the picture turned upright; None: not stated.
        emotion: One of `EMOTIONS`; None: not stated.
    """

    line: int
    name: str | None
    point: tuple[float, float] | None = None
    emotion: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """What was found in a picture.

    Attributes:
        xyxy: (4,) float32 px of the picture turned upright.
        name: None: called unknown, or too small to be named.
        emotion: None: not assessed, or abstained.
    """

    xyxy: Float32
    name: str | None
    emotion: str | None = None


class Verdict(enum.StrEnum):
    """What became of a face; `EXTRA`: it was found, but no row is about it."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSED = "missed"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFace:
    """One face of a picture.

    Attributes:
        picture: Where it is.
        expected: None: the table does not have it.
        seen: None: it was not found.
    """

    picture: Path
    expected: ExpectedFace | None
    seen: SeenFace | None

    @property
    def verdict(self) -> Verdict:
        """Whether the right name was given, or none to a stranger; the emotion is judged for itself."""
        if self.expected is None:
            return Verdict.EXTRA
        if self.seen is None:
            return Verdict.MISSED
        return Verdict.RIGHT if self.seen.name == self.expected.name else Verdict.WRONG

    @property
    def is_misnamed(self) -> bool:
        """A name was given that is not this face's; one to a face that the table does not have counts, too."""
        if self.seen is None or self.seen.name is None:
            return False
        return self.expected is None or self.seen.name != self.expected.name


def read_labels(path: Path, folder: Path) -> dict[Path, list[ExpectedFace]]:
    """Read a table of truth: columns image and name, a row a face; optional columns x and y, and emotion.

    An empty name, or "unknown", is a stranger.

    Args:
        path: The CSV file.
        folder: What the pictures' paths start from.

    Returns:
        The faces of each picture, in the table's order.

    Raises:
        SourceOpenError: The table, or a picture, is not there.
        UsageError: A cell is not as it should be.
    """
    faces: dict[Path, list[ExpectedFace]] = {}
    for row in read_table(path, ("image", "name"), ("x", "y", "emotion")):
        if not row.cells["image"]:
            raise UsageError(f"{printable(path)}, line {row.line}: column image is empty; name a picture")
        picture = folder / row.cells["image"]
        if not picture.is_file():
            raise SourceOpenError(f"{printable(path)}, line {row.line}: there is no picture {printable(picture)}")
        faces.setdefault(picture, []).append(_expected(path, row))
    return faces


def _expected(path: Path, row: TableRow) -> ExpectedFace:
    where, text = f"{printable(path)}, line {row.line}", row.cells["name"]
    try:
        name = None if text.lower() in ("", _STRANGER) else clean_name(text)
    except GalleryError as error:
        raise UsageError(f"{where}: {error}") from error
    emotion = row.cells.get("emotion", "").lower() or None
    if emotion is not None and emotion not in EMOTIONS:
        raise UsageError(f"{where}: {printable(emotion)!r} is no emotion; choose from {', '.join(EMOTIONS)}")
    return ExpectedFace(row.line, name, _point(where, row.cells.get("x", ""), row.cells.get("y", "")), emotion)


def _point(where: str, x: str, y: str) -> tuple[float, float] | None:
    if not x and not y:
        return None
    try:
        point = float(x), float(y)
    except ValueError:
        point = math.nan, math.nan
    if not all(map(math.isfinite, point)):
        raise UsageError(
            f"{where}: x and y are {printable(x)!r} and {printable(y)!r}; give both in pixels, or leave both empty"
        )
    return point


def check_known(path: Path, faces: Sequence[ExpectedFace], names: Collection[str]) -> None:
    """Raise GalleryError where the truth has a name that nobody in the gallery has."""
    for face in faces:
        if face.name is not None and face.name not in names:
            raise GalleryError(
                f"{printable(path)}, line {face.line}: nobody in the gallery is called {printable(face.name)!r}; "
                "enrol them, correct the name, or write unknown"
            )


def judge(picture: Path, expected: Sequence[ExpectedFace], seen: Sequence[SeenFace]) -> list[JudgedFace]:
    """Find out which face each row is about, and return all of both.

    A row with a point is about the face around it. The others, in this order: about a face that was given its name (or
    none, where it is a stranger's); about any face that is left, the largest first; about none.
    """
    partner = _by_point(expected, seen)
    free_rows = [row for row, face in enumerate(expected) if face.point is None]
    largest_first = sorted(range(len(seen)), key=lambda place: (-_area(seen[place]), place))
    free_faces = [place for place in largest_first if place not in partner.values()]
    for is_fitting in (True, False):
        for row in list(free_rows):
            fitting = (place for place in free_faces if not is_fitting or seen[place].name == expected[row].name)
            place = next(fitting, None)
            if place is not None:
                partner[row] = place
                free_rows.remove(row)
                free_faces.remove(place)
    judged = [
        JudgedFace(picture, face, seen[partner[row]] if row in partner else None) for row, face in enumerate(expected)
    ]
    taken = set(partner.values())
    return judged + [JudgedFace(picture, None, face) for place, face in enumerate(seen) if place not in taken]


def _by_point(expected: Sequence[ExpectedFace], seen: Sequence[SeenFace]) -> dict[int, int]:
    """Return for rows with a point the face around it; of several the one whose middle is nearest to it."""
    gains = np.zeros((len(expected), len(seen)))
    for row, face in enumerate(expected):
        for place, other in enumerate(seen):
            left, top, right, bottom = (float(edge) for edge in other.xyxy)
            if face.point is not None and left <= face.point[0] <= right and top <= face.point[1] <= bottom:
                distance = math.dist(face.point, ((left + right) / 2, (top + bottom) / 2))
                gains[row, place] = 1 / (1 + distance)
    rows, places = assign(gains)
    return dict(zip(rows.tolist(), places.tolist(), strict=True))


def _area(face: SeenFace) -> float:
    return float((face.xyxy[2] - face.xyxy[0]) * (face.xyxy[3] - face.xyxy[1]))
