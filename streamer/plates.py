"""Label plates: a few lines of text on a coloured ground as I420 patches, and where in the picture they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.fonts import TextRenderer
from streamer.geometry import areas
from streamer.pictures import Canvas, UInt8

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
    share = ink.astype(np.float32) / 255
    halved = np.asarray(cv2.resize(share, (ink.shape[1] // 2, ink.shape[0] // 2), interpolation=cv2.INTER_AREA))
    y = np.rint(ground[0] + share * (235 - ground[0])).astype(np.uint8)
    u, v = (np.rint(level + halved * (128 - level)).astype(np.uint8) for level in ground[1:])
    return Plate(y, u, v)


def _even_up(value: int) -> int:
    return value + value % 2


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
    faces = np.array(boxes, np.float64).reshape(-1, 4)
    taken = np.zeros((len(sizes), 4))
    places: list[tuple[int, int] | None] = []
    for number, (size, box) in enumerate(zip(sizes, boxes, strict=True)):
        if size[0] > picture[0] or size[1] > picture[1]:
            places.append(None)
            continue
        corners = _candidates(size, box, picture)
        candidates = np.concatenate([corners, corners + size], axis=1)
        cost = _COST_PLATE * _covered(candidates, taken[:number])
        cost += _COST_FACE * _covered(candidates, faces)
        cost += _COST_RANK * np.arange(len(candidates)) * size[0] * size[1]
        best = int(np.argmin(cost))
        taken[number] = candidates[best]
        places.append((int(corners[best, 0]), int(corners[best, 1])))
    return places


def _candidates(size: tuple[int, int], box: Box, picture: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the left tops to choose from, the best liked first, moved inside the picture and to even pixels."""
    (width, height), (x1, y1, x2, y2) = size, box
    middle = (x1 + x2 - width) // 2
    corners = [
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
    ]
    limits = np.array([picture[0] - width, picture[1] - height])
    return np.asarray(np.clip(np.array(corners), 0, limits) // 2 * 2, np.int64)


def _covered(candidates: npt.NDArray[np.int64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how many pixels of other boxes each candidate covers, (C,)."""
    low = np.maximum(candidates[:, None, :2], others[None, :, :2])
    high = np.minimum(candidates[:, None, 2:], others[None, :, 2:])
    overlap = np.concatenate([low, high], axis=2).reshape(-1, 4)
    return np.asarray(areas(overlap).reshape(len(candidates), len(others)).sum(axis=1), np.float64)
