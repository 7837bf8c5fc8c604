"""The overload ladder: how much a live run costs, decided from how it keeps up. No thread and no clock of its own.

Up a rung (rungs.py) where frames are dropped or results are late for seconds on end. Down again after a calm time, if
what the rung has been measured to save fits in; where that would never fit it is tried all the same, now and then, for
the scene may have changed. What fails is tried again after twice the time, as network protocols back off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from streamer.effort import Effort
from streamer.load import Load
from streamer.overload_policy import OverloadPolicy, Patience
from streamer.rung_costs import Cost, Saving
from streamer.rungs import Usual, change, rungs, status
from streamer.types import Event

# A calm second is worth half of an overloaded one, so that less than a third of bad seconds, such as single bursts,
# never add up; and where calm is waited for, an overloaded second undoes so many calm ones.
_CALM_AGAINST_OVERLOAD, _OVERLOAD_AGAINST_CALM = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class Change:
    """A step of the ladder.

    Attributes:
        effort: What a run costs from now on.
        text: What that means, one line for people to read.
    """

    effort: Effort
    text: str

    def event(self, pts_seconds: float) -> Event:
        """Return it as what happens to a source, whose stream time is now `pts_seconds`."""
        return Event("overload", pts_seconds, detail=self.text)


@dataclass(slots=True)
class _Evidence:
    """What speaks for a step."""

    overload_seconds: float = 0.0
    calm_seconds: float = 0.0
    cost: Cost = field(default_factory=Cost)
    before: Cost | None = None  # of the rung that this one was reached from, going up; None: noted, or going down


class OverloadLadder:
    """Decides the effort of one run, whatever the number of its sources: they share the machine.

    Args:
        usual: What the full effort is.
        policy: How patient it is.
    """

    def __init__(self, usual: Usual, policy: OverloadPolicy | None = None) -> None:
        self._usual, self._rungs = usual, rungs(usual)
        self._policy = policy if policy is not None else OverloadPolicy()
        self._rung = 0
        self._is_descending = False
        self._evidence = _Evidence()
        self._savings: dict[int, Saving] = {}
        self._patience = Patience(self._policy, self._policy.calm_seconds)
        self._judged_from: float | None = None  # None: from `start_seconds` after the next frames
        self._updated_at = -math.inf

    @property
    def effort(self) -> Effort:
        """What the run costs now."""
        return self._rungs[self._rung]

    @property
    def status(self) -> str:
        """What is left out now, for a status line: at most 40 characters; "" at the full effort."""
        return status(self.effort)

    def update(self, now_seconds: float, load: Load) -> Change | None:
        """Take a measurement, once or twice a second.

        Args:
            now_seconds: Monotonic.
            load: What happened since the last measurement.

        Returns:
            What changes from now on; None: nothing.
        """
        if self._is_starting(now_seconds, load) or not load.captured:
            return None
        self._weigh(load)
        evidence, is_overload = self._evidence, self._policy.is_overload(load)
        if is_overload and evidence.overload_seconds >= self._policy.overload_seconds and self._has_next():
            self._patience.fail(now_seconds)
            return self._step(1)
        if self._rung == 0:
            if not is_overload:
                self._patience.rest(load.seconds)
            return None
        if is_overload or evidence.calm_seconds < self._needed_seconds():
            return None
        self._patience.step(now_seconds, evidence.calm_seconds)
        return self._step(-1)

    def _is_starting(self, now: float, load: Load) -> bool:
        """Say whether it is too early to judge; after a gap all evidence is forgotten."""
        elapsed, self._updated_at = now - self._updated_at, now
        if not 0 <= elapsed <= self._policy.gap_seconds or load.seconds > self._policy.gap_seconds:
            self._judged_from = None
            self._evidence = replace(self._evidence, overload_seconds=0.0, calm_seconds=0.0)
        if self._judged_from is None and load.captured:
            self._judged_from = now + self._policy.start_seconds
        return self._judged_from is None or now < self._judged_from

    def _weigh(self, load: Load) -> None:
        evidence, seconds = self._evidence, load.seconds
        evidence.cost = evidence.cost.with_load(load, self._policy.smoothing_seconds)
        if evidence.before is not None and evidence.cost.seconds >= self._policy.smoothing_seconds:
            self._note_saving()
        if self._policy.is_overload(load):
            evidence.overload_seconds += seconds
            evidence.calm_seconds = max(0.0, evidence.calm_seconds - _OVERLOAD_AGAINST_CALM * seconds)
            return
        evidence.overload_seconds = max(0.0, evidence.overload_seconds - _CALM_AGAINST_OVERLOAD * seconds)
        if self._policy.is_calm(load):
            evidence.calm_seconds += seconds

    def _note_saving(self) -> None:
        if self._evidence.before is not None:
            self._savings[self._rung] = Saving.between(self._evidence.before, self._evidence.cost)
            self._evidence.before = None

    def _has_next(self) -> bool:
        return self._rung + 1 < len(self._rungs)

    def _needed_seconds(self) -> float:
        """Return how long it must have been calm before the next step down."""
        # What was waited for once need not be waited for at each rung.
        needed = self._policy.calm_seconds if self._is_descending else self._patience.wait_seconds
        return needed if self._fits() else max(needed, self._policy.doubt_seconds)

    def _fits(self) -> bool:
        """Say whether the run would keep up without what this rung saves."""
        cost, saving = self._evidence.cost, self._savings.get(self._rung, Saving())
        room, late_seconds = self._policy.head_room, self._policy.late_seconds
        is_idle = math.isnan(cost.work_seconds) or cost.work_seconds * saving.work_times * cost.fps <= room
        is_early = math.isnan(cost.age_seconds) or cost.age_seconds * saving.age_times <= room * late_seconds
        return is_idle and is_early

    def _step(self, by: int) -> Change:
        """Go up or down a rung."""
        self._note_saving()
        before, cost = self.effort, self._evidence.cost
        self._rung += by
        self._is_descending = by < 0
        self._evidence = _Evidence(before=cost if by > 0 else None)
        what = change(before, self.effort, self._usual)
        return Change(self.effort, f"overload: {what}" if by > 0 else f"less load: {what}")
