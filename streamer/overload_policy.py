"""When a live run is overloaded, and how long its overload ladder (overload.py) waits before it asks for more again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamer.load import Load


@dataclass(frozen=True, slots=True)
class OverloadPolicy:
    """When a run is overloaded, and how patient the ladder is; durations in seconds.

    Attributes:
        most_dropped: A run that drops a larger share of its frames is overloaded.
        late_seconds: So is one whose results are older than this.
        few_dropped: A run that drops no more, and whose results are not late, is calm.
        head_room: Share of the time that may be busy after a step down, and of `late_seconds` that results may take.
        overload_seconds: Overload of so long leads a step up. Longer than two measurements: a burst that falls on the
            end of one and the beginning of the next spoils both.
        start_seconds: At first, and after a gap, models warm up and queues run empty: nothing is judged.
        gap_seconds: Measurements further apart are no evidence: the machine slept, or the run was paused.
        calm_seconds: Calm of so long leads a step down, if it has not failed before.
        doubt_seconds: The same where it should not fit.
        regret_seconds: A step down has failed if overload is back so soon, or while it was waited for.
        most_wait_seconds: After failures calm must last at most so long.
        forget_seconds: So long at the full effort halves the waiting.
        smoothing_seconds: Time constant of what a rung is measured to cost.
    """

    most_dropped: float = 0.1
    late_seconds: float = 0.15
    few_dropped: float = 0.02
    head_room: float = 0.8
    overload_seconds: float = 2.5
    start_seconds: float = 3.0
    gap_seconds: float = 5.0
    calm_seconds: float = 5.0
    doubt_seconds: float = 60.0
    regret_seconds: float = 30.0
    most_wait_seconds: float = 240.0
    forget_seconds: float = 60.0
    smoothing_seconds: float = 3.0

    def is_overload(self, load: Load) -> bool:
        """Say whether a run did not keep up."""
        is_late = load.age_seconds is not None and load.age_seconds > self.late_seconds
        return is_late or load.dropped_share > self.most_dropped

    def is_calm(self, load: Load) -> bool:
        """Say whether a run kept up with ease."""
        is_early = load.age_seconds is None or load.age_seconds <= self.head_room * self.late_seconds
        return is_early and load.dropped_share <= self.few_dropped


@dataclass(slots=True)
class Patience:
    """How long calm must last before a step down, learnt from those that failed."""

    policy: OverloadPolicy
    wait_seconds: float
    stepped_at: float = -math.inf  # down; that failure was noted, or there was none: long ago
    waited_seconds: float = 0.0  # before that step
    peace_seconds: float = 0.0  # at the full effort

    def fail(self, now: float) -> None:
        """Note that overload is back; soon after a step down, that was a failure."""
        self.peace_seconds = 0.0
        if now - self.stepped_at <= self.policy.regret_seconds + self.wait_seconds:
            longer = 2 * max(self.wait_seconds, self.waited_seconds)
            self.wait_seconds = min(self.policy.most_wait_seconds, longer)
        self.stepped_at = -math.inf

    def step(self, now: float, waited_seconds: float) -> None:
        """Note a step down."""
        self.stepped_at, self.waited_seconds = now, waited_seconds

    def rest(self, seconds: float) -> None:
        """Note time at the full effort without overload."""
        self.peace_seconds += seconds
        if self.peace_seconds >= self.policy.forget_seconds:
            self.peace_seconds = 0.0
            self.wait_seconds = max(self.policy.calm_seconds, self.wait_seconds / 2)
