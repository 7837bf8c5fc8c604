"""What waits between threads: bounded queues of frames, and the batcher that takes from all of them in turn.

Nothing here starts a thread; threads.py does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from streamer.load import LoadMeter
from streamer.types import Frame, SourceInfo

# How often whoever waits for frames looks whether it should stop; a signal handler cannot notify a condition.
_POLL_SECONDS = 0.1
# What the frames in one queue may hold.
_QUEUE_BYTES = 64 * 2**20

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the threads are fed.

    Attributes:
        batch_size: At most so many frames go through the pipeline together.
        max_wait_seconds: At most so long the first frame of a batch waits for others.
        queue_frames: At most so many frames wait for the scan threads, and so many results for each sink.
        scan_threads: So many batches are searched whole at once; more than one needs a detector that several threads
            may use at a time.
        ahead_frames: At most so many frames are planned and searched before those ahead of them are followed. As many
            as lie between two searches keep the scan threads busy.
        most_under_way: At most so many frames are between the sources' queues and whoever takes the results; None: as
            many as the threads' queues hold. What a live picture's age is bounded by: a frame that waits behind others
            is old before it is seen, while the newest one waits in its source's queue.
    """

    batch_size: int = 4
    max_wait_seconds: float = 0.05
    queue_frames: int = 4
    scan_threads: int = 1
    ahead_frames: int = 16
    most_under_way: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "queue_frames", "scan_threads", "ahead_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.most_under_way is not None and self.most_under_way < 1:
            raise ValueError(f"most_under_way must be at least 1, not {self.most_under_way}")
        if self.max_wait_seconds < 0:
            raise ValueError(f"max_wait_seconds must not be negative, but is {self.max_wait_seconds}")

    def within_memory(self, infos: Sequence[SourceInfo]) -> RunSettings:
        """Return settings under which the frames of large pictures that wait hold no more memory than those of HD."""
        frame_bytes = max(info.width * info.height * 3 // 2 for info in infos)
        most = max(1, _QUEUE_BYTES // frame_bytes)
        return replace(
            self,
            batch_size=min(self.batch_size, most),
            queue_frames=min(self.queue_frames, most),
            ahead_frames=min(self.ahead_frames, most),
        )


@dataclass(slots=True)
class StopRequest:
    """Asks a run to end early; may be set from a signal handler or another thread, hence no lock.

    Attributes:
        was_obeyed: The run ended because of it, with frames left; a request that comes after the last frame changes
            nothing.
    """

    _is_set: bool = False
    was_obeyed: bool = False

    def set(self) -> None:
        """Ask."""
        self._is_set = True

    def is_set(self) -> bool:
        """Say whether it was asked."""
        return self._is_set


class FrameQueue:
    """Frames of one source on their way to the pipeline, bounded.

    Args:
        capacity: At most so many frames wait.
        is_live: Full: drop the oldest and count it. Otherwise: wait for room.
        arrival: Notified of every change; shared by the queues that one thread reads.
    """

    def __init__(self, capacity: int, *, is_live: bool, arrival: threading.Condition) -> None:
        self._frames: deque[Frame] = deque()
        self._capacity, self._is_live, self._arrival = capacity, is_live, arrival
        self._is_closed = False
        self.dropped = 0

    def put(self, frame: Frame) -> bool:
        """Add a frame; False: the queue was closed, nobody will read it."""
        with self._arrival:
            while len(self._frames) >= self._capacity and not self._is_closed:
                if self._is_live:
                    self._frames.popleft()
                    self.dropped += 1
                else:
                    self._arrival.wait()
            if self._is_closed:
                return False
            self._frames.append(frame)
            self._arrival.notify_all()
            return True

    def take(self, limit: int) -> list[Frame]:
        """Return up to `limit` waiting frames without waiting; the caller holds `arrival`."""
        taken = [self._frames.popleft() for _ in range(min(limit, len(self._frames)))]
        if taken:
            self._arrival.notify_all()
        return taken

    def close(self) -> None:
        """Accept no more frames and wake whoever waits; what is inside can still be taken."""
        with self._arrival:
            self._is_closed = True
            self._arrival.notify_all()

    @property
    def is_finished(self) -> bool:
        """Closed and empty; the caller holds `arrival`."""
        return self._is_closed and not self._frames

    @property
    def has_room(self) -> bool:
        """Open and not full: another frame may come; the caller holds `arrival`."""
        return not self._is_closed and len(self._frames) < self._capacity

    def __len__(self) -> int:
        return len(self._frames)


class Batcher:
    """Takes what waits in the queues of all sources.

    Args:
        queues: One a source, all sharing `arrival`.
        settings: How large a batch may be and how long it may wait.
        arrival: Notified by the queues of every change.
        meter: Told of each frame that sets out and arrives; None: nobody asks.
    """

    def __init__(
        self,
        queues: Sequence[FrameQueue],
        settings: RunSettings,
        arrival: threading.Condition,
        meter: LoadMeter | None = None,
    ) -> None:
        self._queues, self._settings, self._arrival, self._meter = queues, settings, arrival, meter
        self._under_way = 0

    def done(self, frames: Sequence[Frame]) -> None:
        """Note that frames which `next` returned have reached their end."""
        if self._meter is not None:
            for frame in frames:
                self._meter.leave(frame.captured_at)
        with self._arrival:
            self._under_way -= len(frames)
            self._arrival.notify_all()

    def next(self, stop: StopRequest) -> list[Frame]:
        """Wait for at least one frame and return up to `batch_size`; empty: all sources ended, or `stop` was set."""
        with self._arrival:
            while not stop.is_set() and (not self._waiting() or not self._room()):
                if all(queue.is_finished for queue in self._queues):
                    return []
                self._arrival.wait(_POLL_SECONDS)
            deadline = time.monotonic() + self._settings.max_wait_seconds
            while not stop.is_set() and self._waiting() < self._room() and self._is_more_to_come():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._arrival.wait(min(left, _POLL_SECONDS))
            if stop.is_set():
                stop.was_obeyed = stop.was_obeyed or not all(queue.is_finished for queue in self._queues)
                return []
            return self._take()

    def _room(self) -> int:
        """Return how many frames may be taken now."""
        most = self._settings.most_under_way
        return self._settings.batch_size if most is None else min(self._settings.batch_size, most - self._under_way)

    def _waiting(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def _is_more_to_come(self) -> bool:
        return any(queue.has_room for queue in self._queues)

    def _take(self) -> list[Frame]:
        """Take frames in turn, so that a source with many cannot crowd out the others."""
        batch: list[Frame] = []
        most = self._room()
        while len(batch) < most:
            taken = [frame for queue in self._queues for frame in queue.take(1)]
            if not taken:
                break
            batch += taken
        self._under_way += len(batch)
        if self._meter is not None:
            self._meter.enter(len(batch))
        return batch


class Newest(Generic[_Item]):
    """A place for one item, of which only the newest counts: putting never waits, and replaces what was not taken."""

    def __init__(self) -> None:
        self._arrival = threading.Condition()
        self._item: _Item | None = None
        self.replaced = 0

    def put(self, item: _Item) -> None:
        """Leave an item."""
        with self._arrival:
            self.replaced += self._item is not None
            self._item = item
            self._arrival.notify()

    def take(self, timeout_seconds: float) -> _Item | None:
        """Wait for an item that was not taken yet; None: there was none in time."""
        with self._arrival:
            if self._item is None:
                self._arrival.wait(timeout_seconds)
            item, self._item = self._item, None
            return item
