"""Text and bars on top of a picture: what a live window says beside the faces' own labels. Nothing leaves the picture.

Sizes follow the picture's, so that 360p and 4K read alike. White text stands on opaque grounds, dark enough for a
contrast of at least 5 to 1; states differ in words, never in colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from streamer.canvas import Canvas
from streamer.emotion_names import EMOTIONS
from streamer.fonts import TextRenderer
from streamer.plates import Box, Plate, PlateLook, Rgb, fill, limited_range, render_plate
from streamer.types import Emotion

# Okabe and Ito's palette, darkened until white text can be read on it.
NEUTRAL, BLUE, GREEN, ORANGE, RED = (28, 28, 28), (0, 86, 134), (0, 98, 72), (140, 84, 0), (168, 48, 0)
_BAR, _BAR_GROUND = (86, 180, 233), (70, 70, 70)

Across = Literal["left", "middle", "right"]
Down = Literal["top", "middle", "bottom"]

_PLATES_KEPT = 64
_LEAST_PIXELS = 8
_MARGIN = 4
_LEAST_WIDTH = 32  # of a picture that has room for a letter and margins
_SMALLER = 0.8


class Hud:
    """Draws onto canvases.

    Args:
        font: A font file to use before the shipped one; None: the shipped one.
    """

    def __init__(self, font: Path | None = None) -> None:
        self._text = TextRenderer(font)
        self._plate = lru_cache(maxsize=_PLATES_KEPT)(lambda look: render_plate(look, self._text))

    @staticmethod
    def letter_pixels(canvas: Canvas) -> int:
        """Return the usual font size for a picture, px."""
        return max(14, round(min(canvas.width, canvas.height) / 40))

    def fits_one_line(self, canvas: Canvas, text: str) -> bool:
        """Say whether a line has room beside the margins."""
        pixels = self.letter_pixels(canvas)
        return self._text.width(text, pixels) + 2 * pixels <= canvas.width

    def write(
        self,
        canvas: Canvas,
        lines: Sequence[str],
        place: tuple[Across, Down],
        *,
        ground: Rgb = NEUTRAL,
        scale: float = 1.0,
        below: int = 0,
    ) -> int:
        """Write lines on a ground at an edge or in the middle, smaller where they would not fit.

        Args:
            canvas: What is drawn on.
            lines: The text; the part after a tab is kept where a line is too long.
            place: Where.
            ground: The ground's colour.
            scale: Of the letters, of the usual size.
            below: Px from the edge that are taken already.

        Returns:
            Px from that edge that are taken now.
        """
        plate = self._fitting(canvas, lines, ground, round(self.letter_pixels(canvas) * scale), below)
        if plate is None:
            return below
        (width, height), margin = plate.size, _MARGIN
        left = {"left": margin, "middle": (canvas.width - width) // 2, "right": canvas.width - width - margin}[place[0]]
        top = {
            "top": below + margin,
            "middle": (canvas.height - height) // 2,
            "bottom": canvas.height - height - below - margin,
        }[place[1]]
        plate.paste(canvas, max(0, left) // 2 * 2, max(0, top) // 2 * 2)
        return below + height + margin

    def write_columns(self, canvas: Canvas, left: Sequence[str], right: Sequence[str]) -> None:
        """Write two columns of as many lines each into the middle."""
        pixels = self.letter_pixels(canvas)
        while pixels >= _LEAST_PIXELS and canvas.width >= _LEAST_WIDTH:
            looks = (
                PlateLook(tuple(lines), NEUTRAL, pixels, canvas.width // 2 * 2, canvas.is_bt709)
                for lines in (left, right)
            )
            first, second = (self._plate(look) for look in looks)
            width, height = first.size[0] + second.size[0], first.size[1]
            if width <= canvas.width and height <= canvas.height:
                x, y = (canvas.width - width) // 4 * 2, (canvas.height - height) // 4 * 2
                first.paste(canvas, x, y)
                second.paste(canvas, x + first.size[0], y)
                return
            pixels = round(pixels * _SMALLER)

    def number(self, canvas: Canvas, number: int, box: Box, *, scale: float = 2.0) -> None:
        """Write a face's number into the middle of its box (xyxy, px), moved into the picture."""
        plate = self._fitting(canvas, [f" {number} "], BLUE, round(self.letter_pixels(canvas) * scale), 0)
        if plate is not None:
            width, height = plate.size
            _paste_inside(canvas, plate, (box[0] + box[2] - width) // 2, (box[1] + box[3] - height) // 2)

    def emotion_bars(self, canvas: Canvas, emotion: Emotion, box: Box, heading: str) -> None:
        """Draw the probabilities of all emotions as bars beside a face's box (xyxy, px)."""
        pixels = max(_LEAST_PIXELS, round(0.8 * self.letter_pixels(canvas)))
        room = 5 * pixels
        plate = self._fitting(canvas, [heading, *EMOTIONS], NEUTRAL, pixels, 0)
        if plate is None:
            return
        width, height = plate.size
        # To the right of the face, or to its left where there is no room.
        left = box[2] + 4 if box[2] + 4 + width + room <= canvas.width else box[0] - 4 - width - room
        left = min(max(0, left), max(0, canvas.width - width - room)) // 2 * 2
        top = min(max(0, box[1]), max(0, canvas.height - height)) // 2 * 2
        right = min(canvas.width, left + width + room) // 2 * 2
        fill(canvas, (left, top, right, top + height), _yuv(canvas, NEUTRAL), 1.0)
        plate.paste(canvas, left, top)
        row = height / (len(EMOTIONS) + 1)
        for place, probability in enumerate(emotion.probabilities, start=1):
            y1, y2 = (round(top + row * place + row * share) // 2 * 2 for share in (0.25, 0.8))
            start, end = left + width, right - 4
            fill(canvas, (start, y1, end, y2), _yuv(canvas, _BAR_GROUND), 1.0)
            fill(canvas, (start, y1, start + round((end - start) * float(probability)) // 2 * 2, y2), _bar(canvas), 1.0)

    def _fitting(self, canvas: Canvas, lines: Sequence[str], ground: Rgb, pixels: int, taken: int) -> Plate | None:
        """Return the plate in the largest letters, up to `pixels`, with which it fits; None: it never does."""
        while pixels >= _LEAST_PIXELS and canvas.width >= _LEAST_WIDTH:
            look = PlateLook(tuple(lines), ground, pixels, (canvas.width - 2 * _MARGIN) // 2 * 2, canvas.is_bt709)
            is_whole = all(
                self._text.width(line, pixels) + pixels <= look.max_width for line in lines if "\t" not in line
            )
            smaller = round(pixels * _SMALLER)
            if is_whole or smaller < _LEAST_PIXELS:
                plate = self._plate(look)
                if plate.size[0] <= canvas.width and plate.size[1] + taken + _MARGIN <= canvas.height:
                    return plate
            pixels = smaller
        return None


def _paste_inside(canvas: Canvas, plate: Plate, left: int, top: int) -> None:
    width, height = plate.size
    left = min(max(0, left), canvas.width - width) // 2 * 2
    plate.paste(canvas, left, min(max(0, top), canvas.height - height) // 2 * 2)


def _yuv(canvas: Canvas, colour: Rgb) -> tuple[int, int, int]:
    return limited_range(colour, is_bt709=canvas.is_bt709)


def _bar(canvas: Canvas) -> tuple[int, int, int]:
    return _yuv(canvas, _BAR)
