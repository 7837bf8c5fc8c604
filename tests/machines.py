"""A model of a machine on which a live run goes on: what it does in a second under an effort, as a Load."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from streamer.effort import Effort
from streamer.load import Load
from streamer.rungs import Usual

USUAL = Usual(search_seconds=0.4, min_face_pixels=20, embeddings_per_second=60.0, emotion_seconds=0.2, is_shown=True)
_WAITING_FRAMES = 2  # as many as wait in a live source's queue


@dataclass(frozen=True, slots=True)
class Work:
    """What a live run costs at the full effort, seconds.

    Attributes:
        follow: Each frame.
        search: A search of a whole picture.
        looks: Embeddings and emotions in a second.
        show: Each frame that is drawn and shown.
    """

    follow: float = 0.005
    search: float = 0.04
    looks: float = 0.1
    show: float = 0.004

    def share(self, fps: float) -> float:
        """Return the share of the time that all this takes; above 1: more than there is."""
        return fps * (self.follow + self.show) + self.search / USUAL.search_seconds + self.looks


@dataclass(slots=True)
class Machine:
    """Works on one frame after the other; frames of all sources wait in one short queue, which drops its oldest.

    Attributes:
        work: What things cost.
        fps: Frames a second of all sources together.
        slowness: By what all of that is multiplied at a time.
    """

    work: Work = field(default_factory=Work)
    fps: float = 30.0
    slowness: Callable[[float], float] = lambda _: 1.0
    now: float = 0.0
    most_waited: int = 0
    _arrivals: int = 0
    _waiting: deque[float] = field(default_factory=deque)
    _free_at: float = 0.0
    _searched_at: float = -1e9
    _shown_at: float = -1e9

    def run(self, seconds: float, effort: Effort) -> Load:
        """Go on for some time, and return what happened."""
        end, began_at = self.now + seconds, self.now
        busy, dropped, captured, ages = max(0.0, min(self._free_at, end) - began_at), 0, 0, list[float]()
        while True:
            arrival = self._arrivals / self.fps
            until = min(arrival, end)
            while self._waiting and max(self._free_at, self._waiting[0]) < until:
                started_at = max(self._free_at, self._waiting[0])
                captured_at = self._waiting.popleft()
                self._free_at = started_at + self._cost(started_at, effort)
                busy += min(self._free_at, end) - started_at
                ages.append(self._free_at - captured_at)
            if arrival >= end:
                break
            if len(self._waiting) == _WAITING_FRAMES:
                self._waiting.popleft()
                dropped += 1
            self._waiting.append(arrival)
            self.most_waited = max(self.most_waited, len(self._waiting))
            self._arrivals, captured = self._arrivals + 1, captured + 1
        self.now = end
        late = sorted(ages)[int(0.95 * (len(ages) - 1))] if ages else None
        return Load(seconds, captured, len(ages), dropped, min(1.0, busy / seconds), late)

    def _cost(self, now: float, effort: Effort) -> float:
        work = self.work
        cost = work.follow + work.looks * effort.looks / self.fps
        if now - self._searched_at >= effort.search_seconds(USUAL.search_seconds) - 1e-3:
            self._searched_at = now
            cost += work.search / effort.face_times
        if effort.most_shown_fps is None or now - self._shown_at >= 1 / effort.most_shown_fps - 1e-3:
            self._shown_at = now
            cost += work.show
        return cost * self.slowness(now)
