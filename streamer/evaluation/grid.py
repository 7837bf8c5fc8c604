"""A sheet of judged faces as result figures of papers have them: green is right, red is wrong, names stand below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamer.evaluation.labelled import JudgedFace, Verdict
from streamer.evaluation.lettering import Colour, write_line
from streamer.evaluation.pictures import PictureFigures
from streamer.fonts import TextRenderer, clean_text
from streamer.pictures import Picture, UInt8
from streamer.sinks.png import write_png

MOST_CELLS = 300

_WHITE, _INK, _GREY = (255, 255, 255), (40, 40, 40), (110, 110, 110)
# Dark enough for text on white (5 to 1), and told apart by the colour-blind by the sign before the name, too.
_GREEN, _RED = (70, 130, 0), (40, 40, 200)
_THUMB, _LINE, _GAP, _MARGIN = 200, 6, 22, 28
_TITLE_SIZE, _NAME_SIZE, _SMALL_SIZE = 26, 17, 14
_MOST_COLUMNS = 8
# Of the larger side of a face's box; so much around it shows who and where somebody is.
_AROUND = 1.9


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One face on the sheet.

    Attributes:
        thumbnail: (S, S, 3) uint8 BGR.
        is_right: It was named as it should be.
        given: What was said of it.
        below: Further lines of text, each right or wrong, or neither (None).
    """

    thumbnail: UInt8
    is_right: bool
    given: str
    below: tuple[tuple[str, bool | None], ...]


class Sheet:
    """Collects cells while pictures are judged: all that are wrong, and right ones as far as there is room."""

    def __init__(self) -> None:
        self._cells: list[Cell] = []
        self.left_out = 0

    def add(self, picture: Picture, faces: Sequence[JudgedFace]) -> None:
        """Take the faces of a picture; one that the table does not have only where it was given a name."""
        for face in faces:
            if face.expected is not None or face.is_misnamed:
                self._make_room(face.verdict is Verdict.RIGHT)
                if len(self._cells) < MOST_CELLS:
                    self._cells.append(cell(picture, face))
                else:
                    self.left_out += 1

    def _make_room(self, is_right: bool) -> None:
        """Let a wrong face take the place of the last right one on a full sheet."""
        if is_right or len(self._cells) < MOST_CELLS:
            return
        last = max((place for place, one in enumerate(self._cells) if one.is_right), default=None)
        if last is not None:
            del self._cells[last]
            self.left_out += 1

    def write(self, path: Path, figures: PictureFigures) -> None:
        """Draw the sheet and write it as PNG. Raises SinkError."""
        write_png(path, draw_sheet(self._cells, _title(figures)))


def _title(figures: PictureFigures) -> str:
    listed, wrong, missed = figures.listed, figures.count(Verdict.WRONG), figures.count(Verdict.MISSED)
    strays = sum(face.is_misnamed for face in figures.faces if face.expected is None)
    others = f" · {strays} named that the table does not have" if strays else ""
    return f"{listed.hits} of {listed.total} right · {wrong} wrong · {missed} not found{others}"


def cell(picture: Picture, face: JudgedFace) -> Cell:
    """Return the cell of one face."""
    is_right = face.verdict is Verdict.RIGHT
    given = "no face found" if face.seen is None else _name(face.seen.name)
    expected = "not in the table" if face.expected is None else f"expected: {_name(face.expected.name)}"
    below: list[tuple[str, bool | None]] = [(expected, None)]
    if face.expected is not None and face.expected.emotion is not None and face.seen is not None:
        told, wanted = face.seen.emotion or "no emotion", face.expected.emotion
        below.append((told if told == wanted else f"{told}, not {wanted}", told == wanted))
    return Cell(_thumbnail(picture, face, _GREEN if is_right else _RED), is_right, given, tuple(below))


def _name(name: str | None) -> str:
    return "unknown" if name is None else clean_text(name) or "?"


def _thumbnail(picture: Picture, face: JudgedFace, colour: Colour) -> UInt8:
    """Return the surroundings of a face with its box; of one that was not found, those of its point or the picture."""
    width, height = picture.width, picture.height
    if face.seen is not None:
        x1, y1, x2, y2 = (float(edge) for edge in face.seen.xyxy)
        side = min(_AROUND * max(x2 - x1, y2 - y1), width, height)
        middle = (x1 + x2) / 2, (y1 + y2) / 2
    elif face.expected is not None and face.expected.point is not None:
        side, middle = min(width, height) / 3, face.expected.point
    else:
        side, middle = min(width, height), (width / 2, height / 2)
    side = max(1, round(side))
    left = round(min(max(middle[0] - side / 2, 0), width - side))
    top = round(min(max(middle[1] - side / 2, 0), height - side))
    region = picture.bgr_region((left, top, left + side, top + side))
    shrinks = side > _THUMB
    thumb = cv2.resize(region, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    if face.seen is not None:
        corners = (face.seen.xyxy - np.array([left, top, left, top], np.float32)) * (_THUMB / side)
        start, end = np.rint(corners).astype(int)[:2].tolist(), np.rint(corners).astype(int)[2:].tolist()
        cv2.rectangle(thumb, start, end, colour, 2, cv2.LINE_AA)
    return np.asarray(thumb, np.uint8)


def draw_sheet(cells: Sequence[Cell], title: str) -> UInt8:
    """Return the sheet, (H, W, 3) uint8 BGR: a title, and cells in rows."""
    text = TextRenderer()
    columns = min(_MOST_COLUMNS, max(1, math.ceil(math.sqrt(len(cells) * 1.5))))
    rows = math.ceil(len(cells) / columns)
    below = max((len(one.below) for one in cells), default=0)
    outer = _THUMB + 2 * _LINE
    caption = text.line_height(_NAME_SIZE) + below * text.line_height(_SMALL_SIZE) + 6
    title_height = text.line_height(_TITLE_SIZE) + _GAP
    wide = columns * (outer + _GAP) - _GAP
    wide = max(wide, min(text.width(title, _TITLE_SIZE), 3 * outer))
    height = 2 * _MARGIN + title_height + max(0, rows * (outer + caption + _GAP) - _GAP)
    sheet = np.full((height, wide + 2 * _MARGIN, 3), _WHITE, np.uint8)
    write_line(sheet, text, text.fit(title, _TITLE_SIZE, wide), (_MARGIN, _MARGIN), _TITLE_SIZE, _INK)
    for place, one in enumerate(cells):
        left = _MARGIN + place % columns * (outer + _GAP)
        top = _MARGIN + title_height + place // columns * (outer + caption + _GAP)
        _draw_cell(sheet, text, one, left, top)
    return sheet


def _draw_cell(sheet: UInt8, text: TextRenderer, one: Cell, left: int, top: int) -> None:
    outer, colour = _THUMB + 2 * _LINE, _GREEN if one.is_right else _RED
    sheet[top : top + outer, left : left + outer] = colour
    sheet[top + _LINE : top + _LINE + _THUMB, left + _LINE : left + _LINE + _THUMB] = one.thumbnail
    line = text.fit(f"{'✓' if one.is_right else '✗'} {one.given}", _NAME_SIZE, outer)
    place = top + outer + 6
    write_line(sheet, text, line, (left, place), _NAME_SIZE, colour)
    place += text.line_height(_NAME_SIZE)
    for words, is_right in one.below:
        shade = _GREY if is_right is None else _GREEN if is_right else _RED
        write_line(sheet, text, text.fit(words, _SMALL_SIZE, outer), (left, place), _SMALL_SIZE, shade)
        place += text.line_height(_SMALL_SIZE)
