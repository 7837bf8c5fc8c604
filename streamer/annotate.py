"""Draws what is known of each face on a copy of the frame's planes; the picture is never converted as a whole.

What a face is can be told in two ways: by colour (bluish green and vermillion as in Okabe and Ito's palette, which the
colour-blind tell apart too) and by shape (known: a whole box; unknown: its corners; not assessed yet: a dashed box).
A box that is only predicted is drawn faintly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from streamer.canvas import BufferRing, Canvas
from streamer.fonts import TextRenderer, clean_text
from streamer.plates import Box, PlateLook, Rgb, fill, limited_range, place_plates, render_plate
from streamer.types import EMOTIONS, Annotation, FrameResult

_GREEN, _RED, _GREY = (0, 190, 138), (213, 94, 0), (226, 226, 226)
# Darker than the lines: white text then has a contrast of at least 5.8 to 1.
_GREEN_GROUND, _RED_GROUND, _GREY_GROUND = (0, 112, 81), (176, 50, 0), (70, 70, 70)
# A dark rim on the inner side keeps a line visible on a ground of its own colour.
_RIM_OPACITY = 0.4
_BLACK = limited_range((0, 0, 0), is_bt709=True)
_PREDICTED_OPACITY = 0.45
# Faces lower than this share of the picture's shorter side get the smaller text.
_SMALL_FACE = 1 / 9
_PLATES_KEPT = 256


@dataclass(frozen=True, slots=True)
class AnnotateStyle:
    """What is drawn.

    Attributes:
        show_emotion: Write the emotion.
        show_probability: Write how sure the name and the emotion are.
        show_landmarks: Mark eyes, nose and mouth corners.
        blur_unknown: Make faces without a known name unrecognisable, those not assessed yet too.
        text_scale: Size of the text as a multiple of what suits the picture's size.
        font: A font file to use before the shipped one; None: the shipped one.
    """

    show_emotion: bool = True
    show_probability: bool = True
    show_landmarks: bool = False
    blur_unknown: bool = False
    text_scale: float = 1.0
    font: Path | None = None


class Annotator:
    """Draws results; one object can serve several sources, one after another.

    Args:
        style: What is drawn.

    Raises:
        UsageError: The style's font is absent or not a font.
    """

    def __init__(self, style: AnnotateStyle | None = None) -> None:
        self.style = style or AnnotateStyle()
        self._ring = BufferRing()
        text = TextRenderer(self.style.font)
        # Labels repeat frame after frame; drawing the text costs a hundred times the copying.
        self._plate = lru_cache(maxsize=_PLATES_KEPT)(lambda look: render_plate(look, text))

    def draw(self, result: FrameResult) -> Canvas:
        """Return a copy of the frame's picture with all its faces marked; without faces, the picture itself."""
        canvas = Canvas.untouched(result.frame.picture)
        faces = [(face, box) for face in result.annotations if (box := _whole_box(face, canvas)) is not None]
        if not faces:
            return canvas
        canvas = Canvas(result.frame.picture, self._ring)
        if self.style.blur_unknown:
            for face, box in faces:
                if face.identity is None or face.identity.name is None:
                    _blur(canvas, box)
        for face, box in faces:
            self._draw_box(canvas, face, box)
        self._draw_plates(canvas, faces)
        return canvas

    def _draw_box(self, canvas: Canvas, face: Annotation, box: Box) -> None:
        line = 2 * max(1, round(_shorter_side(canvas) / 480))
        opacity = 1.0 if face.track.is_detected else _PREDICTED_OPACITY
        colour = limited_range(_line_colour(face), is_bt709=canvas.is_bt709)
        for bar in _bars(face, box, line, line + 2):
            _darken(canvas, bar, opacity)
        for bar in _bars(face, box, line, line):
            fill(canvas, bar, colour, opacity)
        if self.style.show_landmarks and face.track.landmarks is not None:
            side = 2 * line if box[2] - box[0] > 30 * line else line
            for x, y in face.track.landmarks:
                left, top = round(float(x) - side / 2) // 2 * 2, round(float(y) - side / 2) // 2 * 2
                fill(canvas, (left - 2, top - 2, left + side + 2, top + side + 2), _BLACK, 1.0)
                fill(canvas, (left, top, left + side, top + side), colour, 1.0)

    def _draw_plates(self, canvas: Canvas, faces: list[tuple[Annotation, Box]]) -> None:
        plates, boxes = [], []
        for face, box in faces:
            lines = self._lines(face)
            look = self._look(lines, face, box, canvas)
            if lines and look.max_width >= 3 * look.size:
                plates.append(self._plate(look))
                boxes.append(box)
        places = place_plates([plate.size for plate in plates], boxes, (canvas.width, canvas.height))
        for plate, place in zip(plates, places, strict=True):
            if place is not None:
                plate.paste(canvas, *place)

    def _lines(self, face: Annotation) -> tuple[str, ...]:
        """Return the label's lines; whole per cents, so that labels repeat and their plates are found again."""
        lines = []
        if face.identity is not None:
            name = face.identity.name
            lines.append("unknown" if name is None else self._line(clean_text(name) or "?", face.identity.probability))
        if self.style.show_emotion and face.emotion is not None and face.emotion.label is not None:
            # The label may lag behind: the probability of one that is no longer the likeliest would only confuse.
            is_likeliest = EMOTIONS.index(face.emotion.label) == int(face.emotion.probabilities.argmax())
            lines.append(
                self._line(face.emotion.label, face.emotion.confidence) if is_likeliest else face.emotion.label
            )
        return tuple(lines)

    def _line(self, label: str, probability: float) -> str:
        # Never 100 %: rounding would promise what no model can.
        return f"{label}\t {min(99, round(100 * probability))} %" if self.style.show_probability else label

    def _look(self, lines: tuple[str, ...], face: Annotation, box: Box, canvas: Canvas) -> PlateLook:
        side = _shorter_side(canvas)
        size = max(15.0, side / 38) if box[3] - box[1] >= side * _SMALL_FACE else max(12.0, side / 60)
        pixels = max(6, round(size * self.style.text_scale))
        return PlateLook(lines, _ground(face), pixels, min(canvas.width, 18 * pixels // 2 * 2), canvas.is_bt709)


def _shorter_side(canvas: Canvas) -> int:
    return min(canvas.width, canvas.height)


def _line_colour(face: Annotation) -> Rgb:
    if face.identity is None:
        return _GREY
    return _RED if face.identity.name is None else _GREEN


def _ground(face: Annotation) -> Rgb:
    return {_GREY: _GREY_GROUND, _RED: _RED_GROUND, _GREEN: _GREEN_GROUND}[_line_colour(face)]


def _whole_box(face: Annotation, canvas: Canvas) -> Box | None:
    """Return the box on even pixels inside the canvas; None where none of it is inside."""
    x1, y1, x2, y2 = (float(value) for value in face.track.xyxy)
    left, top = max(0, int(x1) // 2 * 2), max(0, int(y1) // 2 * 2)
    right, bottom = min(canvas.width, -int(-x2 // 2) * 2), min(canvas.height, -int(-y2 // 2) * 2)
    return (left, top, right, bottom) if right > left and bottom > top else None


def _bars(face: Annotation, box: Box, line: int, depth: int) -> Iterator[Box]:
    """Yield the rectangles that make up the outline for a `line` width, inside the box and `depth` px deep."""
    x1, y1, x2, y2 = box
    across, down = min(depth, x2 - x1), min(depth, y2 - y1)
    if face.identity is None:
        dash = 4 * line
        spans_x = [(start, min(start + dash, x2)) for start in range(x1, x2, 2 * dash)]
        spans_y = [(start, min(start + dash, y2)) for start in range(y1, y2, 2 * dash)]
    elif face.identity.name is None:
        reach_x, reach_y = max(line, (x2 - x1) // 8 * 2), max(line, (y2 - y1) // 8 * 2)
        spans_x = [(x1, min(x1 + reach_x, x2)), (max(x2 - reach_x, x1), x2)]
        spans_y = [(y1, min(y1 + reach_y, y2)), (max(y2 - reach_y, y1), y2)]
    else:
        spans_x, spans_y = [(x1, x2)], [(y1, y2)]
    for start, end in spans_x:
        yield start, y1, end, y1 + down
        yield start, y2 - down, end, y2
    for start, end in spans_y:
        # The corners are the horizontal bars': faint ones drawn twice would come out brighter.
        start, end = max(start, y1 + down), min(end, y2 - down)
        if end > start:
            yield x1, start, x1 + across, end
            yield x2 - across, start, x2, end


def _darken(canvas: Canvas, bar: Box, opacity: float) -> None:
    x1, y1, x2, y2 = bar
    region = canvas.y[y1:y2, x1:x2]
    cv2.convertScaleAbs(region, dst=region, alpha=1.0 - _RIM_OPACITY * opacity)


def _blur(canvas: Canvas, box: Box) -> None:
    """Replace a face by the smooth picture of its 5 × 5 means: blurring by a kernel could be undone in part."""
    x1, y1, x2, y2 = box
    grow_x, grow_y = (x2 - x1) // 12 * 2, (y2 - y1) // 12 * 2
    x1, y1 = max(0, x1 - grow_x), max(0, y1 - grow_y)
    x2, y2 = min(canvas.width, x2 + grow_x), min(canvas.height, y2 + grow_y)
    for plane, scale in ((canvas.y, 1), (canvas.u, 2), (canvas.v, 2)):
        place = (slice(y1 // scale, y2 // scale), slice(x1 // scale, x2 // scale))
        region = plane[place]
        means = cv2.resize(region, (min(5, region.shape[1]), min(5, region.shape[0])), interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(means, (region.shape[1], region.shape[0]), interpolation=cv2.INTER_LINEAR)
        plane[place] = np.asarray(smooth, np.uint8)
