"""A sheet of cards as one PNG picture: on each a face, a title and a few lines. What they say is told elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamer.fonts import TextRenderer, clean_text
from streamer.pictures import UInt8
from streamer.sinks.files import PartFile, write_error

SHEET_SUFFIXES = (".png",)
MAX_CARDS = 200  # a sheet of these is 10,000 px high

_COLUMNS = 5
_CROP, _PAD, _GAP, _MARGIN = 200, 14, 18, 28
_CARD_WIDTH = _CROP + 2 * _PAD
_TITLE, _TEXT = 17, 12  # font sizes, px
Rgb = tuple[int, int, int]
UNKNOWN_COLOUR: Rgb = (176, 50, 0)  # the annotator's for strangers
KNOWN_COLOUR: Rgb = (20, 110, 60)  # and for known people, dark enough for text on white
_GROUND, _CARD, _EDGE = (238, 240, 243), (255, 255, 255), (214, 218, 224)
_INK, _FAINT = (28, 32, 38), (98, 106, 118)


@dataclass(frozen=True, slots=True)
class Card:
    """One card.

    Attributes:
        title: In `colour`.
        jpeg: The face as a JPEG picture; None: there is none.
        lines: Below the title; of each the last word is kept where it is too long.
        colour: Of the title.
    """

    title: str
    jpeg: bytes | None
    lines: tuple[str, ...] = ()
    colour: Rgb = KNOWN_COLOUR


def write_sheet(path: Path, title: str, cards: Sequence[Card]) -> None:
    """Write the sheet of the first MAX_CARDS cards as a PNG, private to the user, in one step. Raises SinkError."""
    content = cv2.imencode(".png", sheet(title, cards[:MAX_CARDS])[:, :, ::-1])[1].tobytes()
    try:
        part = PartFile(path, mode=0o600)
        try:
            part.write(content)
            part.publish()
        except OSError:
            part.remove()
            raise
    except OSError as error:
        raise write_error(path, error) from error


def sheet(title: str, cards: Sequence[Card]) -> UInt8:
    """Return the sheet, (H, W, 3) uint8 RGB."""
    text = TextRenderer()
    most_lines = max((len(card.lines) for card in cards), default=0)
    drawn = [_drawn(card, most_lines, text) for card in cards]
    card_height = drawn[0].shape[0] if drawn else 0
    columns, rows = max(1, min(_COLUMNS, len(cards))), math.ceil(len(cards) / _COLUMNS)
    top = _MARGIN + text.line_height(_TITLE) + _GAP
    width = 2 * _MARGIN + columns * _CARD_WIDTH + (columns - 1) * _GAP
    height = top + max(0, rows * (card_height + _GAP) - _GAP) + _MARGIN
    picture = np.full((height, width, 3), _GROUND, np.uint8)
    _write(picture, text, title, _TITLE, (_MARGIN, _MARGIN), _INK)
    for place, card in enumerate(drawn):
        row, column = divmod(place, _COLUMNS)
        x, y = _MARGIN + column * (_CARD_WIDTH + _GAP), top + row * (card_height + _GAP)
        picture[y : y + card_height, x : x + _CARD_WIDTH] = card
    return picture


def _drawn(card: Card, most_lines: int, text: TextRenderer) -> UInt8:
    lines = [(card.title, _TITLE, card.colour), *((line, _TEXT, _FAINT) for line in card.lines)]
    sizes = [_TITLE] + [_TEXT] * most_lines
    height = 2 * _PAD + _CROP + 8 + sum(text.line_height(size) + 3 for size in sizes)
    picture = np.full((height, _CARD_WIDTH, 3), _CARD, np.uint8)
    picture[[0, -1]] = picture[:, [0, -1]] = _EDGE
    picture[_PAD : _PAD + _CROP, _PAD : _PAD + _CROP] = _crop(card.jpeg)
    y = _PAD + _CROP + 8
    for line, size, colour in lines:
        _write(picture, text, _shortened(clean_text(line), text, size), size, (_PAD, y), colour)
        y += text.line_height(size) + 3
    return picture


def _shortened(line: str, text: TextRenderer, size: int) -> str:
    """Cut a line that is too long before its last word, the time."""
    head, _, tail = line.rpartition(" ")
    if text.width(line, size) <= _CROP or not head:
        return text.fit(line, size, _CROP)
    return f"{text.fit(head, size, _CROP - text.width(f' {tail}', size))} {tail}"


def _crop(jpeg: bytes | None) -> UInt8:
    """Return the face, (_CROP, _CROP, 3) uint8 RGB; a grey square where none is kept or it is damaged."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if bgr is None:
        return np.full((_CROP, _CROP, 3), _EDGE, np.uint8)
    return np.asarray(cv2.resize(bgr, (_CROP, _CROP), interpolation=cv2.INTER_CUBIC)[:, :, ::-1], np.uint8)


def _write(picture: UInt8, text: TextRenderer, line: str, size: int, at: tuple[int, int], colour: Rgb) -> None:
    """Write a line with its upper left corner at (x, y); what lies beyond the picture is cut."""
    x, y = at
    ink = text.line(line, size)
    place = picture[y : y + ink.shape[0], x : x + ink.shape[1]]
    opacity = ink[: place.shape[0], : place.shape[1], None].astype(np.float32) / 255
    place[:] = np.round(place * (1 - opacity) + np.array(colour, np.float32) * opacity)
