"""What a live run keeps from frame to frame: what happened to its source, and how its load is judged."""

from __future__ import annotations

from typing import cast

from streamer.annotate import Annotator
from streamer.effort import Effort
from streamer.live_people import LivePeople
from streamer.live_recorder import Recorder
from streamer.live_running import RunningParts
from streamer.live_threads import Jobs
from streamer.load import Load, LoadMeter
from streamer.outputs import LiveOutputs
from streamer.overload import Change, OverloadLadder
from streamer.pipeline import Pipeline
from streamer.sources.gated import GatedSource
from streamer.stages import LiveSource
from streamer.stats import RunStats
from streamer.types import Frame, FrameResult, SourceInfo, SourceState, SourceStatus
from tests.fakes import draw, make_frame

LESS = Effort(search_times=2)


class AnySource:
    """A LiveSource that gives what it is told to, and says what it is told to."""

    def __init__(self, *frames: Frame) -> None:
        self.info = SourceInfo("drawn", "drawn", 320, 180, 25.0, None, is_live=True)
        self.skipped = 0
        self.status = SourceStatus(SourceState.RUNNING, "as asked")
        self.frames = list(frames)
        self.is_closed = False

    def read(self) -> Frame | None:
        return self.frames.pop(0) if self.frames else None

    def close(self) -> None:
        self.is_closed = True


class EagerLadder:
    """Steps at every measurement."""

    def __init__(self) -> None:
        self.loads: list[Load] = []

    def update(self, now_seconds: float, load: Load) -> Change | None:
        self.loads.append(load)
        return Change(LESS, "overload: less")


class Recording:
    """A pipeline that only notes its effort."""

    def __init__(self) -> None:
        self.efforts: list[Effort] = []

    def set_effort(self, effort: Effort) -> None:
        self.efforts.append(effort)


class Parts:
    def __init__(self) -> None:
        self.clock = 100.0
        self.source, self.ladder, self.pipeline, self.stats = AnySource(), EagerLadder(), Recording(), RunStats()
        self.running = RunningParts(
            GatedSource(self.source),
            cast(Pipeline, self.pipeline),
            cast(LivePeople, None),
            cast(LiveOutputs, None),
            cast(Recorder, None),
            cast(OverloadLadder, self.ladder),
            LoadMeter(lambda: self.clock),
            cast(Annotator, None),
            "CPU",
            cast(Jobs, None),
        )

    def see(self, index: int, seconds: float) -> FrameResult:
        self.clock += seconds
        return self.running.with_events(FrameResult(make_frame(draw([]), index)), self.clock, self.stats)


def test_a_source_that_was_away_is_told_once_with_the_time_of_both_ends() -> None:
    parts = Parts()
    parts.see(0, 0.04)
    parts.source.status = SourceStatus(SourceState.RUNNING, reconnects=1)
    back = parts.see(100, 0.04)
    assert [(event.kind, event.pts_seconds) for event in back.events] == [("reconnecting", 0.0), ("reconnected", 4.0)]
    assert parts.see(101, 0.04).events == ()


def test_a_step_of_the_ladder_is_obeyed_and_told_at_most_once_a_second() -> None:
    parts = Parts()
    seen = [parts.see(index, 0.1) for index in range(35)]
    told = [event.detail for result in seen for event in result.events if event.kind == "overload"]
    assert told == ["overload: less"] * 3
    assert parts.pipeline.efforts == [LESS] * 3


def test_a_time_without_pictures_is_no_load() -> None:
    """A camera that stalled gives old pictures when it is back; they say nothing of the machine."""
    parts = Parts()
    for index in range(12):
        parts.see(index, 0.1)
    before = len(parts.ladder.loads)
    assert parts.see(13, 4.0).events == ()
    assert len(parts.ladder.loads) == before
    for index in range(14, 26):
        parts.see(index, 0.1)
    assert len(parts.ladder.loads) == before + 1


def test_a_paused_source_is_read_on_and_goes_on_with_the_newest_picture() -> None:
    inner = AnySource(*(make_frame(draw([]), index) for index in range(5)))
    gated = GatedSource(inner)
    assert isinstance(gated, LiveSource)
    first = gated.read()
    assert first is not None
    states = [gated.status.state]
    gated.is_paused = True
    states.append(gated.status.state)
    assert gated.read() is None  # all that came meanwhile was passed over, up to the end
    assert inner.frames == []
    gated.is_paused = False
    states.append(gated.status.state)
    assert states == [SourceState.RUNNING, SourceState.PAUSED, SourceState.RUNNING]
    gated.close()
    assert inner.is_closed


def test_a_source_that_is_lost_while_paused_says_so() -> None:
    gated = GatedSource(AnySource())
    gated.is_paused = True
    lost = SourceStatus(SourceState.RECONNECTING, "the camera is unplugged")
    cast(AnySource, gated._source).status = lost
    assert gated.status == lost
