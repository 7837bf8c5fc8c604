"""The threads of a run that make results, one class a kind: they read sources, search whole frames, and follow faces.

With sink_threads.py and live_threads.py all that starts threads; each has a name, hands its error on, and is joined.
runner.py puts them together.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator

from streamer.batches import Batch, Followed, FrameStages
from streamer.errors import StreamerError
from streamer.queues import Batcher, FrameQueue, RunSettings, StopRequest
from streamer.stages import LiveSource, Source
from streamer.stats import RunStats
from streamer.types import Frame

_LOG = logging.getLogger(__name__)

# A read or a search that takes longer on closing is left to itself: the process must not hang on a dead peer.
_JOIN_SECONDS = 10.0
_POLL_SECONDS = 0.05
# Followed and not labelled yet: enough that neither waits for the other, few enough that no frame grows old there.
_ROUNDS_AHEAD = 2


def _join(thread: threading.Thread) -> None:
    thread.join(_JOIN_SECONDS)
    if thread.is_alive():
        _LOG.warning("the thread %s has not ended after %.0f s; it is left alone", thread.name, _JOIN_SECONDS)


class Grabber:
    """Reads one source ahead in a thread of its own, into a bounded queue."""

    def __init__(self, source: Source, capacity: int, arrival: threading.Condition, stats: RunStats) -> None:
        self.frames = FrameQueue(capacity, is_live=source.info.is_live, arrival=arrival)
        self.error: StreamerError | None = None
        self._source, self._stats = source, stats
        self._live = source if isinstance(source, LiveSource) else None
        self._dropped = self._dropped_before = 0
        self._has_begun = False
        self._thread = threading.Thread(target=self._run, name=f"grab-{source.info.source_id}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while (frame := self._read()) is not None:
                if self._live is not None and not self._has_begun:
                    # What came while nobody could read yet was not dropped by this run.
                    self._has_begun, self._dropped_before = True, self._live.status.dropped
                if not self.frames.put(frame):
                    break
                self._count_dropped()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
            self._note(error)
        finally:
            self.frames.close()
            try:
                self._source.close()
            except Exception as error:  # noqa: BLE001 - see above
                self._note(error)

    def _note(self, error: Exception) -> None:
        if self.error is None and isinstance(error, StreamerError):
            self.error = error
        elif self.error is None:
            self.error = StreamerError(f"{self._source.info.name}: reading failed: {error!r}")
            self.error.__cause__ = error

    def _read(self) -> Frame | None:
        skipped = self._source.skipped
        with self._stats.time("read"):
            frame = self._source.read()
        if self._source.skipped > skipped:
            self._stats.count_skipped(self._source.skipped - skipped)
        return frame

    def _count_dropped(self) -> None:
        """Count what was passed over since the last time, here and in the source itself."""
        in_source = self._live.status.dropped - self._dropped_before if self._live is not None else 0
        dropped = self.frames.dropped + in_source
        if dropped > self._dropped:
            self._stats.count_dropped(dropped - self._dropped)
            self._dropped = dropped

    def stop(self) -> None:
        """End the thread, which closes its source; a read in progress is waited for, unless the source is live."""
        self.frames.close()
        if self._live is not None:
            self._live.close()
        _join(self._thread)
        self._count_dropped()


class _Search:
    """One batch on its way through a scan thread."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.earlier: list[_Search] = []  # those not done when it was put in line
        self.error: Exception | None = None
        self.is_done = threading.Event()


class Scanner:
    """Takes batches and searches their whole frames in threads of its own, ahead of what follows tracks.

    A scan takes longer than all else together, and more threads for one net gain little, so several batches are
    searched side by side. They are planned one after the other, and come out in that order.
    """

    def __init__(self, batcher: Batcher, pipeline: FrameStages, stop: StopRequest, settings: RunSettings) -> None:
        self._batcher, self._pipeline, self._stop = batcher, pipeline, stop
        self._turn = threading.Lock()
        batches_ahead = max(settings.scan_threads, -(-settings.ahead_frames // settings.batch_size))
        self._searches: queue.Queue[_Search | None] = queue.Queue(batches_ahead)
        self._undone: list[_Search] = []
        self._error: Exception | None = None
        self._is_abandoned = self._is_closing = self._is_ended = False
        self._threads = [
            threading.Thread(target=self._run, name=f"scan-{number}", daemon=True)
            for number in range(settings.scan_threads)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while (search := self._next()) is not None:
            try:
                for earlier in search.earlier if search.batch.needs_earlier else []:
                    earlier.is_done.wait()
                if not self._is_abandoned:
                    self._pipeline.search(search.batch)
            except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
                search.error = error
            finally:
                search.earlier.clear()
                search.is_done.set()

    def _next(self) -> _Search | None:
        """Take the next batch and put it in line to be followed; None: there is none, and the line is closed."""
        with self._turn:
            if self._is_ended:
                return None
            try:
                search = self._planned()
            except Exception as error:  # noqa: BLE001 - see above
                self._error, search = error, None
            self._is_ended = search is None
            if search is not None:
                self._undone = [earlier for earlier in self._undone if not earlier.is_done.is_set()]
                search.earlier = list(self._undone)
                self._undone.append(search)
            self._searches.put(search)
            return search

    def _planned(self) -> _Search | None:
        """Plan the next batch, at the end of all sources what then still waits."""
        if self._is_abandoned or self._is_closing:
            return None
        frames = self._batcher.next(self._stop)
        self._is_closing = not frames
        return _Search(self._pipeline.plan(frames) if frames else self._pipeline.plan_end())

    def batches(self) -> Iterator[Batch]:
        """Yield searched batches in order until the sources end; raise the error of a search."""
        while (search := self._searches.get()) is not None:
            search.is_done.wait()
            if search.error is not None:
                raise search.error
            yield search.batch
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Search nothing more; what is in line still comes out."""
        self._is_abandoned = True

    def stop(self) -> None:
        """End the threads, whatever they are at; the queues that they take from must be closed already."""
        self._is_abandoned = True
        deadline = time.monotonic() + _JOIN_SECONDS
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):  # make room, for a thread may wait to put a batch in line
                self._searches.get(timeout=_POLL_SECONDS)
        for thread in self._threads:
            _join(thread)


class FollowThread:
    """Follows tracks in a thread of its own, while the frames before are labelled, drawn and handed to sinks.

    The frames of a span come all at once. Were they labelled in the same thread, sinks would run out of work while the
    next span is followed.

    Args:
        scanner: Where searched batches come from.
        pipeline: What follows them.
    """

    def __init__(self, scanner: Scanner, pipeline: FrameStages) -> None:
        self._scanner, self._pipeline = scanner, pipeline
        self._rounds: queue.Queue[list[Followed] | None] = queue.Queue(_ROUNDS_AHEAD)
        self._error: Exception | None = None
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for batch in self._scanner.batches():
                for some in [] if self._is_abandoned else self._pipeline.follow(batch):
                    self._rounds.put(some)
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
            self._error = error
        finally:
            self._rounds.put(None)

    def rounds(self) -> Iterator[list[Followed]]:
        """Yield what is to be labelled, in order, until the sources end; raise the error of a stage."""
        while (some := self._rounds.get()) is not None:
            yield some
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the thread, whatever it is at; the queues at the beginning of the line must be closed already."""
        self._is_abandoned = True
        self._scanner.abandon()
        deadline = time.monotonic() + _JOIN_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):  # make room, for the thread may wait to hand something over
                self._rounds.get(timeout=_POLL_SECONDS)
        _join(self._thread)
