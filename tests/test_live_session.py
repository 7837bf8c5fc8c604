"""A live run without window and camera: what is asked of it while it loads, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer import build
from streamer.annotate import Annotator
from streamer.canvas import Canvas
from streamer.config import Config
from streamer.errors import SourceOpenError
from streamer.interrupts import Interrupt
from streamer.live_keys import Ask
from streamer.live_recorder import Recorder
from streamer.live_session import LiveEnd, LivePlan, LiveSession
from streamer.queues import StopRequest
from streamer.recognition.people import Gallery
from streamer.stages import LiveSource, Sink
from streamer.types import Ending, Frame, FrameResult, SourceInfo, SourceState, SourceStatus
from tests.fakes import RED, ListSink, draw, make_frame

pytestmark = pytest.mark.timeout(60)

INFO = SourceInfo("drawn", "drawn", 320, 180, 25.0, None, is_live=True)


class TickingSource:
    """A LiveSource that gives a picture every 20 ms until it is closed.

    Args:
        hangs: Its fourth picture never comes, and closing it takes long, as where a driver hangs.
        is_dark: It gives no picture at all.
    """

    info, skipped = INFO, 0
    status = SourceStatus(SourceState.RUNNING, "320 × 180")

    def __init__(self, *, hangs: bool = False, is_dark: bool = False) -> None:
        self._closed, self._index, self._hangs, self._is_dark = threading.Event(), 0, hangs, is_dark

    def read(self) -> Frame | None:
        if self._hangs and self._index == 3:
            threading.Event().wait(5)
        if self._closed.wait(30 if self._is_dark else 0.02):
            return None
        self._index += 1
        return make_frame(draw([(10, 50, RED)]), self._index)

    def close(self) -> None:
        self._closed.set()
        if self._hangs:
            threading.Event().wait(1.5)


class Run:
    """A live session whose source opens when it is let.

    Args:
        load_people: As in LivePlan; None: there is nobody.
        sink: What gets its results.
        source: What it watches.
        folder: Where its snapshots go.
    """

    def __init__(
        self,
        load_people: Callable[[build.Models], tuple[Gallery, bool]] | None = None,
        *,
        sink: Sink | None = None,
        source: LiveSource | None = None,
        folder: Path = Path("recordings"),
    ) -> None:
        self.may_open, self.stop = threading.Event(), StopRequest()
        self._source = source if source is not None else TickingSource()
        own_sink = sink if sink is not None else ListSink(needs_canvas=True)
        config = Config()
        plan = LivePlan(
            config,
            self._opened,
            load_people or (lambda _models: (Gallery(build.embedder_id(config)), False)),
            lambda _stats: {"kept": own_sink},
            lambda outputs, info: Recorder(outputs, lambda _path, _begin: ListSink(), folder, info.name),
            is_shown=False,
        )
        self.session = LiveSession(plan, self.stop)

    def _opened(self, _interrupt: Interrupt, _on_status: Callable[[SourceStatus], None]) -> LiveSource:
        if not self.may_open.wait(30):
            raise SourceOpenError("it was never let")
        return self._source


@pytest.fixture
def drawn_blurred(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return whether strangers were to be blurred, for each picture that is drawn."""
    told: list[bool] = []

    def draw_nothing(self: Annotator, one: FrameResult) -> Canvas:
        told.append(self.style.blur_unknown)
        return Canvas(one.frame.picture)

    monkeypatch.setattr(Annotator, "draw", draw_nothing)
    return told


def test_blurring_that_is_asked_for_while_all_is_loading_holds_from_the_first_frame_recorded(
    drawn_blurred: list[bool],
) -> None:
    run = Run()
    run.session.blur_strangers(True)
    run.may_open.set()
    while len(drawn_blurred) < 3:
        assert run.session.newest.take(30) is not None
    assert run.session.finish() == LiveEnd(None, is_whole=True)
    assert all(drawn_blurred)


def test_a_run_that_is_ended_while_people_are_enrolled_from_photos_ends_without_an_error() -> None:
    """Leaving is no failure, whoever was not enrolled yet."""
    is_loading = threading.Event()
    run: Run | None = None

    def load(_models: build.Models) -> tuple[Gallery, bool]:
        is_loading.set()
        deadline = time.monotonic() + 30
        while run is None or not run.stop.is_set():
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        raise InterruptedError("enrolling the photos was interrupted")

    run = Run(load)
    run.may_open.set()
    assert is_loading.wait(30)
    assert run.session.finish() == LiveEnd(None, is_whole=True)


def test_what_is_asked_for_just_before_the_end_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enrolling may take half a second where thousands are known; a snapshot stands for it here."""

    def draw_slowly(_self: Annotator, one: FrameResult) -> Canvas:
        threading.Event().wait(0.6)
        return Canvas(one.frame.picture)

    monkeypatch.setattr(Annotator, "draw", draw_slowly)
    run = Run(sink=ListSink(), folder=tmp_path)
    run.may_open.set()
    assert run.session.newest.take(30) is not None
    assert run.session.newest.take(30) is not None  # so the first has been taken up
    run.session.ask(Ask.SNAPSHOT)
    assert run.session.finish() == LiveEnd(None, is_whole=True)
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_a_source_that_hangs_keeps_a_run_from_ending_no_longer_than_any_other() -> None:
    sink = ListSink()
    run = Run(sink=sink, source=TickingSource(hangs=True))
    run.may_open.set()
    deadline = time.monotonic() + 30
    while len(sink.results) < 3:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    began = time.monotonic()
    assert not run.session.finish().is_whole
    assert time.monotonic() - began < 2.0
    assert sink.closed == [Ending.COMPLETE]


def test_a_run_that_ends_before_its_first_frame_takes_no_earlier_file_s_place() -> None:
    sink = ListSink()
    run = Run(sink=sink, source=TickingSource(is_dark=True))
    run.may_open.set()
    deadline = time.monotonic() + 30
    while sink.opened is None:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    assert run.session.finish() == LiveEnd(None, is_whole=True)
    assert sink.closed == [Ending.INTERRUPTED]
