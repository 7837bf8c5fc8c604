"""Showing how far a run is, and turning Ctrl-C into an orderly end."""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from streamer.cli.output import printable
from streamer.queues import StopRequest
from streamer.types import FrameResult, SourceInfo

_LOG = logging.getLogger(__name__)
_LOG_EVERY_SECONDS = 10.0
_SAME_REQUEST_SECONDS = 0.5


class Meter(Protocol):
    """Shows the progress of one source after another."""

    def begin(self, info: SourceInfo) -> None:
        """A source has been opened."""
        ...

    def advance(self, result: FrameResult) -> None:
        """One more of its frames is done."""
        ...


@contextmanager
def meter() -> Iterator[Meter]:
    """Show a bar with rate and time left on a terminal, plain log lines elsewhere."""
    if not sys.stderr.isatty():
        yield _LogMeter()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]:.1f} fps"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[faces]} faces"),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("loading", total=None, fps=0.0, faces=0)

        class _BarMeter:
            def __init__(self) -> None:
                self._began_at = time.monotonic()
                self._done = 0

            def begin(self, info: SourceInfo) -> None:
                self._began_at, self._done = time.monotonic(), 0
                progress.reset(task, total=info.frame_count, description=printable(info.name), fps=0.0, faces=0)

            def advance(self, result: FrameResult) -> None:
                self._done += 1
                fps = self._done / max(time.monotonic() - self._began_at, 1e-6)
                progress.update(task, completed=self._done, fps=fps, faces=len(result.annotations))

        yield _BarMeter()


class _LogMeter:
    """Logs a line now and then: for pipes, files and services."""

    def __init__(self) -> None:
        self._info: SourceInfo | None = None
        self._began_at = self._logged_at = time.monotonic()
        self._done = 0

    def begin(self, info: SourceInfo) -> None:
        self._info, self._done = info, 0
        self._began_at = self._logged_at = time.monotonic()

    def advance(self, result: FrameResult) -> None:  # noqa: ARG002  the Protocol has it
        self._done += 1
        now = time.monotonic()
        if self._info is None or now - self._logged_at < _LOG_EVERY_SECONDS:
            return
        self._logged_at = now
        total = self._info.frame_count
        fps = self._done / max(now - self._began_at, 1e-6)
        left = f", {max(total - self._done, 0) / fps:.0f} s left" if total else ""
        _LOG.info("%s: %d of %s frames, %.1f fps%s", self._info.name, self._done, total or "?", fps, left)


@contextmanager
def share_meter(what: str) -> Iterator[Callable[[float], None]]:
    """Show how much of one long job is done, given as a share 0..1: a bar on a terminal, plain log lines elsewhere."""
    if not sys.stderr.isatty():
        logged_at = time.monotonic()

        def log(share: float) -> None:
            nonlocal logged_at
            if time.monotonic() - logged_at >= _LOG_EVERY_SECONDS:
                logged_at = time.monotonic()
                _LOG.info("%s: %.0f %%", what, 100 * share)

        yield log
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(printable(what), total=1.0)
        yield lambda share: progress.update(task, completed=share)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a stop request; a second one interrupts at once.

    Those that follow within a moment belong to the first: `timeout`, terminals and service managers signal the process
    and its group.
    """
    stop = StopRequest()
    asked_at = -math.inf
    before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked_at
        now = time.monotonic()
        if stop.is_set() and now - asked_at > _SAME_REQUEST_SECONDS:
            raise KeyboardInterrupt
        asked_at = asked_at if stop.is_set() else now
        stop.set()

    for wanted in (signal.SIGINT, signal.SIGTERM):
        before[wanted] = signal.signal(wanted, ask)
    try:
        yield stop
    finally:
        for wanted, handler in before.items():
            signal.signal(wanted, handler)
