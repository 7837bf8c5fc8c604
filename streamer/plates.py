"""Label plates: a few lines of text on a coloured ground as I420 patches, and where in the picture they go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from streamer.canvas import Canvas
from streamer.fonts import TextRenderer
from streamer.pictures import UInt8

Rgb = tuple[int, int, int]
Yuv = tuple[int, int, int]
Box = tuple[int, int, int, int]

# Costs of a place for a plate, a pixel covered: other plates must stay readable, other faces should stay visible.
_COST_PLATE, _COST_FACE, _COST_RANK = 8.0, 1.0, 0.02


def limited_range(rgb: Rgb, *, is_bt709: bool) -> Yuv:
    """Return the limited-range Y, U, V of an 8-bit colour (ITU-R BT.601 or BT.709)."""
    red_weight, blue_weight = (0.2126, 0.0722) if is_bt709 else (0.299, 0.114)
    red, green, blue = (value / 255 for value in rgb)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    u, v = (blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)
    return round(16 + 219 * luma), round(128 + 224 * u), round(128 + 224 * v)


@dataclass(frozen=True, slots=True)
class PlateLook:
    """What decides a plate's pixels, and so the key under which it is kept.

    Attributes:
        lines: The text; the last part of a line after a tab is kept whole where the line is too long.
        ground: Colour of the plate.
        size: Font size, px.
        max_width: The plate's, px, even.
        is_bt709: Of the picture.
    """

    lines: tuple[str, ...]
    ground: Rgb
    size: int
    max_width: int
    is_bt709: bool


@dataclass(frozen=True, slots=True)
class Plate:
    """An opaque patch: y (h, w), u and v (h/2, w/2) uint8; both sides even, so that it lies on whole chroma pixels."""

    y: UInt8
    u: UInt8
    v: UInt8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return int(self.y.shape[1]), int(self.y.shape[0])

    def paste(self, canvas: Canvas, left: int, top: int) -> None:
        """Copy the patch to an even place inside the canvas."""
        width, height = self.size
        canvas.y[top : top + height, left : left + width] = self.y
        half_left, half_top = left // 2, top // 2
        for plane, patch in ((canvas.u, self.u), (canvas.v, self.v)):
            plane[half_top : half_top + height // 2, half_left : half_left + width // 2] = patch


def render_plate(look: PlateLook, text: TextRenderer) -> Plate:
    """Draw white text on the ground; a line that is too long is cut before its tab."""
    pad_x, pad_y = max(2, look.size // 3), max(1, look.size // 6)
    room = look.max_width - 2 * pad_x
    masks = []
    for line in look.lines:
        head, _, tail = line.partition("\t")
        tail_mask = text.line(tail, look.size) if tail else np.zeros((1, 0), np.uint8)
        if tail_mask.shape[1] > room // 2:
            tail_mask = np.zeros((1, 0), np.uint8)
        masks.append((text.line(text.fit(head, look.size, room - tail_mask.shape[1]), look.size), tail_mask))
    line_height = text.line_height(look.size)
    width = max(first.shape[1] + second.shape[1] for first, second in masks) + 2 * pad_x
    ink = np.zeros((_even_up(len(masks) * line_height + 2 * pad_y), min(_even_up(width), look.max_width)), np.uint8)
    for place, (head_mask, tail_mask) in enumerate(masks):
        top = pad_y + place * line_height
        for mask, left in ((head_mask, pad_x), (tail_mask, pad_x + head_mask.shape[1])):
            mask = mask[:, : max(0, ink.shape[1] - left)]
            ink[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return _coloured(ink, limited_range(look.ground, is_bt709=look.is_bt709))


def _coloured(ink: UInt8, ground: Yuv) -> Plate:
    """Mix white and the ground by the ink; each chroma pixel by the mean of the four pixels that share it."""
    y = cv2.LUT(ink, _mixtures(ground[0], 235))
    halved = cv2.resize(ink, (ink.shape[1] // 2, ink.shape[0] // 2), interpolation=cv2.INTER_AREA)
    u, v = (cv2.LUT(halved, _mixtures(level, 128)) for level in ground[1:])
    return Plate(*(np.asarray(plane, np.uint8) for plane in (y, u, v)))


@lru_cache(maxsize=32)
def _mixtures(ground: int, white: int) -> UInt8:
    """Return the level of every share of ink, (256,) uint8."""
    return np.rint(ground + np.arange(256) / 255 * (white - ground)).astype(np.uint8)


def _even_up(value: int) -> int:
    return value + value % 2


def fill(canvas: Canvas, bar: Box, colour: Yuv, opacity: float) -> None:
    """Fill a rectangle with even corners (xyxy, px); what lies outside the canvas is left out."""
    x1, y1, x2, y2 = max(0, bar[0]), max(0, bar[1]), max(0, bar[2]), max(0, bar[3])
    half = (slice(y1 // 2, y2 // 2), slice(x1 // 2, x2 // 2))
    if opacity == 1.0:
        canvas.y[y1:y2, x1:x2] = colour[0]
        canvas.u[half] = colour[1]
        canvas.v[half] = colour[2]
        return
    for region, level in zip((canvas.y[y1:y2, x1:x2], canvas.u[half], canvas.v[half]), colour, strict=True):
        region[:] = region * (1.0 - opacity) + level * opacity


def place_plates(
    sizes: Sequence[tuple[int, int]], boxes: Sequence[Box], picture: tuple[int, int]
) -> list[tuple[int, int] | None]:
    """Choose where plates go: above their box if possible, else where they hide least.

    Args:
        sizes: Width and height of each plate, px, even.
        boxes: The face box of each plate, xyxy, whole px.
        picture: Width and height, px.

    Returns:
        Left and top of each, even and inside the picture; None where a plate is larger than the picture.
    """
    taken: list[Box] = []
    places: list[tuple[int, int] | None] = []
    for (width, height), box in zip(sizes, boxes, strict=True):
        if width > picture[0] or height > picture[1]:
            places.append(None)
            continue
        best, least = (0, 0), math.inf
        for rank, (left, top) in enumerate(_candidates((width, height), box, picture)):
            liking = _COST_RANK * rank * width * height
            if liking >= least:
                break  # what comes is liked even less, and nothing is covered by less than nothing
            place = (left, top, left + width, top + height)
            cost = _COST_PLATE * covered(place, taken) + _COST_FACE * covered(place, boxes) + liking
            if cost < least:
                best, least = (left, top), cost
        taken.append((*best, best[0] + width, best[1] + height))
        places.append(best)
    return places


def _candidates(size: tuple[int, int], box: Box, picture: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the left tops to choose from, the best liked first, moved inside the picture and to even pixels."""
    (width, height), (x1, y1, x2, y2) = size, box
    middle = (x1 + x2 - width) // 2
    corners = (
        (x1, y1 - height),
        (x2 - width, y1 - height),
        (x1, y2),
        (x2 - width, y2),
        (middle, y1 - height),
        (middle, y2),
        (x1 - width, y1),
        (x2, y1),
        (x1, y1 - 2 * height),
        (x1, y2 + height),
        (x1, y1),
        (x1, y2 - height),
    )
    for left, top in corners:
        yield min(max(left, 0), picture[0] - width) // 2 * 2, min(max(top, 0), picture[1] - height) // 2 * 2


def covered(place: Box, others: Sequence[Box]) -> int:
    """Return how many pixels of other boxes the place covers. Plain numbers: arrays this short cost ten times it."""
    x1, y1, x2, y2 = place
    return sum(
        (min(x2, right) - max(x1, left)) * (min(y2, bottom) - max(y1, top))
        for left, top, right, bottom in others
        if left < x2 and x1 < right and top < y2 and y1 < bottom
    )
