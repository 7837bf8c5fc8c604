"""Showing how far a download is: a bar on a terminal, plain log lines elsewhere; and what is left after Ctrl-C."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamer.cli.output import printable

_LOG = logging.getLogger(__name__)
_LOG_EVERY_SECONDS = 5.0


@contextmanager
def transfer(name: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what shows the progress of one file, called with the bytes there and the bytes in all."""
    try:
        if sys.stderr.isatty():
            with _bar(name) as show:
                yield show
        else:
            yield _lines(name)
    except KeyboardInterrupt:
        _LOG.warning("%s: interrupted; what has come is kept, and the same command goes on from there", name)
        raise


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(printable(name), total=None)
        yield lambda there, total: progress.update(task, completed=there, total=total)


def _lines(name: str) -> Callable[[int, int], None]:
    began_at = logged_at = time.monotonic()
    first: int | None = None  # a resumed transfer does not start at nothing, which would flatter its rate

    def show(there: int, total: int) -> None:
        nonlocal logged_at, first
        now = time.monotonic()
        first = there if first is None else first
        if now - logged_at < _LOG_EVERY_SECONDS and there < total:
            return
        logged_at = now
        rate = (there - first) / max(now - began_at, 1e-6)
        left = f", {(total - there) / rate:.0f} s left" if rate > 0 and there < total else ""
        _LOG.info("%s: %.1f of %.1f MB, %.1f MB/s%s", name, there / 1e6, total / 1e6, rate / 1e6, left)

    return show
