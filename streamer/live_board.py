"""How a live run goes, for whoever watches it: its figures of the last seconds, and a line about what has happened."""

from __future__ import annotations

import logging
import math
import time
from types import MappingProxyType

from streamer.live_rates import LiveRates
from streamer.live_running import RunningParts
from streamer.live_status import LiveStatus
from streamer.stats import RunStats
from streamer.types import FrameResult, SourceState, SourceStatus

_LOG = logging.getLogger(__name__)

_MESSAGE_SECONDS, _LETTERS_A_SECOND = 6.0, 15
_FIGURES_SECONDS = 0.5
# What the details tell of the stages, in words.
_STAGES = MappingProxyType(
    {
        "detect": "search the picture",
        "refine": "look near faces",
        "track": "follow",
        "embed": "look who it is",
        "emotion": "read emotions",
        "shown": "from camera to screen",
    }
)


class LiveBoard:
    """What is known of a run just now; any thread may write, the one that watches asks.

    Args:
        stats: Of the whole run.
    """

    def __init__(self, stats: RunStats) -> None:
        self._stats = stats
        self._shown, self._processed = LiveRates(), LiveRates()
        self._figures: tuple[float, float | None, float | None] = (-math.inf, None, None)  # when, fps, age
        self._line: tuple[float, str] = (-math.inf, "")  # until when, and what

    def tell(self, line: str) -> None:
        """Show a line for as long as it takes to read it."""
        _LOG.info("%s", line)
        seconds = max(_MESSAGE_SECONDS, len(line) / _LETTERS_A_SECOND)
        self._line = (time.monotonic() + seconds, line)

    @property
    def message(self) -> str:
        """What there is to tell just now; "": nothing."""
        until, line = self._line
        return line if time.monotonic() < until else ""

    def note_processed(self, now_seconds: float) -> None:
        """Note that a frame has been processed."""
        self._processed.add(now_seconds)

    def note_shown(self, result: FrameResult) -> None:
        """Note that a frame is on the screen now."""
        now = time.monotonic()
        self._shown.add(now, now - result.frame.captured_at)
        self._stats.note("shown", now - result.frame.captured_at)

    @staticmethod
    def before(opening: SourceStatus) -> LiveStatus:
        """Return how a run stands that has not begun."""
        if opening.state is SourceState.RUNNING:  # the source is open, and the nets are still loaded
            return LiveStatus(detail="loading the nets")
        return LiveStatus(opening.state, opening.detail)

    def status(self, running: RunningParts) -> LiveStatus:
        """Return how a run stands."""
        now, source = time.monotonic(), running.source.status
        details = {SourceState.RUNNING: "", SourceState.PAUSED: "space: go on"}
        summary = running.summary(self._stats, now)
        fps, age_seconds = self._slow_figures(now)
        return LiveStatus(
            state=source.state,
            detail=details.get(source.state, source.detail),
            source=running.name(source),
            device=running.device,
            fps=fps,
            age_seconds=age_seconds,
            dropped=summary.dropped,
            load=running.ladder.status,
            recordings=running.recorder.running(),
            problems=tuple(one.problem for one in running.outputs.statuses() if one.problem is not None),
            stages=tuple((_STAGES[one.name], one.seconds.p50) for one in summary.stages if one.name in _STAGES),
        )

    def _slow_figures(self, now: float) -> tuple[float | None, float | None]:
        """Return frames a second and the age of what is shown; changed seldom, or nobody could read them."""
        if now - self._figures[0] >= _FIGURES_SECONDS:
            self._figures = (now, self._processed.per_second(now), self._shown.late_value(now))
        return self._figures[1:]
