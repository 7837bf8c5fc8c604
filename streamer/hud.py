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
from streamer.plates import Box, Plate, PlateLook, Rgb, covered, fill, limited_range, render_plate
from streamer.types import Emotion

# Okabe and Ito's palette, darkened until white text can be read on it.
NEUTRAL, BLUE, GREEN, ORANGE, RED = (28, 28, 28), (0, 86, 134), (0, 98, 72), (140, 84, 0), (168, 48, 0)
_BAR, _BAR_GROUND = (86, 180, 233), (70, 70, 70)

Across = Literal["left", "middle", "right"]
Down = Literal["top", "middle", "bottom"]

_PLATES_KEPT, _WIDTHS_KEPT = 64, 512
_LEAST_PIXELS = 8
_MARGIN = 4
_LEAST_WIDTH = 32  # of a picture that has room for a letter and margins
_SMALLER = 0.8
_MOST_LINES = 3
# Letters of bars and numbers, of the usual size; smaller ones beside faces lower than this share of the shorter side.
_BAR_LETTERS, _SMALL_BAR_LETTERS, _SMALL_FACE = 0.8, 0.55, 1 / 6
_NUMBER_LETTERS, _SMALL_NUMBER_LETTERS = 2.0, 1.2


class Hud:
    """Draws onto canvases.

    Args:
        font: A font file to use before the shipped one; None: the shipped one.
    """

    def __init__(self, font: Path | None = None) -> None:
        self._text = TextRenderer(font)
        self._width = lru_cache(maxsize=_WIDTHS_KEPT)(self._text.width)
        self._plate = lru_cache(maxsize=_PLATES_KEPT)(lambda look: render_plate(look, self._text))

    @staticmethod
    def letter_pixels(canvas: Canvas) -> int:
        """Return the usual font size for a picture, px."""
        return max(14, round(min(canvas.width, canvas.height) / 40))

    def fits_one_line(self, canvas: Canvas, text: str, *, scale: float = 1.0) -> bool:
        """Say whether a line has room beside the margins, in letters `scale` times the usual size."""
        pixels = round(self.letter_pixels(canvas) * scale)
        return self._width(text, pixels) + 2 * pixels <= canvas.width

    def wrapped(self, canvas: Canvas, text: str, *, scale: float = 1.0) -> list[str]:
        """Return a text in as many lines as it takes at that scale, three at most; the last one may be too long."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and (self.fits_one_line(canvas, longer, scale=scale) or len(lines) == _MOST_LINES):
                lines[-1] = longer
            else:
                lines.append(word)
        return lines

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

    def number(self, canvas: Canvas, number: int, box: Box, others: Sequence[Box]) -> Box | None:
        """Write a face's number where it hides least: into a corner of its box, or beside the box of a small face.

        Args:
            canvas: What is drawn on.
            number: The face's.
            box: The face's, xyxy, px.
            others: What should stay visible: other faces, earlier numbers.

        Returns:
            Where it stands now; None: the picture is too small.
        """
        letters = self.letter_pixels(canvas) * (_SMALL_NUMBER_LETTERS if _is_small(canvas, box) else _NUMBER_LETTERS)
        plate = self._fitting(canvas, [f" {number} "], BLUE, round(letters), 0)
        if plate is None:
            return None
        size, middle = plate.size, (box[0] + box[2] - plate.size[0]) // 2
        corners = [(middle, box[3]), (box[0] - size[0], box[1]), (box[2], box[1]), (middle, box[1] - 2 * size[1])]
        if 2 * size[0] <= box[2] - box[0] and 2 * size[1] <= box[3] - box[1]:
            corners.insert(0, (box[0], box[1]))
        place = min((_inside(canvas, size, *corner) for corner in corners), key=lambda place: covered(place, others))
        plate.paste(canvas, place[0], place[1])
        return place

    def emotion_bars(
        self, canvas: Canvas, emotion: Emotion, box: Box, heading: Sequence[str], others: Sequence[Box]
    ) -> Box | None:
        """Draw the probabilities of all emotions as bars beside a face's box (xyxy, px).

        Args:
            canvas: What is drawn on.
            emotion: The probabilities.
            box: The face's.
            heading: Lines above the bars.
            others: What must stay visible: other faces, earlier bars.

        Returns:
            What the bars cover now; None: there is no room for them.
        """
        letters = self.letter_pixels(canvas) * (_SMALL_BAR_LETTERS if _is_small(canvas, box) else _BAR_LETTERS)
        pixels = max(_LEAST_PIXELS, round(letters))
        above, names = (self._fitting(canvas, lines, NEUTRAL, pixels, 0) for lines in (heading, EMOTIONS))
        if above is None or names is None:
            return None
        size = max(above.size[0], names.size[0] + 5 * pixels), above.size[1] + names.size[1]
        place = _beside(canvas, size, box, others) if size[1] <= canvas.height else None
        if place is None:
            return None
        (width, height), (left, top, right, _) = names.size, place
        fill(canvas, place, _yuv(canvas, NEUTRAL), 1.0)
        above.paste(canvas, left, top)
        top += above.size[1]
        names.paste(canvas, left, top)
        row = height / len(EMOTIONS)
        for number, probability in enumerate(emotion.probabilities):
            y1, y2 = (round(top + row * number + row * share) // 2 * 2 for share in (0.25, 0.8))
            start, end = left + width, right - 4
            fill(canvas, (start, y1, end, y2), _yuv(canvas, _BAR_GROUND), 1.0)
            fill(canvas, (start, y1, start + round((end - start) * float(probability)) // 2 * 2, y2), _bar(canvas), 1.0)
        return place

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


def _is_small(canvas: Canvas, box: Box) -> bool:
    return box[3] - box[1] < _SMALL_FACE * min(canvas.width, canvas.height)


def _inside(canvas: Canvas, size: tuple[int, int], left: int, top: int) -> Box:
    """Return a place of a size (px, even), moved into the picture as far as it fits, and to even pixels."""
    width, height = size
    left = max(0, min(left, canvas.width - width)) // 2 * 2
    top = max(0, min(top, canvas.height - height)) // 2 * 2
    return left, top, min(left + width, canvas.width // 2 * 2), min(top + height, canvas.height // 2 * 2)


def _beside(canvas: Canvas, size: tuple[int, int], box: Box, others: Sequence[Box]) -> Box | None:
    """Return a place beside a face, or on one that fills the picture, on which nothing else is; None: there is none."""
    (width, height), gap = size, 4
    corners = (
        (box[2] + gap, box[1]),
        (box[0] - gap - width, box[1]),
        (box[0], box[3] + gap),
        (box[2] - width, box[3] + gap),
        (box[2] + gap, box[3] - height),
        (box[0] - gap - width, box[3] - height),
    )
    free = [place for corner in corners if not covered(place := _inside(canvas, size, *corner), others)]
    beside = next((place for place in free if not covered(place, [box])), None)
    is_large = width <= box[2] - box[0] and height <= box[3] - box[1]
    return beside or (free[0] if free and is_large else None)


def _yuv(canvas: Canvas, colour: Rgb) -> tuple[int, int, int]:
    return limited_range(colour, is_bt709=canvas.is_bt709)


def _bar(canvas: Canvas) -> tuple[int, int, int]:
    return _yuv(canvas, _BAR)
