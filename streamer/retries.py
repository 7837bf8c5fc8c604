"""Opening a live source that may not be there yet: again and again, until it is there or nobody wants it any more."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamer.errors import SourceOpenError
from streamer.interrupts import BackOff, Interrupt
from streamer.stages import LiveSource
from streamer.types import SourceState, SourceStatus

_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS = 0.25, 2.0
_POLL_SECONDS = 0.05


def opened_with_retries(
    open_source: Callable[[], LiveSource],
    wait: Callable[[float], bool],
    on_status: Callable[[SourceStatus], None],
) -> LiveSource | None:
    """Return the source once it could be opened; None: it was to stop before.

    Args:
        open_source: Opens it, or raises SourceOpenError; what else it raises goes through.
        wait: Waits for so many seconds, less where it is to stop; returns whether it is. `Interrupt.wait` does so, and
            what `polling` returns.
        on_status: Told before the first attempt, and after each that failed, why.
    """
    back_off, attempts = BackOff(_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS), 0
    on_status(SourceStatus(SourceState.INITIALISING, "connecting"))
    while not wait(0.0):
        attempts += 1
        try:
            source = open_source()
        except SourceOpenError as error:
            on_status(SourceStatus(SourceState.RECONNECTING, f"{error} (attempt {attempts})"))
            if wait(back_off.next_seconds()):
                return None
            continue
        if wait(0.0):
            source.close()
            return None
        on_status(source.status)
        return source
    return None


def polling(is_asked: Callable[[], bool]) -> Callable[[float], bool]:
    """Return a `wait` for a request that wakes nobody, such as one that a signal handler may make."""
    never = Interrupt()

    def wait(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not is_asked() and (left := deadline - time.monotonic()) > 0:
            never.wait(min(left, _POLL_SECONDS))
        return is_asked()

    return wait
