"""Showing how far a job of many like steps is: a bar with the time left on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)
_LOG_EVERY_SECONDS = 10.0


@contextmanager
def steps(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Show the progress of a job; the function that is yielded is to be called after each step.

    Args:
        what: The job in a few words, such as "reading pictures".
        total: How many steps it has; None: nobody knows.
    """
    if not sys.stderr.isatty():
        yield _logged(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _logged(what: str, total: int | None) -> Callable[[], None]:
    """Return what counts steps and logs them: the last, and now and then one before."""
    began_at = logged_at = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, logged_at
        done += 1
        now = time.monotonic()
        if done == total:
            _LOG.info("%s: %d of %d, %.0f s", what, done, total, now - began_at)
        elif now - logged_at >= _LOG_EVERY_SECONDS:
            left = "" if total is None else f" of {total}, {(total - done) * (now - began_at) / done:.0f} s left"
            _LOG.info("%s: %d%s", what, done, left)
            logged_at = now

    return advance
