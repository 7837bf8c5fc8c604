"""The parts of a live run once its source is open and its nets are loaded, and what is kept of it between frames."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from streamer.annotate import Annotator
from streamer.live_people import LivePeople
from streamer.live_recorder import Recorder
from streamer.live_threads import Jobs
from streamer.load import LoadMeter
from streamer.outputs import LiveOutputs
from streamer.overload import OverloadLadder
from streamer.pipeline import Pipeline
from streamer.sources.gated import GatedSource
from streamer.stats import RunStats, StatsSummary
from streamer.types import Event, FrameResult, SourceState, SourceStatus

_LOG = logging.getLogger(__name__)

_LADDER_SECONDS = 1.0
_GAP_SECONDS = 2.0
_SUMMARY_SECONDS = 1.0


@dataclass(slots=True)
class RunningParts:
    """What a live run is made of; the methods of `events_of` belong to the run's own thread.

    Attributes:
        source: Where frames come from.
        pipeline: What makes results of them.
        people: Who is known, and may change.
        outputs: Where results go.
        recorder: Switches recordings on and off.
        ladder: How much is left out to keep up.
        meter: Measures how it keeps up.
        annotator: Draws what is recorded.
        device: Where the nets run, for people to read.
        jobs: The thread in which people are enrolled and pictures saved.
        last_result: The newest.
        blurs_strangers: Faces without a name are made unrecognisable in what is recorded.
    """

    source: GatedSource
    pipeline: Pipeline
    people: LivePeople
    outputs: LiveOutputs
    recorder: Recorder
    ladder: OverloadLadder
    meter: LoadMeter
    annotator: Annotator
    device: str
    jobs: Jobs
    last_result: FrameResult | None = None
    blurs_strangers: bool = False
    _reconnects: int = 0
    _ladder_at: float = 0.0
    _watched: int | None = None
    _summary: StatsSummary | None = None
    _summary_at: float = field(default=0.0)

    @property
    def source_id(self) -> str:
        """The source's."""
        return self.source.info.source_id

    def name(self, status: SourceStatus) -> str:
        """Return the source's name and, while it runs, what it grants."""
        grants = status.detail if status.state is SourceState.RUNNING else ""
        return ", ".join(part for part in (self.source.info.name, grants) if part)

    def with_events(self, result: FrameResult, now_seconds: float, stats: RunStats) -> FrameResult:
        """Take the next result; return it with what has happened to the source, and to the load, before it."""
        events = [*self._source_events(result), *self._load_events(result, now_seconds, stats)]
        self.last_result = replace(result, events=(*events, *result.events)) if events else result
        return self.last_result

    def _source_events(self, result: FrameResult) -> list[Event]:
        reconnects = self.source.status.reconnects
        if reconnects == self._reconnects:
            return []
        self._reconnects = reconnects
        last = self.last_result.frame.pts_seconds if self.last_result is not None else 0.0
        return [Event("reconnecting", last), Event("reconnected", result.frame.pts_seconds)]

    def _load_events(self, result: FrameResult, now: float, stats: RunStats) -> list[Event]:
        elapsed = now - self._ladder_at
        if elapsed < _LADDER_SECONDS:
            return []
        self._ladder_at = now
        # A frame's number counts all that were captured before it.
        load = self.meter.read(result.frame.index + 1, stats.dropped)
        if elapsed > _GAP_SECONDS:
            return []  # the source was away, or stood still: what it then gives late says nothing of the load
        step = self.ladder.update(now, load) if load is not None else None
        if step is None:
            return []
        _LOG.info("%s", step.text)
        self.pipeline.set_effort(step.effort)
        return [step.event(result.frame.pts_seconds)]

    def drawing(self) -> Annotator:
        """Return what draws recordings, strangers blurred or not."""
        if self.annotator.style.blur_unknown != self.blurs_strangers:
            self.annotator.style = replace(self.annotator.style, blur_unknown=self.blurs_strangers)
        return self.annotator

    def watch(self, track_id: int | None) -> None:
        """Look closely at one face, and no longer at the one before."""
        if self._watched is not None:
            self.people.look_as_usual(self.source_id, self._watched)
        self._watched = track_id
        if track_id is not None:
            self.people.look_closely(self.source_id, track_id)

    def unwatch(self, track_id: int) -> None:
        """Look as usual again at a face, unless another is being watched by now."""
        if self._watched == track_id:
            self.watch(None)

    def summary(self, stats: RunStats, now_seconds: float) -> StatsSummary:
        """Return the run's numbers of at most a second ago: adding them up takes a while."""
        if self._summary is None or now_seconds - self._summary_at >= _SUMMARY_SECONDS:
            self._summary, self._summary_at = stats.summary(), now_seconds
        return self._summary
