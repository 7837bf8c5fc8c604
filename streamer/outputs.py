"""The outputs of a live run: they come and go while it runs, each in its own thread; none can hold up the picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamer.canvas import Canvas
from streamer.errors import StreamerError
from streamer.live_threads import LiveSinkThread
from streamer.stages import Sink
from streamer.types import Ending, FrameResult, SourceInfo

# Of the time in which outputs are to be finished; the rest is for what they write at their end.
_WRITING_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """How one output stands.

    Attributes:
        name: For people to read.
        written: Frames that it has taken.
        dropped: Frames that it was too slow for.
        problem: Why it was given up, or what it waits for; None: nothing is wrong.
        has_failed: It was given up.
    """

    name: str
    written: int
    dropped: int
    problem: str | None
    has_failed: bool


class LiveOutputs:
    """Hands the results of one live source to sinks; all methods may be called from any thread.

    Args:
        info: The source's.
    """

    def __init__(self, info: SourceInfo) -> None:
        self._info = info
        self._lock = threading.Lock()
        self._running: dict[str, LiveSinkThread] = {}
        self._ending: list[LiveSinkThread] = []  # finished by `remove`, and perhaps still writing
        self._errors: list[StreamerError] = []

    def add(self, name: str, sink: Sink) -> None:
        """Start an output; `name` is free once the one that had it has been removed."""
        with self._lock:
            if name in self._running:
                raise ValueError(f"there is an output called {name} already")
            self._running[name] = LiveSinkThread(sink, name, self._info)

    def remove(self, name: str) -> None:
        """Finish an output, while all else goes on."""
        with self._lock:
            thread = self._running.pop(name, None)
            if thread is not None:
                thread.finish(Ending.COMPLETE)
                self._ending.append(thread)

    def deliver(self, result: FrameResult, draw: Callable[[FrameResult], Canvas]) -> None:
        """Hand a result to all outputs; the picture is drawn only where one wants it."""
        with self._lock:
            self._reap()
            threads = [thread for thread in self._running.values() if thread.error is None]
        canvas = draw(result) if any(thread.needs_canvas for thread in threads) else None
        with self._lock:
            for thread in threads:
                if self._running.get(thread.name) is thread:
                    thread.put(result, canvas if thread.needs_canvas else None)

    def statuses(self) -> list[OutputStatus]:
        """Return how the running outputs stand, and the last that failed as it was finished."""
        with self._lock:
            return [
                OutputStatus(thread.name, thread.written, thread.dropped, thread.problem, thread.error is not None)
                for thread in self._running.values()
            ] + [OutputStatus("", 0, 0, str(error), has_failed=True) for error in self._errors[-1:]]

    def finish(self, ending: Ending, within_seconds: float) -> StreamerError | None:
        """Finish all outputs side by side; return the first thing that went wrong with any, also with removed ones.

        A slow one drops the last frames that wait for it, so that it is whole in time.
        """
        now = time.monotonic()
        deadline = now + within_seconds
        with self._lock:
            for thread in self._running.values():
                thread.finish(ending)
            threads = [*self._ending, *self._running.values()]
            self._running, self._ending = {}, []
        for thread in threads:
            thread.hurry(now + _WRITING_SHARE * within_seconds)
        for thread in threads:
            thread.join(deadline)
        self._errors += [thread.error for thread in threads if thread.error is not None]
        return self._errors[0] if self._errors else None

    def _reap(self) -> None:
        """Forget outputs that have been closed; what went wrong with them is told at the end."""
        self._errors += [thread.error for thread in self._ending if thread.is_done and thread.error is not None]
        self._ending = [thread for thread in self._ending if not thread.is_done]
