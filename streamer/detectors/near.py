"""Finding a face again near where it is expected, for a small part of what a whole-picture search costs.

O-Net looks at the one square about the expected box. Only where it is unsure, or the box jumped, fifteen candidates
about it go through R-Net, which keeps two for O-Net. Measured on a street scene with a whole search every 5 frames this
keeps recall .990 at precision .985 (faces of 40 px and more) for a third of what trying all fifteen costs always; the
one square alone reaches .944.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer import geometry
from streamer.detectors import boxes as box
from streamer.detectors.cascade import Candidates, Part, PreparedPictures, output, refined
from streamer.pictures import Picture
from streamer.types import Faces, Float32

_SCALES = (1.0, 0.85, 1.18)
_SHIFTS = ((0.0, 0.0), (-0.12, 0.0), (0.12, 0.0), (0.0, -0.12), (0.0, 0.12))  # in sides of the expected square
_CANDIDATES = len(_SCALES) * len(_SHIFTS)
_KEPT = 2
_SURE_SCORE = 0.9
_HINT_SCORE = 0.3  # below it O-Net saw no face at all
_SURE_IOU = 0.6  # less overlap with the expected box: it jumped, look wider
# All candidates and their corrections lie within this many sides of the expected square's centre.
_REACH = 0.95


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of pictures in which N expected faces are searched.

    Attributes:
        parts: N, none empty.
        offsets: (N, 2) float32 where each lies in its picture, x and y.
        owners: (N,) indices of the pictures.
        expected: (N, 4) float32 px, in the part's coordinates.
    """

    parts: list[Part]
    offsets: Float32
    owners: box.Rows
    expected: Float32


def surroundings(pictures: Sequence[Picture], boxes: Sequence[Float32]) -> Surroundings:
    """Return the parts that any candidate about each picture's (N, 4) boxes may need; the rest is never converted.

    Boxes that lie outside their picture are left out.
    """
    xyxy = np.concatenate([np.zeros((0, 4), np.float32), *boxes])
    owners = np.repeat(np.arange(len(boxes)), [len(wanted) for wanted in boxes])
    sizes = np.array([(picture.width, picture.height) for picture in pictures], np.int64).reshape(-1, 2)[owners]
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    reach = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, initial=0)[:, None] * np.float32(_REACH)
    low = np.clip(np.floor(centres - reach), 0, sizes).astype(np.int64)
    high = np.clip(np.ceil(centres + reach), 0, sizes).astype(np.int64)
    inside = np.flatnonzero((high > low).all(axis=1))
    low, high, owners = low[inside], high[inside], owners[inside]
    parts = [
        Part(pictures[owner], (x1, y1, x2, y2))
        for owner, (x1, y1), (x2, y2) in zip(owners.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    return Surroundings(parts, low.astype(np.float32), owners, (xyxy[inside] - np.tile(low, 2)).astype(np.float32))


def search(parts: PreparedPictures, expected: Float32) -> Faces:
    """Return one face an expected (N, 4) box, each in its own part's coordinates; score 0 where there was nothing."""
    every = np.arange(len(expected), dtype=np.intp)
    best = _looked_at(parts, expected, every, len(expected))
    is_sure = _is_sure(best, expected)
    # Where O-Net saw a face a little aside, it is right once it looks straight at it.
    aside = np.flatnonzero(~is_sure & (best.scores >= _HINT_SCORE))
    if len(aside):
        again = _looked_at(parts, best.xyxy, aside, len(expected))
        is_sure |= _is_sure(again, best.xyxy)
        best = _better(best, again)
    unsure = np.flatnonzero(~is_sure)
    if not len(unsure):
        return best
    spread = _spread(box.squares_about(expected[unsure]))
    owners = np.repeat(unsure, _CANDIDATES).astype(np.intp)
    judged, corrected = refined(parts, Candidates(spread, np.ones(len(owners), np.float32), owners))
    ranking = np.lexsort((-judged.scores, judged.owners))
    place = np.arange(len(ranking)) - np.searchsorted(judged.owners[ranking], judged.owners[ranking])
    rows = ranking[place < _KEPT]
    kept = Candidates(box.squares_about(corrected[rows]), judged.scores[rows], judged.owners[rows])
    return _better(best, _best(*output(parts, kept), len(expected)))


def _looked_at(parts: PreparedPictures, xyxy: Float32, rows: box.Rows, count: int) -> Faces:
    """Return what O-Net sees in the squares about the given rows of (count, 4) boxes; score 0 for the others."""
    squares = Candidates(box.squares_about(xyxy[rows]), np.ones(len(rows), np.float32), rows)
    return _best(*output(parts, squares), count)


def _is_sure(found: Faces, looked_at: Float32) -> npt.NDArray[np.bool_]:
    """Say of each face whether O-Net is sure of it and found it where it looked."""
    return (found.scores >= _SURE_SCORE) & (np.diagonal(geometry.iou(found.xyxy, looked_at)) >= _SURE_IOU)


def _spread(squares: Float32) -> Float32:
    """Return (N · 15, 4) candidates about (N, 4) squares, grouped by square."""
    sides = (squares[:, 2:3] - squares[:, 0:1])[:, None]
    centres = ((squares[:, :2] + squares[:, 2:]) / 2)[:, None] + sides * np.array(_SHIFTS, np.float32)[None]
    candidates = [np.concatenate([centres - sides * s / 2, centres + sides * s / 2], axis=2) for s in _SCALES]
    return np.concatenate(candidates, axis=1).reshape(-1, 4).astype(np.float32)


def _best(faces: Faces, owners: box.Rows, count: int) -> Faces:
    """Return the best face of each of `count` owners; score 0 for an owner without any."""
    rising = np.argsort(faces.scores, kind="stable")
    xyxy, scores = np.zeros((count, 4), np.float32), np.zeros(count, np.float32)
    landmarks = np.zeros((count, 5, 2), np.float32)
    places = owners[rising]  # of several values for one place the last stays: the highest score
    xyxy[places], scores[places], landmarks[places] = faces.xyxy[rising], faces.scores[rising], faces.landmarks[rising]
    return Faces(xyxy, scores, landmarks)


def _better(first: Faces, second: Faces) -> Faces:
    """Return, row by row, the face with the higher score."""
    wins = second.scores > first.scores
    return Faces(
        np.where(wins[:, None], second.xyxy, first.xyxy),
        np.where(wins, second.scores, first.scores),
        np.where(wins[:, None, None], second.landmarks, first.landmarks),
    )
