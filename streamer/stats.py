"""How fast a run is: frames, drops, and the latency and stage times as percentiles, in memory that does not grow.

Times go into histograms whose bins widen by 2 %, so a percentile is at most 1 % off however long a run lasts. Beside
the time that passed stands the processor time of the thread that ran the stage, which other work on the machine does
not stretch; threads that a library starts inside a stage (a decoder's, an encoder's, a net's) are not in it. This
module measures and adds up; it neither logs nor shows anything.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate

# From a microsecond, below which the clock says nothing, to three hours, longer than any stage may take.
_SHORTEST_SECONDS = 1e-6
_LONGEST_SECONDS = 1e4
_LOG_BIN = math.log(1.02)
_BINS = math.ceil(math.log(_LONGEST_SECONDS / _SHORTEST_SECONDS) / _LOG_BIN) + 1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """What half, 95 % and 99 % of the measurements do not exceed, seconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class StageSummary:
    """How long one stage took.

    Attributes:
        name: The stage's.
        calls: How often it ran; a call may serve a whole batch.
        total_seconds: Of all calls together.
        seconds: Of single calls.
        cpu_seconds: Processor time of the calling threads in all calls together.
        own_cpu_seconds: The same without the stages inside this one, so that those of all stages may be added up.
    """

    name: str
    calls: int
    total_seconds: float
    seconds: Percentiles
    cpu_seconds: float = 0.0
    own_cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StatsSummary:
    """A run in numbers.

    Attributes:
        frames: Frames whose results are out.
        dropped: Frames of a live source that were passed over because newer ones waited.
        skipped: Packets or pictures that could not be decoded.
        seconds: From the first measurement to the last.
        fps: Frames a second over that time; 0 before two moments were measured.
        latency_seconds: From a frame's capture to its result; None: no frame yet.
        stages: In the order in which they first ran.
    """

    frames: int
    dropped: int
    skipped: int
    seconds: float
    fps: float
    latency_seconds: Percentiles | None
    stages: tuple[StageSummary, ...]


class Histogram:
    """Counts times in bins that widen by 2 %, from 1 µs to 10,000 s; what lies outside counts in the outermost bin."""

    __slots__ = ("_bins", "_longest", "_shortest", "count", "total_seconds")

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._shortest, self._longest = math.inf, 0.0
        self.count = 0
        self.total_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one time; a negative one, from clocks that disagree, counts as none."""
        seconds = max(seconds, 0.0)
        bin_index = int(math.log(max(seconds, _SHORTEST_SECONDS) / _SHORTEST_SECONDS) / _LOG_BIN)
        self._bins[min(bin_index, _BINS - 1)] += 1
        self._shortest, self._longest = min(self._shortest, seconds), max(self._longest, seconds)
        self.count += 1
        self.total_seconds += seconds

    def percentiles(self) -> Percentiles | None:
        """Return the percentiles by nearest rank, within 1 % from 1 µs to 10,000 s; None: nothing counted."""
        if self.count == 0:
            return None
        return Percentiles(self._quantile(0.50), self._quantile(0.95), self._quantile(0.99))

    def _quantile(self, fraction: float) -> float:
        rank = max(math.ceil(fraction * self.count), 1)
        bin_index = bisect_left(list(accumulate(self._bins)), rank)
        # The bin's geometric centre, but never outside what was measured.
        centre = _SHORTEST_SECONDS * math.exp((bin_index + 0.5) * _LOG_BIN)
        return min(max(centre, self._shortest), self._longest)


@dataclass(slots=True)
class _Call:
    """A stage that runs just now in one thread."""

    inner_cpu_seconds: float = 0.0  # of the stages inside it


@dataclass(slots=True)
class _Stage:
    """The calls of one stage."""

    wall: Histogram = field(default_factory=Histogram)
    cpu_seconds: float = 0.0
    own_cpu_seconds: float = 0.0


# Each thread has a context of its own, so this is the innermost call in the thread that asks.
_CURRENT: ContextVar[_Call | None] = ContextVar("stage", default=None)


class RunStats:
    """Gathers one run's numbers. One lock guards them all, so any thread may write and any may ask for a summary.

    Args:
        clock: Monotonic seconds, the clock of `Frame.captured_at`.
        cpu_clock: Processor seconds of the calling thread.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu_clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._frames = self._dropped = self._skipped = 0
        self._latency = Histogram()
        self._stages: dict[str, _Stage] = {}
        self._started_at: float | None = None
        self._last_at = 0.0

    def clear(self) -> None:
        """Forget all that was measured, so that what comes after a warm-up stands alone."""
        with self._lock:
            self._forget()

    def _touch(self, now: float) -> None:
        """Widen the measured time to `now`; the caller holds the lock."""
        self._started_at = now if self._started_at is None else min(self._started_at, now)
        self._last_at = max(self._last_at, now)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time what runs inside the `with` as one call of `stage`, also where it raises."""
        outer, call = _CURRENT.get(), _Call()
        token = _CURRENT.set(call)
        began_at, cpu_began_at = self._clock(), self._cpu_clock()
        try:
            yield
        finally:
            cpu_seconds, ended_at = self._cpu_clock() - cpu_began_at, self._clock()
            _CURRENT.reset(token)
            if outer is not None:
                outer.inner_cpu_seconds += cpu_seconds
            with self._lock:
                measured = self._stages.setdefault(stage, _Stage())
                measured.wall.add(ended_at - began_at)
                measured.cpu_seconds += cpu_seconds
                measured.own_cpu_seconds += cpu_seconds - call.inner_cpu_seconds
                self._touch(began_at)
                self._touch(ended_at)

    def note(self, stage: str, seconds: float) -> None:
        """Note a time that nothing ran in, such as the age of what is shown, among the stages' times."""
        with self._lock:
            self._stages.setdefault(stage, _Stage()).wall.add(seconds)

    def count_frame(self, captured_at: float) -> None:
        """Count a frame whose result is out; `captured_at` is the frame's."""
        now = self._clock()
        with self._lock:
            self._frames += 1
            self._latency.add(now - captured_at)
            self._touch(now)

    def count_dropped(self, count: int = 1) -> None:
        """Count frames of a live source that were passed over."""
        with self._lock:
            self._dropped += count

    def count_skipped(self, count: int = 1) -> None:
        """Count packets or pictures that could not be decoded."""
        with self._lock:
            self._skipped += count

    @property
    def dropped(self) -> int:
        """Frames passed over so far."""
        with self._lock:
            return self._dropped

    def summary(self) -> StatsSummary:
        """Return the numbers so far."""
        with self._lock:
            seconds = 0.0 if self._started_at is None else self._last_at - self._started_at
            return StatsSummary(
                frames=self._frames,
                dropped=self._dropped,
                skipped=self._skipped,
                seconds=seconds,
                fps=self._frames / seconds if seconds > 0 else 0.0,
                latency_seconds=self._latency.percentiles(),
                stages=tuple(
                    StageSummary(
                        name,
                        stage.wall.count,
                        stage.wall.total_seconds,
                        percentiles,
                        stage.cpu_seconds,
                        stage.own_cpu_seconds,
                    )
                    for name, stage in self._stages.items()
                    if (percentiles := stage.wall.percentiles()) is not None
                ),
            )
