"""The loop that shows a live run: how often it looks at keys and pictures, and what it tells who has no window."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from streamer import live_loop
from streamer.annotate import AnnotateStyle
from streamer.live_keys import Controls
from streamer.live_loop import WindowLoop, who_is_there
from streamer.live_session import LiveSession
from streamer.live_status import LiveStatus
from streamer.live_view import LiveView
from streamer.pictures import UInt8
from streamer.queues import Newest, StopRequest
from streamer.types import Annotation, FrameResult, Identity, SourceState, Track
from tests.fakes import RED, draw, make_frame


class QuietWindow:
    """A window without a screen, in which nobody presses a key."""

    is_closed = False

    def __init__(self, _title: str, _size: tuple[int, int]) -> None:
        self.polls = 0

    def show(self, bgr: UInt8) -> None:
        pass

    def fit(self, width: int, height: int) -> None:
        pass

    def close(self) -> None:
        pass

    def poll(self) -> list[str]:
        self.polls += 1
        return []


class ShownSession:
    """A run that has a new picture at any time, of which few are worth showing."""

    most_shown_fps, message = 4.0, ""

    def __init__(self, ends_at: float) -> None:
        self._ends_at, self.shown = ends_at, 0
        self.newest: Newest[FrameResult] = Newest()
        self._put()

    def _put(self) -> None:
        self.newest.put(FrameResult(make_frame(draw([(10, 50, RED)]), self.shown)))

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._ends_at

    def status(self) -> LiveStatus:
        return LiveStatus(SourceState.RUNNING)

    def note_shown(self, _result: FrameResult) -> None:
        self.shown += 1
        self._put()


def test_where_few_pictures_are_shown_to_save_work_waiting_for_the_next_costs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The window can be polled 440 times a second, which takes 6 % of a core of a machine that is overloaded."""
    window = QuietWindow("", (1, 1))
    monkeypatch.setattr(live_loop, "Window", lambda *_: window)
    session = ShownSession(time.monotonic() + 1.5)
    loop = WindowLoop(lambda: cast(LiveSession, session), LiveView(AnnotateStyle()), Controls())
    loop.run(StopRequest())
    assert 3 <= session.shown <= 8
    assert window.polls < 150


def seen(*names: str | None) -> FrameResult:
    """Return a picture of people; "" is a face that was not compared with anybody."""
    faces = []
    for place, name in enumerate(names, start=1):
        track = Track(place, np.array([10, 20, 50, 60], np.float32), None, 0.9, True, 0.0, 0.0)
        faces.append(Annotation(track, None if name == "" else Identity(name, 0.7, 0.9, 0.2)))
    return FrameResult(make_frame(draw([]), 0), tuple(faces))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ((), "nobody"),
        (("",), "1 without a name"),
        ((None, "Zoë", "", "Ana"), "Ana, Zoë, 2 without a name"),
        ([f"P{number}" for number in range(1, 10)], "P1, P2, P3, P4, P5, P6, P7, P8, 1 more"),
    ],
)
def test_names_are_listed_and_others_counted(names: Sequence[str | None], line: str) -> None:
    assert who_is_there(seen(*names)) == line


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    assert "\n" not in who_is_there(seen("Ana\n15:00:00 ERROR all is lost"))
