"""What the live window shows: the picture with its faces marked; around them how the run stands and what keys do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from streamer.annotate import AnnotateStyle, Annotator
from streamer.canvas import Canvas
from streamer.display import as_shown
from streamer.fonts import clean_text
from streamer.hud import BLUE, GREEN, NEUTRAL, ORANGE, RED, Hud
from streamer.live_keys import KEYS, Controls, Mode
from streamer.live_status import STATE_TITLES, LiveStatus
from streamer.pictures import BgrPicture, UInt8
from streamer.plates import Box
from streamer.types import Annotation, FrameResult, SourceState

SPLASH_SIZE = (960, 540)
_SPLASH_RGB = (30, 34, 40)
_STATE_GROUNDS = {SourceState.RECONNECTING: ORANGE, SourceState.PAUSED: BLUE, SourceState.ERROR: RED}
_QUESTIONS = {Mode.CHOOSE_TO_ENROL: "Who is to get a name?", Mode.CHOOSE_TO_DENY: "Whose name is wrong?"}
_NOBODY = {Mode.CHOOSE_TO_ENROL: "There is no face to choose", Mode.CHOOSE_TO_DENY: "Nobody here has a name"}


class LiveView:
    """Draws the window's content.

    Args:
        style: How faces are marked.
        font: A font file to use before the shipped one; None: the shipped one.
    """

    def __init__(self, style: AnnotateStyle, font: Path | None = None) -> None:
        self._annotator, self._style = Annotator(style), style
        self._hud = Hud(font)

    def splash(self, status: LiveStatus) -> UInt8:
        """Return what is shown while there is no picture yet, (H, W, 3) uint8 BGR."""
        width, height = SPLASH_SIZE
        canvas = Canvas(BgrPicture(np.full((height, width, 3), _SPLASH_RGB[::-1], np.uint8)))
        self._hud.write(canvas, ["streamer"], ("middle", "middle"), scale=3.5, ground=_SPLASH_RGB)
        below = 0
        if status.detail:
            lines = self._hud.wrapped(canvas, status.detail)
            below = self._hud.write(canvas, lines, ("middle", "bottom"), ground=_SPLASH_RGB)
        ground = _STATE_GROUNDS.get(status.state, BLUE)
        self._hud.write(
            canvas, [STATE_TITLES[status.state]], ("middle", "bottom"), scale=1.4, ground=ground, below=below
        )
        return canvas.bgr()

    def compose(self, result: FrameResult, status: LiveStatus, controls: Controls, message: str = "") -> UInt8:
        """Return the window's content, (H, W, 3) uint8 BGR, and let the controls see what is shown.

        Args:
            result: The newest.
            status: How the run stands.
            controls: What the user has chosen.
            message: What came of the last request; "": nothing to say.
        """
        shown = as_shown(result, mirrored=controls.mirror)
        controls.see(shown)
        self._annotator.style = replace(
            self._style,
            blur_unknown=controls.blur,
            show_landmarks=self._style.show_landmarks or controls.details,
        )
        canvas = self._annotator.draw(shown)
        if not canvas.y.flags.writeable:  # nobody is in it
            canvas = Canvas(shown.frame.picture)
        if controls.details:
            self._details(canvas, shown)
        self._numbers(canvas, shown, controls)
        self._edges(canvas, status, controls, message)
        return canvas.bgr()

    def _details(self, canvas: Canvas, shown: FrameResult) -> None:
        """Draw what is known of each face beside it, the nearest first: in a crowd there is not room for all."""
        faces = sorted(shown.annotations, key=_area, reverse=True)
        # What is written later, at the edges, would hide bars.
        letter, width, height = self._hud.letter_pixels(canvas), canvas.width, canvas.height
        drawn: list[Box] = [(0, height - 3 * letter, width, height), (0, 0, 6 * letter, 16 * letter)]
        for face in faces:
            if face.emotion is not None:
                others = [self._with_label(canvas, other) for other in faces if other is not face]
                place = self._hud.emotion_bars(canvas, face.emotion, _box(face), _heading(face), [*others, *drawn])
                drawn += [] if place is None else [place]

    def _numbers(self, canvas: Canvas, shown: FrameResult, controls: Controls) -> None:
        drawn: list[Box] = []
        for face in shown.annotations:
            number = controls.numbers.get(face.track.track_id)
            if number is not None:
                others = [self._with_label(canvas, other) for other in shown.annotations if other is not face]
                place = self._hud.number(canvas, number, _box(face), [*others, *drawn])
                drawn += [] if place is None else [place]

    def _with_label(self, canvas: Canvas, face: Annotation) -> Box:
        """Return a face's box and about where its label stands."""
        left, top, right, bottom = _box(face)
        return left, top - 2 * self._hud.letter_pixels(canvas), right, bottom

    def _edges(self, canvas: Canvas, status: LiveStatus, controls: Controls, message: str) -> None:
        """Write what stands at the edges: states and prompts above, figures below."""
        hud = self._hud
        top = 0
        if status.state is not SourceState.RUNNING:
            lines = [STATE_TITLES[status.state], *hud.wrapped(canvas, status.detail, scale=1.8)]
            ground = _STATE_GROUNDS.get(status.state, NEUTRAL)
            top = hud.write(canvas, lines, ("middle", "top"), ground=ground, scale=1.8)
        if controls.is_choosing:
            how = "Click a face, or press its number" if controls.numbers else _NOBODY[controls.mode]
            lines = [_QUESTIONS[controls.mode], f"{how}   Esc: cancel"]
            top = hud.write(canvas, lines, ("middle", "top"), ground=BLUE, scale=1.2, below=top)
        elif controls.mode is Mode.TYPE:
            how = "Enter: keep   Esc: cancel" + (f"   {controls.advice}" if controls.advice else "")
            number = controls.numbers.get(controls.track_id or 0)
            whose = "Name" if number is None else f"Name of {number}"
            space = " " if controls.typed.endswith(" ") else ""  # or nothing would be seen to come of the key
            typed = f"{whose}: {clean_text(controls.typed)}{space}_"
            top = hud.write(canvas, [typed, how], ("middle", "top"), ground=BLUE, scale=1.4, below=top)
        self._corners(canvas, status, controls, top)
        bottom = self._status_line(canvas, status)
        if message:
            bottom = hud.write(canvas, hud.wrapped(canvas, message), ("left", "bottom"), ground=BLUE, below=bottom)
        for problem in status.problems:
            bottom = hud.write(canvas, hud.wrapped(canvas, problem), ("left", "bottom"), ground=RED, below=bottom)
        if controls.help:
            hud.write_columns(canvas, [key for key, _ in KEYS], [meaning for _, meaning in KEYS])

    def _corners(self, canvas: Canvas, status: LiveStatus, controls: Controls, top: int) -> None:
        """Write what stands in the corners, below what is in the middle: on narrow pictures that is as wide as they."""
        right = top
        for recording in status.recordings:
            minutes, seconds = divmod(int(recording.seconds), 60)
            line = f"REC {'clean ' if recording.is_clean else ''}{minutes:02}:{seconds:02}"
            right = self._hud.write(canvas, [line], ("right", "top"), ground=RED, below=right)
        if controls.details and status.stages:
            lines = [f"{name}\t {seconds * 1000:.1f} ms" for name, seconds in status.stages]
            self._hud.write(canvas, lines, ("left", "top"), scale=0.8, below=top)

    def _status_line(self, canvas: Canvas, status: LiveStatus) -> int:
        """Write the status at the bottom, in as many lines as it takes; return how high that is, px."""
        figures = status.figures + (f" · {status.load}" if status.load else "")
        state = STATE_TITLES[status.state]
        whole = f"{state} · {figures} · {status.source}"
        if self._hud.fits_one_line(canvas, whole + "  h: keys"):
            lines = [whole + "  h: keys"]
        else:
            lines = [f"{state} · {status.source}\t  h: keys", figures]
        ground = GREEN if status.state is SourceState.RUNNING and not status.load else NEUTRAL
        return self._hud.write(canvas, lines, ("left", "bottom"), ground=ground, scale=1.0)


def _heading(face: Annotation) -> list[str]:
    lines = [f"#{face.track.track_id}  face {face.track.score:.2f}"]
    if face.identity is not None:
        lines.append(f"likeness {face.identity.similarity:.2f}, {face.identity.samples} looks")
    return lines


def _area(face: Annotation) -> float:
    left, top, right, bottom = face.track.xyxy.tolist()
    return float((right - left) * (bottom - top))


def _box(face: Annotation) -> Box:
    left, top, right, bottom = (round(float(value)) for value in face.track.xyxy)
    return left, top, right, bottom
