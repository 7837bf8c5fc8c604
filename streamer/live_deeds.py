"""What a user asks of a live run while it goes on: pause, recordings, snapshots, and who somebody is.

Nothing here waits: what may take a while is done in the run's thread for that, and what came of it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from streamer.annotate import Annotator
from streamer.errors import StreamerError
from streamer.live_changes import Denied, Enrolled
from streamer.live_keys import Ask, Deny, Enrol, Request, Watch
from streamer.live_running import RunningParts


class LiveDeeds:
    """Does what is asked of one run.

    Args:
        running: The run.
        tell: Shows a line for some seconds.
    """

    def __init__(self, running: RunningParts, tell: Callable[[str], None]) -> None:
        self._running, self._tell = running, tell

    def obey(self, request: Request) -> None:
        """Do what a key asked for; what concerns the window alone is passed over."""
        running = self._running
        match request:
            case Ask.PAUSE:
                running.source.is_paused = not running.source.is_paused
            case Ask.RECORD | Ask.RECORD_CLEAN:
                self._record(is_clean=request is Ask.RECORD_CLEAN)
            case Ask.SNAPSHOT:
                self._snapshot()
            case Ask.UNDO:
                self._do(running.people.undo)
            case Watch(watched):
                running.watch(watched)
            case Enrol(track_id, name):
                self._do(partial(self._enrol, track_id, name))
            case Deny(track_id):
                self._do(lambda: _line(running.people.deny(running.source_id, track_id)))
            case _:
                pass

    def advice(self, track_id: int) -> str:
        """Return what whoever gets a name should do meanwhile, in a few words; "": nothing."""
        return self._running.people.readiness(self._running.source_id, track_id).advice or ""

    def _record(self, *, is_clean: bool) -> None:
        last = self._running.last_result
        pts_seconds = 0.0 if last is None else last.frame.pts_seconds
        try:
            self._tell(self._running.recorder.toggle(is_clean=is_clean, pts_seconds=pts_seconds))
        except StreamerError as error:
            self._tell(str(error))

    def _snapshot(self) -> None:
        running, result = self._running, self._running.last_result
        if result is None:
            self._tell("there is no picture yet")
            return
        style = replace(running.annotator.style, blur_unknown=running.blurs_strangers)
        # Drawn by an annotator of its own: the run's draws in the run's thread.
        self._do(lambda: running.recorder.snapshot(Annotator(style).draw(result)))

    def _enrol(self, track_id: int, name: str) -> str:
        running = self._running
        try:
            return _line(running.people.enrol(running.source_id, track_id, name))
        finally:
            running.unwatch(track_id)

    def _do(self, job: Callable[[], str]) -> None:
        """Do something that may take a while, and tell what came of it."""

        def told() -> None:
            try:
                self._tell(job())
            except StreamerError as error:
                self._tell(str(error))
            except Exception as error:  # noqa: BLE001 - whoever asked must hear of it, whatever it is
                self._tell(f"that failed: unexpected {type(error).__name__}: {error}")

        if not self._running.jobs.put(told):
            self._tell("too much waits to be done already; try again in a moment")


def _line(change: Enrolled | Denied) -> str:
    """Return what came of a change, in one line."""
    return "; ".join((change.text, *change.notes))
