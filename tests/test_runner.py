"""Threads and their one way out: end, stop, and errors anywhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest

from streamer.batches import Batch
from streamer.canvas import Canvas
from streamer.errors import SinkError, SourceLostError, StreamerError, UsageError
from streamer.gaps import SpanPolicy
from streamer.labels import TrackLabeller
from streamer.pictures import Picture
from streamer.pipeline import Pipeline
from streamer.queues import FrameQueue, RunSettings, StopRequest
from streamer.runner import Route, results, run
from streamer.scans import ScanPolicy
from streamer.spans import SpanFollower
from streamer.stats import RunStats
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Ending, Faces, Frame, FrameResult
from tests.fakes import RED, DrawnSource, ListSink, SquareDetector, draw, make_frame


def picture(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return draw([(10 + index % 200, 50, RED)])


def pipeline() -> Pipeline:
    return Pipeline(SquareDetector(), KalmanTracker, TrackLabeller(None, None))


def draw_plain(result: FrameResult) -> Canvas:
    return Canvas(result.frame.picture)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> object:
    """Every test must leave as many threads as it found."""
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert left == []


@pytest.mark.parametrize(("batch_size", "scan_threads"), [(1, 1), (3, 1), (8, 1), (1, 4), (3, 2), (8, 2)])
def test_every_frame_of_a_file_reaches_every_sink_in_order(batch_size: int, scan_threads: int) -> None:
    source, plain, drawn = DrawnSource(picture, 40), ListSink(), ListSink(needs_canvas=True)
    settings = RunSettings(batch_size=batch_size, queue_frames=4, scan_threads=scan_threads)
    report = run([Route(source, [plain, drawn])], pipeline(), draw=draw_plain, settings=settings)
    assert [result.frame.index for result in plain.results] == list(range(40))
    assert [result.frame.index for result in drawn.results] == list(range(40))
    assert plain.canvases == [None] * 40
    assert all(canvas is not None for canvas in drawn.canvases)
    assert (plain.closed, drawn.closed) == ([Ending.COMPLETE], [Ending.COMPLETE])
    assert plain.opened == source.info
    assert source.closed >= 1
    assert (report.stats.frames, report.stats.dropped, report.is_interrupted) == (40, 0, False)


def test_nothing_is_drawn_where_no_sink_wants_a_picture() -> None:
    def refuse(result: FrameResult) -> Canvas:
        raise AssertionError("drawn for nobody")

    assert run([Route(DrawnSource(picture, 5), [ListSink()])], pipeline(), draw=refuse).stats.frames == 5


def test_many_sources_share_a_pipeline_and_keep_their_own_sinks() -> None:
    sinks = {name: ListSink() for name in ("left", "right")}
    routes = [Route(DrawnSource(picture, 20, source_id=name), [sink]) for name, sink in sinks.items()]
    run(routes, pipeline(), draw=draw_plain)
    for name, sink in sinks.items():
        assert [result.frame.index for result in sink.results] == list(range(20))
        assert {result.frame.source_id for result in sink.results} == {name}


def test_a_source_s_error_comes_after_its_good_frames_and_leaves_the_output_incomplete() -> None:
    lost = SourceLostError("clip.mp4 ends early: 12 of 40 frames could be read")
    source, sink = DrawnSource(picture, 40, fails_at=12, error=lost), ListSink()
    with pytest.raises(SourceLostError, match="12 of 40"):
        run([Route(source, [sink])], pipeline(), draw=draw_plain)
    assert len(sink.results) == 12
    assert sink.closed == [Ending.FAILED]
    assert source.closed >= 1


def test_an_unforeseen_error_in_a_source_is_told_with_the_source_s_name() -> None:
    source = DrawnSource(picture, 40, fails_at=3, error=ZeroDivisionError("oops"))
    with pytest.raises(StreamerError, match="drawn: reading failed: ZeroDivisionError"):
        run([Route(source, [ListSink()])], pipeline(), draw=draw_plain)


@pytest.mark.parametrize("error", [SinkError("cannot write out.mp4: disk full"), RuntimeError("boom")])
def test_a_sink_s_error_ends_the_run_and_closes_the_others(error: Exception) -> None:
    source, good = DrawnSource(picture, 400), ListSink()
    bad = ListSink(fails_at=5, error=error)
    with pytest.raises(SinkError, match=str(error)):
        run([Route(source, [bad, good])], pipeline(), draw=draw_plain)
    assert (bad.closed, good.closed) == ([Ending.FAILED], [Ending.FAILED])
    assert source.delivered < 400


def test_a_sink_that_fails_on_closing_is_told() -> None:
    class Unfinished(ListSink):
        def close(self, ending: Ending) -> None:
            raise SinkError("cannot finish out.mp4")

    good = ListSink()
    with pytest.raises(SinkError, match="cannot finish"):
        run([Route(DrawnSource(picture, 5), [good, Unfinished()])], pipeline(), draw=draw_plain)
    assert good.closed == [Ending.COMPLETE]


def test_a_sink_that_cannot_open_closes_those_that_did() -> None:
    class Closed(ListSink):
        def open(self, info: object) -> None:
            raise SinkError("cannot write there")

    first, source = ListSink(), DrawnSource(picture, 5)
    with pytest.raises(SinkError, match="cannot write there"):
        run([Route(source, [first, Closed()])], pipeline(), draw=draw_plain)
    assert first.closed == [Ending.FAILED]
    assert source.delivered == 0
    assert source.closed == 1


def test_a_failure_in_the_last_frames_keeps_every_output_from_looking_complete() -> None:
    """The queues are still full when the source ends: the failure is seen only while they are emptied."""
    good, bad = ListSink(), ListSink(fails_at=7, error=SinkError("disk full"))
    settings = RunSettings(batch_size=1, queue_frames=8)
    with pytest.raises(SinkError, match="disk full"):
        run([Route(DrawnSource(picture, 8), [good, bad])], pipeline(), draw=draw_plain, settings=settings)
    assert (good.closed, bad.closed) == ([Ending.FAILED], [Ending.FAILED])


def test_the_first_error_of_a_sink_is_the_one_that_is_told() -> None:
    class Worse(ListSink):
        def close(self, ending: Ending) -> None:
            super().close(ending)
            raise OSError("cannot close")

    good = ListSink()
    bad = Worse(fails_at=2, error=SinkError("disk full"))
    with pytest.raises(SinkError, match="disk full"):
        run([Route(DrawnSource(picture, 30), [bad, good])], pipeline(), draw=draw_plain)
    assert good.closed == [Ending.FAILED]


def test_two_sources_of_one_name_are_refused() -> None:
    routes = [Route(DrawnSource(picture, 3), [ListSink()]), Route(DrawnSource(picture, 3), [ListSink()])]
    with pytest.raises(UsageError, match="two sources have one source_id"):
        run(routes, pipeline(), draw=draw_plain)


def test_a_source_that_fails_on_closing_is_told() -> None:
    class Stuck(DrawnSource):
        def close(self) -> None:
            raise OSError("device busy")

    with pytest.raises(StreamerError, match="device busy"):
        run([Route(Stuck(picture, 3), [ListSink()])], pipeline(), draw=draw_plain)


def test_a_pipeline_serves_one_video_after_another() -> None:
    shared = pipeline()
    for _ in range(2):
        sink = ListSink()
        run([Route(DrawnSource(picture, 12), [sink])], shared, draw=draw_plain)
        assert sink.results[0].scanned
        assert [a.track.track_id for a in sink.results[0].annotations] == [1]


def test_a_stop_after_the_last_frame_changes_nothing() -> None:
    stop, sink = StopRequest(), ListSink()

    def late(result: FrameResult) -> None:
        if result.frame.index == 9:
            stop.set()

    report = run([Route(DrawnSource(picture, 10), [sink])], pipeline(), draw=draw_plain, stop=stop, on_result=late)
    assert not report.is_interrupted
    assert sink.closed == [Ending.COMPLETE]


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"queue_frames": 0}, {"scan_threads": 0}, {"max_wait_seconds": -1}]
)
def test_settings_with_which_nothing_would_move_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        RunSettings(**wrong)


@pytest.mark.parametrize("scan_threads", [1, 4])
def test_an_iteration_abandoned_at_any_moment_ends_its_threads(scan_threads: int) -> None:
    for count in (1, 2, 5, 9):
        source = DrawnSource(picture, 400)
        settings = RunSettings(batch_size=2, queue_frames=2, scan_threads=scan_threads)
        with closing(results([source], pipeline(), settings=settings)) as stream:
            for _ in range(count):
                next(stream)
        assert source.closed >= 1


def test_a_search_that_fails_in_a_scan_thread_is_raised() -> None:
    class Late(SquareDetector):
        def detect(
            self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
        ) -> list[Faces]:
            if len(self.scanned) == 3:
                raise ValueError("bad picture")
            return super().detect(pictures)

    broken = Pipeline(
        Late(), KalmanTracker, TrackLabeller(None, None), scans=ScanPolicy(every_seconds=0, still_seconds=0)
    )
    source = DrawnSource(picture, 100)
    with pytest.raises(ValueError, match="bad picture"):
        list(results([source], broken, settings=RunSettings(batch_size=2, scan_threads=3)))
    assert source.closed >= 1


def test_a_stage_s_error_closes_everything() -> None:
    class Broken(SquareDetector):
        def detect(
            self, pictures: Sequence[object], regions: object = None, *, min_face_pixels: float | None = None
        ) -> list[Faces]:
            raise ValueError("no such layer")

    source, sink = DrawnSource(picture, 50), ListSink()
    broken = Pipeline(Broken(), KalmanTracker, TrackLabeller(None, None))
    with pytest.raises(ValueError, match="no such layer"):
        run([Route(source, [sink])], broken, draw=draw_plain)
    assert sink.closed == [Ending.FAILED]
    assert source.closed >= 1


@pytest.mark.parametrize("scan_threads", [1, 3])
def test_searches_that_end_out_of_order_are_followed_in_order(scan_threads: int) -> None:
    class Uneven(SquareDetector):
        def detect(
            self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
        ) -> list[Faces]:
            gate.wait(0.02 if len(self.scanned) % 2 == 0 else 0.0)
            return super().detect(pictures)

    gate, sink = threading.Event(), ListSink()
    uneven = Pipeline(
        Uneven(), KalmanTracker, TrackLabeller(None, None), scans=ScanPolicy(every_seconds=0.04, still_seconds=0)
    )
    settings = RunSettings(batch_size=2, scan_threads=scan_threads)
    run([Route(DrawnSource(picture, 40), [sink])], uneven, draw=draw_plain, settings=settings)
    assert [result.frame.index for result in sink.results] == list(range(40))
    assert {a.track.track_id for result in sink.results for a in result.annotations} == {1}


@pytest.mark.parametrize("scan_threads", [1, 4])
def test_which_searches_are_left_out_does_not_depend_on_the_threads(scan_threads: int) -> None:
    class Slow(SquareDetector):
        def detect(
            self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
        ) -> list[Faces]:
            gate.wait(0.02)
            return super().detect(pictures)

    def coming(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return picture(index) if index >= 27 else draw([])

    gate, sink, slow = threading.Event(), ListSink(), Slow()
    sparing = Pipeline(
        slow,
        KalmanTracker,
        TrackLabeller(None, None),
        waiting_scans=ScanPolicy(every_seconds=0.2, still_seconds=0, spares=True),
        make_follower=lambda: SpanFollower(KalmanTracker(max_searched_seconds=0.2), slow, SpanPolicy(), RunStats()),
    )
    settings = RunSettings(batch_size=2, scan_threads=scan_threads)
    run([Route(DrawnSource(coming, 48), [sink])], sparing, draw=draw_plain, settings=settings)
    assert [result.frame.index for result in sink.results if result.scanned] == [0, 10, 20, 30, 35, 40, 45, 47]
    assert [len(result.annotations) for result in sink.results] == [0] * 27 + [1] * 21


def test_a_stop_request_finishes_the_outputs() -> None:
    stop, sink = StopRequest(), ListSink()

    def ask(result: FrameResult) -> None:
        if result.frame.index == 20:
            stop.set()

    source = DrawnSource(picture, 10_000)
    report = run([Route(source, [sink])], pipeline(), draw=draw_plain, stop=stop, on_result=ask)
    assert report.is_interrupted
    # What was planned before the request is finished: the batches in line, and one a scan thread.
    assert 21 <= len(sink.results) <= 21 + 16 + 2 * 4 + 4
    assert sink.closed == [Ending.INTERRUPTED]
    assert source.delivered < 200


def test_ctrl_c_without_a_handler_finishes_the_outputs_too() -> None:
    def interrupt(result: FrameResult) -> None:
        if result.frame.index == 5:
            raise KeyboardInterrupt

    sink = ListSink()
    with pytest.raises(KeyboardInterrupt):
        run([Route(DrawnSource(picture, 1000), [sink])], pipeline(), draw=draw_plain, on_result=interrupt)
    assert sink.closed == [Ending.INTERRUPTED]


def test_an_abandoned_iteration_closes_its_source() -> None:
    source = DrawnSource(picture, 1000)
    with closing(results([source], pipeline())) as stream:
        assert next(stream).frame.index == 0
    assert source.closed >= 1
    assert source.delivered < 50


@pytest.mark.parametrize("scan_threads", [1, 4])
def test_a_slow_sink_holds_a_file_s_frames_within_the_bounds(scan_threads: int) -> None:
    class Slow(ListSink):
        waiting = 0

        def write(self, result: FrameResult, canvas: Canvas | None) -> None:
            self.waiting = max(self.waiting, source.delivered - len(self.results))
            super().write(result, canvas)
            gate.wait(0.01)

    gate, sink, source = threading.Event(), Slow(), DrawnSource(picture, 60)
    run([Route(source, [sink])], pipeline(), draw=draw_plain, settings=RunSettings(4, 0.05, 4, scan_threads))
    assert len(sink.results) == 60
    # The sink's and its queue's; one labelled, two to be, a batch followed; those in line, and a batch searched a scan
    # thread; the grabber's.
    assert sink.waiting <= (1 + 4) + (1 + 2 + 4) + 16 + 4 * scan_threads + (4 + 1)


def test_a_live_source_s_full_queue_drops_its_oldest_and_counts() -> None:
    arrival = threading.Condition()
    frames = FrameQueue(3, is_live=True, arrival=arrival)
    for index in range(10):
        assert frames.put(make_frame(picture(index), index))
    with arrival:
        assert [frame.index for frame in frames.take(8)] == [7, 8, 9]
    assert frames.dropped == 7


def test_drops_of_a_live_source_reach_the_statistics() -> None:
    stats = RunStats()
    release = threading.Event()

    class Held(DrawnSource):
        def read(self):  # type: ignore[no-untyped-def]
            frame = super().read()
            if frame is None:
                release.set()
            return frame

    source = Held(picture, 30, is_live=True)
    stream = results([source], pipeline(), settings=RunSettings(batch_size=2, queue_frames=2), stats=stats)
    first = next(stream)
    assert release.wait(5)
    rest = list(stream)
    assert stats.summary().dropped == 30 - len(rest) - 1
    assert rest[-1].frame.index == 29
    assert first.frame.index < rest[0].frame.index


def test_a_closed_queue_takes_nothing_and_wakes_its_writer() -> None:
    arrival = threading.Condition()
    frames = FrameQueue(1, is_live=False, arrival=arrival)
    assert frames.put(make_frame(picture(0), 0))
    outcome: list[bool] = []
    writer = threading.Thread(target=lambda: outcome.append(frames.put(make_frame(picture(1), 1))))
    writer.start()
    frames.close()
    writer.join(5)
    assert outcome == [False]


def test_skipped_packets_are_counted() -> None:
    class Damaged(DrawnSource):
        def read(self):  # type: ignore[no-untyped-def]
            self.skipped += 1 if self.delivered == 4 else 0
            return super().read()

    report = run([Route(Damaged(picture, 10), [ListSink()])], pipeline(), draw=draw_plain)
    assert report.stats.skipped == 1


def test_a_stop_before_the_first_frame_writes_nothing() -> None:
    stop, sink = StopRequest(), ListSink()
    stop.set()
    began = time.monotonic()
    report = run([Route(DrawnSource(picture, 100), [sink])], pipeline(), draw=draw_plain, stop=stop)
    assert report.is_interrupted
    assert sink.results == []
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("most", [1, 2])
def test_frames_under_way_are_bounded_so_that_none_grows_old_behind_others(most: int) -> None:
    """A live picture waits in its source's queue, where newer ones replace it, and nowhere behind that."""
    planned: list[int] = []

    class Counting(Pipeline):
        def plan(self, frames: Sequence[Frame]) -> Batch:
            planned.extend(frame.index for frame in frames)
            return super().plan(frames)

    source = DrawnSource(picture, 3000, is_live=True)
    settings = RunSettings(batch_size=1, max_wait_seconds=0, queue_frames=1, most_under_way=most)
    stages = Counting(SquareDetector(), KalmanTracker, TrackLabeller(None, None))
    excess = []
    with closing(results([source], stages, settings=settings)) as stream:
        for done, _ in enumerate(stream):
            threading.Event().wait(0.002)  # a slow reader: threads have time to run ahead
            excess.append(len(planned) - done)
    assert max(excess) == most
    assert planned[-1] == 2999  # the newest was not dropped


@pytest.mark.parametrize("most", [0, -1])
def test_no_frame_under_way_is_no_setting(most: int) -> None:
    with pytest.raises(ValueError, match="most_under_way"):
        RunSettings(most_under_way=most)
