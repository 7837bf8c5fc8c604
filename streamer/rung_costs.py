"""What the rungs of the overload ladder (overload.py) are measured to cost, and what each saves of the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamer.load import Load

# What one rung may be believed to save: more is a change of the scene or of the machine just then.
_MOST_SAVED = 4.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one rung costs, averaged over the last seconds.

    Attributes:
        work_seconds: Of the pipeline a frame; nan: not known.
        fps: Frames captured a second.
        age_seconds: Of results; nan: not known.
        seconds: That this was measured for.
    """

    work_seconds: float = math.nan
    fps: float = math.nan
    age_seconds: float = math.nan
    seconds: float = 0.0

    def with_load(self, load: Load, smoothing_seconds: float) -> Cost:
        """Return the averages with one more measurement."""
        weight = 1 - math.exp(-load.seconds / smoothing_seconds)
        work = load.busy * load.seconds / load.processed if load.processed else math.nan
        return Cost(
            _averaged(self.work_seconds, work, weight),
            _averaged(self.fps, load.captured / load.seconds, weight),
            _averaged(self.age_seconds, load.age_seconds if load.age_seconds is not None else math.nan, weight),
            self.seconds + load.seconds,
        )


def _averaged(old: float, new: float, weight: float) -> float:
    if math.isnan(old) or math.isnan(new):
        return old if math.isnan(new) else new
    return old + weight * (new - old)


@dataclass(frozen=True, slots=True)
class Saving:
    """How many times as much work, and as old results, the rung before had."""

    work_times: float = 1.0
    age_times: float = 1.0

    @classmethod
    def between(cls, before: Cost, after: Cost) -> Saving:
        """Compare two rungs."""
        return cls(_times(before.work_seconds, after.work_seconds), _times(before.age_seconds, after.age_seconds))


def _times(before: float, after: float) -> float:
    if math.isnan(before) or math.isnan(after) or after <= 0:
        return 1.0
    return min(_MOST_SAVED, max(1.0, before / after))
