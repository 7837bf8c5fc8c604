"""Draws which emotions are taken for which: a row for each that faces show, a column for each that was said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from streamer.evaluation.emotion import EmotionFigures
from streamer.evaluation.lettering import Colour, write_line, write_line_upwards
from streamer.fonts import TextRenderer
from streamer.pictures import UInt8
from streamer.sinks.png import write_png
from streamer.types import EMOTIONS

_WHITE, _INK, _GREY, _RULE = (255, 255, 255), (40, 40, 40), (95, 95, 95), (205, 205, 205)
# BGR, one hue from light to dark, so that the colour-blind and printers without colour see the order: Brewer's Blues.
_RAMP = np.array(
    [
        (255, 251, 247),
        (247, 235, 222),
        (239, 219, 198),
        (225, 202, 158),
        (214, 174, 107),
        (198, 146, 66),
        (181, 113, 33),
        (156, 81, 8),
        (107, 48, 8),
    ],
    np.float32,
)
_CELL, _GAP, _MARGIN = 100, 3, 30
_TITLE_SIZE, _NAME_SIZE, _COUNT_SIZE, _SMALL_SIZE = 26, 17, 22, 14
_SCALE_WIDTH = 18
_DARK_LUMINANCE = 0.22  # below it white text has more contrast than ink
_Place = tuple[int, int]


def write_matrix(path: Path, figures: EmotionFigures, title: str) -> None:
    """Draw the matrix and write it as PNG. Raises SinkError."""
    write_png(path, draw_matrix(figures, title))


def draw_matrix(figures: EmotionFigures, title: str) -> UInt8:
    """Return the matrix with counts, shares of the rows, recall and precision: (H, W, 3) uint8 BGR.

    Args:
        figures: What is drawn.
        title: Of what, on one line.
    """
    text = TextRenderer()
    side = len(EMOTIONS) * (_CELL + _GAP) - _GAP
    names = max(text.width(name, _NAME_SIZE) for name in EMOTIONS)
    left = _MARGIN + 2 * text.line_height(_NAME_SIZE) + names + 12
    top = _MARGIN + text.line_height(_TITLE_SIZE) + 3 * text.line_height(_NAME_SIZE) + 20
    precision = text.line_height(_NAME_SIZE) + 16
    recall = _GAP + _CELL + 24
    sheet = np.full((top + side + precision + _MARGIN, left + side + recall + 90 + _MARGIN, 3), _WHITE, np.uint8)
    whole = sheet.shape[1] - 2 * _MARGIN
    write_line(sheet, text, text.fit(title, _TITLE_SIZE, whole), (_MARGIN, _MARGIN), _TITLE_SIZE, _INK)
    corner = (left, top)
    _draw_axes(sheet, text, corner, side)
    _draw_cells(sheet, text, figures, corner)
    _draw_margins(sheet, text, figures, corner, side)
    _draw_scale(sheet, text, (left + side + recall, top), side)
    return sheet


def _draw_axes(sheet: UInt8, text: TextRenderer, corner: _Place, side: int) -> None:
    """Name rows and columns, and say what they are."""
    left, top = corner
    line = text.line_height(_NAME_SIZE)
    said, shown = "what the net says", "what the face shows"
    _centred(sheet, text, said, (left + side // 2, top - 2 * line - 12), _NAME_SIZE, _GREY)
    down = top + (side - text.width(shown, _NAME_SIZE)) // 2
    write_line_upwards(sheet, text, shown, (_MARGIN, down), _NAME_SIZE, _GREY)
    for place, name in enumerate(EMOTIONS):
        start = place * (_CELL + _GAP)
        _centred(sheet, text, name, (left + start + _CELL // 2, top - line - 6), _NAME_SIZE, _INK)
        across = left - 12 - text.width(name, _NAME_SIZE)
        write_line(sheet, text, name, (across, top + start + (_CELL - line) // 2), _NAME_SIZE, _INK)


def _draw_cells(sheet: UInt8, text: TextRenderer, figures: EmotionFigures, corner: _Place) -> None:
    """Draw counts on the colour of their share of the row; a row without faces stays white."""
    left, top = corner
    for row, counts in enumerate(figures.confusion.tolist()):
        for column, count in enumerate(counts):
            x, y = left + column * (_CELL + _GAP), top + row * (_CELL + _GAP)
            _draw_cell(sheet[y : y + _CELL, x : x + _CELL], text, count, sum(counts))


def _draw_cell(cell: UInt8, text: TextRenderer, count: int, faces: int) -> None:
    """Draw one count of a row of `faces` faces."""
    if not faces:
        cell[:] = _RULE
        cell[1:-1, 1:-1] = _WHITE
        return
    colour = _colour(count / faces)
    cell[:] = colour
    height, small = text.line_height(_COUNT_SIZE), text.line_height(_SMALL_SIZE)
    if not count:  # what never happens shall not distract
        _centred(cell, text, "0", (_CELL // 2, (_CELL - small) // 2), _SMALL_SIZE, _GREY)
        return
    ink = _INK if _luminance(colour) > _DARK_LUMINANCE else _WHITE
    line_top = (_CELL - height - small) // 2
    _centred(cell, text, f"{count:,}", (_CELL // 2, line_top), _COUNT_SIZE, ink)
    _centred(cell, text, f"{100 * count / faces:.1f} %", (_CELL // 2, line_top + height), _SMALL_SIZE, ink)


def _draw_margins(sheet: UInt8, text: TextRenderer, figures: EmotionFigures, corner: _Place, side: int) -> None:
    """Write recall beside the rows and precision below the columns."""
    left, top = corner
    line, small = text.line_height(_NAME_SIZE), text.line_height(_SMALL_SIZE)
    right = left + side + _GAP + _CELL // 2
    _centred(sheet, text, "recall", (right, top - line - 6), _NAME_SIZE, _GREY)
    across = left - 12 - text.width("precision", _NAME_SIZE)
    write_line(sheet, text, "precision", (across, top + side + 10), _NAME_SIZE, _GREY)
    for place, one in enumerate(figures.classes):
        start = place * (_CELL + _GAP) + (_CELL - line - small) // 2
        _centred(sheet, text, _percent(one.recall.value), (right, top + start), _NAME_SIZE, _INK)
        _centred(sheet, text, f"of {one.recall.total:,}", (right, top + start + line), _SMALL_SIZE, _GREY)
        middle = left + place * (_CELL + _GAP) + _CELL // 2
        _centred(sheet, text, _percent(one.precision.value), (middle, top + side + 10), _NAME_SIZE, _INK)


def _draw_scale(sheet: UInt8, text: TextRenderer, corner: _Place, side: int) -> None:
    """Draw which colour is which share of a row."""
    left, top = corner
    for y in range(side):
        sheet[top + y, left : left + _SCALE_WIDTH] = _colour(1 - y / (side - 1))
    cv2.rectangle(sheet, (left, top), (left + _SCALE_WIDTH - 1, top + side - 1), _RULE, 1)
    height = text.line_height(_SMALL_SIZE)
    for share in (0, 25, 50, 75, 100):
        y = top + round((1 - share / 100) * (side - 1)) - height // 2
        write_line(sheet, text, f"{share} %", (left + _SCALE_WIDTH + 8, y), _SMALL_SIZE, _GREY)


def _centred(sheet: UInt8, text: TextRenderer, line: str, place: _Place, size: int, colour: Colour) -> None:
    """Write a line whose middle, at its top, is at `place`."""
    write_line(sheet, text, line, (place[0] - text.width(line, size) // 2, place[1]), size, colour)


def _colour(share: float) -> Colour:
    """Return the colour of a share of a row, 0..1."""
    at = share * (len(_RAMP) - 1)
    before = min(int(at), len(_RAMP) - 2)
    blue, green, red = _RAMP[before] + (at - before) * (_RAMP[before + 1] - _RAMP[before])
    return round(float(blue)), round(float(green)), round(float(red))


def _luminance(colour: Colour) -> float:
    """Return the relative luminance of sRGB, 0..1, as the web's guidelines on contrast (WCAG 2) have it."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in np.array(colour) / 255
    ]
    return float(np.dot(linear, (0.0722, 0.7152, 0.2126)))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
