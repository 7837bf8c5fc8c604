"""Recordings that begin and end while a run goes on, snapshots, and the figures of the last seconds."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.live_rates import LiveRates
from streamer.live_recorder import Recorder
from streamer.outputs import LiveOutputs
from streamer.sinks.video import VideoSink
from streamer.stages import Sink
from streamer.types import Ending, FrameResult, SourceInfo
from tests.fakes import RED, ListSink, draw, make_frame

INFO = SourceInfo("drawn", "Camera ../é (/dev/video0)", 320, 180, 25.0, None, is_live=True)


def deliver(outputs: LiveOutputs, *indices: int) -> None:
    for index in indices:
        outputs.deliver(FrameResult(make_frame(draw([(10, 50, RED)]), index)), marked)


def marked(result: FrameResult) -> Canvas:
    canvas = Canvas(result.frame.picture)
    canvas.y[:20] = 235
    return canvas


def video(path: Path, begin_seconds: float) -> Sink:
    return VideoSink(path, start_seconds=begin_seconds)


def recorder(outputs: LiveOutputs, folder: Path) -> Recorder:
    return Recorder(outputs, video, folder, INFO.name)


def frames_of(path: Path) -> list[tuple[float, float]]:
    """Return the time of each picture, and how bright its top is."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time), float(frame.to_ndarray(format="gray")[:16].mean()))
            for frame in container.decode(video=0)
        ]


def test_a_recording_holds_what_came_while_it_ran_from_its_own_zero(tmp_path: Path) -> None:
    outputs = LiveOutputs(INFO)
    made = recorder(outputs, tmp_path / "recordings")
    deliver(outputs, 0, 1)
    said = made.toggle(is_clean=False, pts_seconds=0.04)
    assert [one.is_clean for one in made.running()] == [False]
    deliver(outputs, *range(100, 110))
    assert made.toggle(is_clean=False, pts_seconds=4.4).startswith("recorded ")
    assert made.running() == ()
    deliver(outputs, 110)
    assert outputs.finish(Ending.COMPLETE, 5.0) is None
    (path,) = (tmp_path / "recordings").iterdir()
    assert said == f"recording {path}"
    times, brightness = zip(*frames_of(path), strict=True)
    assert times == pytest.approx([index / 25 for index in range(10)], abs=1e-3)
    assert min(brightness) > 200


def test_a_clean_recording_runs_beside_a_drawn_one(tmp_path: Path) -> None:
    outputs = LiveOutputs(INFO)
    made = recorder(outputs, tmp_path)
    made.toggle(is_clean=True, pts_seconds=0.0)
    made.toggle(is_clean=False, pts_seconds=0.0)
    assert sorted(one.is_clean for one in made.running()) == [False, True]
    deliver(outputs, *range(5))
    assert outputs.finish(Ending.COMPLETE, 5.0) is None
    tops = {path.stem.endswith("-clean"): frames_of(path)[0][1] for path in tmp_path.iterdir()}
    assert tops[True] < 40
    assert tops[False] > 200


def test_files_are_named_after_the_source_and_the_time_and_never_replaced(tmp_path: Path) -> None:
    outputs = LiveOutputs(INFO)
    made = recorder(outputs, tmp_path)
    for _ in range(3):
        made.toggle(is_clean=False, pts_seconds=1.0)
        deliver(outputs, 1)
        made.toggle(is_clean=False, pts_seconds=1.0)
    said = [made.snapshot(marked(FrameResult(make_frame(draw([]), 0)))) for _ in range(3)]
    assert outputs.finish(Ending.COMPLETE, 5.0) is None
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 6
    assert all(name.startswith("Camera-é-dev-video0-20") for name in names)
    assert len(set(said)) == 3


def test_a_snapshot_is_the_picture_that_was_given(tmp_path: Path) -> None:
    made = recorder(LiveOutputs(INFO), tmp_path)
    canvas = marked(FrameResult(make_frame(draw([(10, 50, RED)]), 0)))
    path = Path(made.snapshot(canvas).removeprefix("saved "))
    saved = cv2.imread(str(path))
    assert saved is not None
    assert np.array_equal(saved, canvas.bgr())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = recorder(LiveOutputs(INFO), tmp_path / "file" / "recordings")
    with pytest.raises(SinkError, match="cannot make the folder"):
        made.toggle(is_clean=False, pts_seconds=0.0)


def test_a_recording_that_failed_is_begun_anew_by_the_same_key(tmp_path: Path) -> None:
    sinks = [ListSink(fails_at=0, error=SinkError("the disk is full")), ListSink()]
    outputs, given = LiveOutputs(INFO), iter(sinks)
    made = Recorder(outputs, lambda path, begin: next(given), tmp_path, "camera")
    made.toggle(is_clean=False, pts_seconds=0.0)
    while not any(one.has_failed for one in outputs.statuses()):
        deliver(outputs, 0)
    assert made.running() == ()
    assert made.toggle(is_clean=False, pts_seconds=1.0).startswith("recording ")
    deliver(outputs, 5)
    assert isinstance(outputs.finish(Ending.COMPLETE, 5.0), SinkError)
    assert [one.frame.index for one in sinks[1].results] == [5]


def test_a_rate_is_that_of_the_last_seconds_and_falls_when_all_stops() -> None:
    rates = LiveRates()
    assert rates.per_second(0.0) is None
    for index in range(200):
        rates.add(index / 20)
    assert rates.per_second(9.95) == pytest.approx(20, rel=0.02)
    slower = rates.per_second(11.5)
    assert slower is not None
    assert slower < 12
    assert rates.per_second(20.0) is None


def test_the_late_value_is_what_nineteen_of_twenty_do_not_exceed() -> None:
    rates = LiveRates()
    assert rates.late_value(0.0) is None
    for index in range(100):
        rates.add(1.0 + index / 1000, index)
    assert rates.late_value(1.1) == 94
    assert rates.late_value(10.0) is None
