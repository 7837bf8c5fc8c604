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
            below = self._hud.write(canvas, [status.detail], ("middle", "bottom"), ground=_SPLASH_RGB)
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
            for face in shown.annotations:
                self._face_details(canvas, face)
        self._numbers(canvas, shown, controls)
        self._edges(canvas, status, controls, message)
        return canvas.bgr()

    def _face_details(self, canvas: Canvas, face: Annotation) -> None:
        heading = f"#{face.track.track_id}  face {face.track.score:.2f}"
        if face.identity is not None:
            heading += f"  likeness {face.identity.similarity:.2f} ({face.identity.samples} looks)"
        if face.emotion is not None:
            self._hud.emotion_bars(canvas, face.emotion, _box(face), heading)

    def _numbers(self, canvas: Canvas, shown: FrameResult, controls: Controls) -> None:
        for face in shown.annotations:
            number = controls.numbers.get(face.track.track_id)
            if number is not None:
                self._hud.number(canvas, number, _box(face))

    def _edges(self, canvas: Canvas, status: LiveStatus, controls: Controls, message: str) -> None:
        """Write what stands at the edges: states and prompts above, figures below."""
        hud = self._hud
        bottom = self._status_line(canvas, status)
        if message:
            bottom = hud.write(canvas, [message], ("left", "bottom"), ground=BLUE, below=bottom)
        for problem in status.problems:
            bottom = hud.write(canvas, [problem], ("left", "bottom"), ground=RED, below=bottom)
        top = 0
        if status.state is not SourceState.RUNNING:
            lines = [STATE_TITLES[status.state], *([status.detail] if status.detail else [])]
            ground = _STATE_GROUNDS.get(status.state, NEUTRAL)
            top = hud.write(canvas, lines, ("middle", "top"), ground=ground, scale=1.8)
        if controls.is_choosing:
            how = "Click a face, or press its number" if controls.numbers else "There is no face to choose"
            lines = [_QUESTIONS[controls.mode], f"{how}   Esc: nobody"]
            hud.write(canvas, lines, ("middle", "top"), ground=BLUE, scale=1.2, below=top)
        elif controls.mode is Mode.TYPE:
            how = "Enter: keep   Esc: do not" + (f"   {controls.advice}" if controls.advice else "")
            typed = f"Name: {clean_text(controls.typed)}_"
            hud.write(canvas, [typed, how], ("middle", "top"), ground=BLUE, scale=1.4, below=top)
        self._corners(canvas, status, controls)

    def _corners(self, canvas: Canvas, status: LiveStatus, controls: Controls) -> None:
        right = 0
        for recording in status.recordings:
            minutes, seconds = divmod(int(recording.seconds), 60)
            line = f"REC {'clean ' if recording.is_clean else ''}{minutes:02}:{seconds:02}"
            right = self._hud.write(canvas, [line], ("right", "top"), ground=RED, below=right)
        if controls.details and status.stages:
            lines = [f"{name}\t {seconds * 1000:.1f} ms" for name, seconds in status.stages]
            self._hud.write(canvas, lines, ("left", "top"), scale=0.8)
        if controls.help:
            self._hud.write_columns(canvas, [key for key, _ in KEYS], [meaning for _, meaning in KEYS])

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


def _box(face: Annotation) -> Box:
    left, top, right, bottom = (round(float(value)) for value in face.track.xyxy)
    return left, top, right, bottom
