"""The main thread of a live run: shows the newest picture, hands keys to the run, and tells what becomes of the source.

Windows belong to the main thread, and so do signals: nothing here waits for longer than a moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamer.errors import printable
from streamer.interrupts import Interrupt
from streamer.live_keys import Ask, Controls, Request, zoom_of
from streamer.live_status import LiveStatus
from streamer.live_view import SPLASH_SIZE, LiveView
from streamer.queues import StopRequest
from streamer.sinks.window import Click, Window
from streamer.types import FrameResult, SourceState

if TYPE_CHECKING:  # what it brings along takes longer to load than the window may take to come
    from streamer.live_session import LiveSession

_LOG = logging.getLogger(__name__)

TITLE = "streamer"
# A new picture is shown at once; without one, keys and states are looked at so often.
_IDLE_SECONDS = 0.015
_REDRAW_SECONDS = 0.2
_HEADLESS_SECONDS = 0.2
_REPORT_SECONDS = 10.0
_MOST_LISTED = 8


class StateLog:
    """Writes a log line where a live source's state changes, and now and then how the run goes."""

    def __init__(self) -> None:
        self._state: SourceState | None = None
        self._has_run = False
        self._reported_at = time.monotonic()

    def see(self, status: LiveStatus) -> None:
        """Take how the run stands."""
        before, self._state = self._state, status.state
        if status.state is before:
            return
        if status.state is SourceState.RECONNECTING:
            _LOG.warning("%s: %s", "reconnecting" if self._has_run else "trying again", status.detail)
        elif status.state is SourceState.RUNNING and not self._has_run:
            _LOG.info("watching %s", status.source)
        elif status.state is SourceState.RUNNING and before is SourceState.RECONNECTING:
            _LOG.info("the picture is back: %s", status.source)
        self._has_run |= status.state is SourceState.RUNNING

    def report(self, status: LiveStatus, result: FrameResult | None) -> None:
        """Log the figures and who is there, every ten seconds: for who has no window to see them in.

        Args:
            status: How the run stands.
            result: The newest; None: nothing came of late.
        """
        if status.state is SourceState.RUNNING and time.monotonic() - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = time.monotonic()
            parts = [*([who_is_there(result)] if result is not None else []), status.figures, status.load]
            _LOG.info("%s", " · ".join(part for part in parts if part))


def who_is_there(result: FrameResult) -> str:
    """Name those in a picture, and count the rest, in one line."""
    identities = [face.identity for face in result.annotations]
    names = sorted(printable(one.name) for one in identities if one is not None and one.name is not None)
    rest = len(identities) - len(names)
    listed = names[:_MOST_LISTED] + ([f"{len(names) - _MOST_LISTED} more"] if len(names) > _MOST_LISTED else [])
    return ", ".join([*listed, *([f"{rest} without a name"] if rest else [])]) or "nobody"


def watch(session: LiveSession, stop: StopRequest) -> None:
    """Wait for the end of a run without a window."""
    log = StateLog()
    while not stop.is_set() and not session.is_over:
        result = session.newest.take(_HEADLESS_SECONDS)
        status = session.status()
        log.see(status)
        log.report(status, result)


class WindowLoop:
    """A window that shows a run until it is closed, or the run ends.

    Args:
        start: Begins the run; called once the window is on the screen.
        view: What draws the window's content.
        controls: What the user has chosen so far.
    """

    def __init__(self, start: Callable[[], LiveSession], view: LiveView, controls: Controls) -> None:
        self._view, self._controls = view, controls
        self._window = Window(TITLE, SPLASH_SIZE)
        self._window.show(view.splash(LiveStatus(detail="starting")))
        self._window.poll()
        self._log, self._idle = StateLog(), Interrupt()
        try:
            self.session = start()
        except BaseException:
            self._window.close()
            raise
        self._result: FrameResult | None = None
        self._size: tuple[int, int] | None = None
        self._drawn_at = self._shown_at = float("-inf")

    def run(self, stop: StopRequest) -> None:
        """Return once the window is closed, a key asks for it, the run has ended, or `stop` is set."""
        try:
            while not (stop.is_set() or self.session.is_over or self._window.is_closed):
                self._show_next()
                for given in self._window.poll():
                    request = (
                        self._controls.click(given.x, given.y)
                        if isinstance(given, Click)
                        else self._controls.press(given)
                    )
                    if request is Ask.QUIT:
                        return
                    if request is not None:
                        self._obey(request)
                    self.session.blur_strangers(self._controls.blur)
                    self._drawn_at = float("-inf")  # what a key changes shows at once
        finally:
            self._window.close()

    def _show_next(self) -> None:
        """Show the newest picture, or the last one anew where the states around it may have changed."""
        most_fps = self.session.most_shown_fps
        due = self._shown_at + (1 / most_fps if most_fps else 0.0)
        early_seconds = due - time.monotonic()
        if early_seconds > 0:  # keys cannot wait so long, but a machine that is overloaded must not be kept busy
            self._idle.wait(min(early_seconds, _IDLE_SECONDS))
        result = self.session.newest.take(_IDLE_SECONDS) if early_seconds <= 0 else None
        now = time.monotonic()
        if result is None and now - self._drawn_at < _REDRAW_SECONDS:
            return
        status = self.session.status()
        self._log.see(status)
        self._draw(result, status)
        self._drawn_at = time.monotonic()
        if result is not None:
            self._shown_at = now

    def _draw(self, result: FrameResult | None, status: LiveStatus) -> None:
        self._result = result if result is not None else self._result
        if self._result is None:
            self._window.show(self._view.splash(status))
            return
        track_id = self._controls.track_id
        self._controls.advice = "" if track_id is None else self.session.advice(track_id)
        picture = self._view.compose(self._result, status, self._controls, self.session.message)
        size = (picture.shape[1], picture.shape[0])
        if size != self._size:
            self._size = size
            self._window.fit(*size)
        self._window.show(picture)
        if result is not None:
            self.session.note_shown(result)

    def _obey(self, request: Request) -> None:
        match request:
            case Ask.FULL_SCREEN:
                self._window.toggle_full_screen()
            case Ask.LARGER | Ask.SMALLER:
                self._window.zoom(zoom_of(request))
            case _:
                self.session.ask(request)
