"""A sheet of cards, one a stranger: the best crop, how long they are seen, and where first and last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from streamer.fonts import TextRenderer, clean_text
from streamer.pictures import UInt8
from streamer.sinks.files import PartFile, write_error
from streamer.strangers import Stranger

SHEET_SUFFIXES = (".png",)
MAX_CARDS = 200  # a sheet of these is 10,000 px high; whoever is seen longest comes first

_COLUMNS = 5
_CROP, _PAD, _GAP, _MARGIN = 200, 14, 18, 28
_CARD_WIDTH = _CROP + 2 * _PAD
_TITLE, _TEXT = 17, 12  # font sizes, px
_Rgb = tuple[int, int, int]
_GROUND, _CARD, _EDGE = (238, 240, 243), (255, 255, 255), (214, 218, 224)
_INK, _FAINT, _ACCENT = (28, 32, 38), (98, 106, 118), (176, 50, 0)  # the accent is the annotator's for strangers


def clock(seconds: float) -> str:
    """Return a time of a stream as people read it: 1:02:03.4."""
    tenths = round(max(seconds, 0.0) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{rest / 10:04.1f}" if hours else text


def first_seen(stranger: Stranger) -> str:
    """Say where and when a stranger is seen first."""
    return f"{stranger.tracks[0].path.name} {clock(stranger.tracks[0].track.first_seconds)}"


def last_seen(stranger: Stranger) -> str:
    """Say where and when a stranger is seen last."""
    return f"{stranger.last.path.name} {clock(stranger.last.track.last_seconds)}"


def write_sheet(path: Path, strangers: Sequence[Stranger]) -> None:
    """Write the sheet of the first MAX_CARDS strangers as a PNG, private to the user, in one step. Raises SinkError."""
    content = cv2.imencode(".png", sheet(strangers[:MAX_CARDS])[:, :, ::-1])[1].tobytes()
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


def sheet(strangers: Sequence[Stranger]) -> UInt8:
    """Return the sheet, (H, W, 3) uint8 RGB."""
    text = TextRenderer()
    cards = [_card(stranger, text) for stranger in strangers]
    card_height = cards[0].shape[0] if cards else 0
    columns, rows = max(1, min(_COLUMNS, len(cards))), math.ceil(len(cards) / _COLUMNS)
    title = "1 stranger" if len(cards) == 1 else f"{len(cards)} strangers"
    top = _MARGIN + text.line_height(_TITLE) + _GAP
    width = 2 * _MARGIN + columns * _CARD_WIDTH + (columns - 1) * _GAP
    height = top + max(0, rows * (card_height + _GAP) - _GAP) + _MARGIN
    picture = np.full((height, width, 3), _GROUND, np.uint8)
    _write(picture, text, title, _TITLE, (_MARGIN, _MARGIN), _INK)
    for place, card in enumerate(cards):
        row, column = divmod(place, _COLUMNS)
        x, y = _MARGIN + column * (_CARD_WIDTH + _GAP), top + row * (card_height + _GAP)
        picture[y : y + card_height, x : x + _CARD_WIDTH] = card
    return picture


def _card(stranger: Stranger, text: TextRenderer) -> UInt8:
    tracks = "1 track" if len(stranger.tracks) == 1 else f"{len(stranger.tracks)} tracks"
    lines = [
        (f"Stranger {stranger.number}", _TITLE, _ACCENT),
        (f"{stranger.seconds:.1f} s in {tracks}", _TEXT, _INK),
        (f"first  {first_seen(stranger)}", _TEXT, _FAINT),
        (f"last  {last_seen(stranger)}", _TEXT, _FAINT),
    ]
    height = 2 * _PAD + _CROP + 8 + sum(text.line_height(size) + 3 for _, size, _ in lines)
    card = np.full((height, _CARD_WIDTH, 3), _CARD, np.uint8)
    card[[0, -1]] = card[:, [0, -1]] = _EDGE
    card[_PAD : _PAD + _CROP, _PAD : _PAD + _CROP] = _crop(stranger.crop)
    y = _PAD + _CROP + 8
    for line, size, colour in lines:
        _write(card, text, _shortened(clean_text(line), text, size), size, (_PAD, y), colour)
        y += text.line_height(size) + 3
    return card


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


def _write(picture: UInt8, text: TextRenderer, line: str, size: int, at: tuple[int, int], colour: _Rgb) -> None:
    """Write a line with its upper left corner at (x, y); what lies beyond the picture is cut."""
    x, y = at
    ink = text.line(line, size)
    place = picture[y : y + ink.shape[0], x : x + ink.shape[1]]
    opacity = ink[: place.shape[0], : place.shape[1], None].astype(np.float32) / 255
    place[:] = np.round(place * (1 - opacity) + np.array(colour, np.float32) * opacity)
