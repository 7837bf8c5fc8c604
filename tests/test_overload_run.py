"""The ladder in a run with its threads: a detector that is too slow for the source, and then no longer is."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing

import pytest

from streamer.batches import Batch
from streamer.effort import FULL
from streamer.labels import Recognition, TrackLabeller
from streamer.load import Load, LoadMeter
from streamer.overload import OverloadLadder
from streamer.overload_policy import OverloadPolicy
from streamer.pictures import Picture, UInt8
from streamer.pipeline import Pipeline
from streamer.queues import RunSettings
from streamer.rungs import Usual
from streamer.runner import results
from streamer.scans import ScanPolicy
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Faces, Frame, FrameResult
from tests.fakes import RED, ColourEmbedder, ColourMatcher, DrawnSource, SquareDetector, draw, make_frame

FPS = 60.0
# A fifth of the usual patience, so that a test need not last as long.
HASTY = OverloadPolicy(
    overload_seconds=0.5,
    start_seconds=0.5,
    calm_seconds=1.0,
    doubt_seconds=3.0,
    regret_seconds=6.0,
    smoothing_seconds=0.5,
)
MEASURED_EVERY_SECONDS = 0.2
SEARCH_EVERY_SECONDS = 0.2


def work(seconds: float) -> None:
    """Keep a processor busy."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


class SlowDetector(SquareDetector):
    """Searches that last, the less so the larger the faces they search for."""

    def __init__(self) -> None:
        super().__init__()
        self.search_seconds = 0.1

    def detect(
        self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
    ) -> list[Faces]:
        work(self.search_seconds * 20.0 / (min_face_pixels or 20.0))
        return super().detect(pictures, min_face_pixels=min_face_pixels)


class Camera(DrawnSource):
    """A live source that keeps its pace, however fast it is read."""

    def __init__(self) -> None:
        super().__init__(walking, 60 * 60, fps=FPS, is_live=True)
        self._started_at = time.monotonic()
        self._is_closed = threading.Event()

    def read(self) -> Frame | None:
        due_at = self._started_at + self.delivered / FPS
        if self._is_closed.wait(max(0.0, due_at - time.monotonic())):
            return None
        return super().read()

    def close(self) -> None:
        self._is_closed.set()
        super().close()


def walking(index: int) -> UInt8:
    return draw([(10 + abs(index % 800 - 400) * 0.5, 60, RED)])


class Metered(Pipeline):
    """Tells a meter what goes in."""

    meter: LoadMeter

    def plan(self, frames: Sequence[Frame]) -> Batch:
        self.meter.enter(len(frames))
        return super().plan(frames)


class LiveRun:
    """What a live command does with the ladder."""

    def __init__(self) -> None:
        self.detector = SlowDetector()
        self.meter, self.loads = LoadMeter(time.monotonic), list[Load]()
        self.ladder = OverloadLadder(Usual(SEARCH_EVERY_SECONDS, min_face_pixels=20), HASTY)
        self.pipeline = Metered(
            self.detector,
            KalmanTracker,
            TrackLabeller(Recognition(ColourEmbedder(), ColourMatcher()), None),
            scans=ScanPolicy(every_seconds=SEARCH_EVERY_SECONDS, still_seconds=0),
        )
        self.pipeline.meter = self.meter
        self.processed = 0

    def results(self) -> Generator[FrameResult, None, None]:
        measured_at = time.monotonic()
        settings = RunSettings(batch_size=1, max_wait_seconds=0.0, queue_frames=2)
        with closing(results([Camera()], self.pipeline, settings=settings)) as stream:
            for result in stream:
                self.processed += 1
                self.meter.leave(result.frame.captured_at)
                if time.monotonic() - measured_at >= MEASURED_EVERY_SECONDS:
                    measured_at = time.monotonic()
                    self._measure(result)
                yield result

    def _measure(self, result: FrameResult) -> None:
        captured = result.frame.index + 1
        load = self.meter.read(captured, captured - self.processed)
        assert load is not None
        self.loads.append(load)
        change = self.ladder.update(time.monotonic(), load)
        if change is not None:
            self.pipeline.set_effort(change.effort)


def dropped_share(loads: Sequence[Load]) -> float:
    return sum(load.dropped for load in loads) / sum(load.captured for load in loads)


@pytest.mark.timeout(90)
def test_a_run_that_cannot_keep_up_does_more_with_less_effort_and_gets_it_back() -> None:
    """A tenth of a second a search, five times a second: a third of all frames is dropped at first."""
    run = LiveRun()
    effort, changed = FULL, 0
    before, settled = list[Load](), list[Load]()
    with closing(run.results()) as stream:
        for result in stream:
            assert len(result.annotations) <= 1
            if run.ladder.effort != effort:
                before = before or list(run.loads)
                effort, changed = run.ladder.effort, len(run.loads)
            if not settled and effort != FULL and len(run.loads) == changed + 10:
                settled = run.loads[-8:]
                run.detector.search_seconds = 0.0
            if settled and effort == FULL:
                break
    assert effort == FULL
    assert dropped_share(before) > 0.2
    assert dropped_share(settled) < dropped_share(before) / 2
    ages = [load.age_seconds for load in run.loads if load.age_seconds is not None]
    # A search, and the two frames that wait behind it; they would be older if more waited.
    assert sorted(ages)[len(ages) * 9 // 10] < 0.3


def test_the_meter_counts_what_went_in_and_came_out() -> None:
    clock = iter([0.0, 1.0, 1.5, 2.0, 4.0, 4.0, 5.0]).__next__
    meter = LoadMeter(clock)
    meter.enter(2)
    meter.leave(0.9)
    meter.leave(1.0)
    load = meter.read(captured=5, dropped=3)
    assert load == Load(4.0, captured=5, processed=2, dropped=3, busy=0.25, age_seconds=1.0)
    assert load.dropped_share == 0.6
    assert meter.read(captured=5, dropped=3) is None
    assert meter.read(captured=9, dropped=3) == Load(1.0, 4, 0, 0, 0.0, None)


def test_the_age_is_what_most_results_do_not_exceed() -> None:
    now = 0.0
    meter = LoadMeter(lambda: now)
    for number in range(100):
        meter.enter(1)
        meter.leave(-number / 100)
    now = 1.0
    load = meter.read(100, 0)
    assert load is not None
    assert load.age_seconds == 0.94


def test_a_frame_made_before_the_run_is_no_younger_than_it_is() -> None:
    frame = make_frame(walking(0), 0)
    meter = LoadMeter(time.monotonic)
    meter.enter(1)
    meter.leave(frame.captured_at + 1e6)  # clocks that disagree
    load = meter.read(1, 0)
    assert load is not None
    assert load.age_seconds == 0.0
