"""Drawing recorded results again: they are the run's own, and a file that is not the video's is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamer.canvas import Canvas
from streamer.errors import SourceOpenError
from streamer.labels import Recognition, TrackLabeller
from streamer.pipeline import Pipeline
from streamer.queues import StopRequest
from streamer.replay import Replay
from streamer.runner import Route, results, run
from streamer.sinks.results import ResultsSink, RunDescription
from streamer.stats import RunStats
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Annotation, FrameResult
from tests.fakes import (
    GREEN,
    RED,
    ColourEmbedder,
    ColourMatcher,
    DrawnSource,
    GreyEmotion,
    ListSink,
    SquareDetector,
    draw,
)


def scene(count: int = 12, *, fps: float = 25.0, width: int = 320) -> DrawnSource:
    return DrawnSource(
        lambda at: draw([(40 + at, 40, RED), (200, 60, GREEN)] if at > 3 else [(200, 60, GREEN)], width=width),
        count,
        fps=fps,
    )


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list[FrameResult]]:
    """Record a run of the scene; return the file and what was written to it."""
    kept = ListSink()
    sink = ResultsSink(tmp_path / "scene.jsonl", description=RunDescription(), stats=RunStats())
    labeller = TrackLabeller(Recognition(ColourEmbedder(), ColourMatcher()), GreyEmotion())
    pipeline = Pipeline(SquareDetector(), KalmanTracker, labeller)
    run([Route(scene(), [sink, kept])], pipeline, draw=lambda result: Canvas(result.frame.picture))
    return tmp_path / "scene.jsonl", kept.results


def replayed(path: Path, source: DrawnSource, *, is_part: bool = False) -> list[FrameResult]:
    return list(results([source], Replay(path, stop=StopRequest(), is_part=is_part)))


def told(path: Path, source: DrawnSource) -> str:
    with pytest.raises(SourceOpenError) as caught:
        replayed(path, source)
    return str(caught.value)


def assert_same(mine: Sequence[Annotation], theirs: Sequence[Annotation]) -> None:
    assert [one.track.track_id for one in mine] == [one.track.track_id for one in theirs]
    for one, other in zip(mine, theirs, strict=True):
        assert np.abs(one.track.xyxy - other.track.xyxy).max() < 0.006  # a hundredth of a pixel is recorded
        assert (one.track.landmarks is None) == (other.track.landmarks is None)
        assert one.track.is_detected == other.track.is_detected
        assert (one.identity and one.identity.name) == (other.identity and other.identity.name)
        assert (one.emotion and one.emotion.label) == (other.emotion and other.emotion.label)


def test_every_frame_comes_back_with_what_was_found_in_it(recorded: tuple[Path, list[FrameResult]]) -> None:
    path, before = recorded
    after = replayed(path, scene())
    assert [result.frame.index for result in after] == list(range(12))
    assert [result.scanned for result in after] == [result.scanned for result in before]
    assert {one.identity.name for result in after for one in result.annotations if one.identity} == {"Rosa", "Greta"}
    for mine, theirs in zip(after, before, strict=True):
        assert_same(mine.annotations, theirs.annotations)


def test_pictures_of_another_size_are_refused(recorded: tuple[Path, list[FrameResult]]) -> None:
    assert "320 × 180 px, and drawn has 322 × 180" in told(recorded[0], scene(width=322))


def test_other_times_are_refused(recorded: tuple[Path, list[FrameResult]]) -> None:
    message = told(recorded[0], scene(fps=24.0))
    assert "tells of frame 1 at 0.040 s where the video has frame 1 at 0.042 s" in message
    assert "--start" in message


def test_a_video_that_goes_on_is_refused_for_its_faces_would_go_unblurred(
    recorded: tuple[Path, list[FrameResult]],
) -> None:
    assert "it ends before the video, at 0.480 s; give --end 0.480" in told(recorded[0], scene(13))


def test_a_video_that_ends_before_is_refused_unless_a_part_was_wanted(
    recorded: tuple[Path, list[FrameResult]],
) -> None:
    assert "goes on where the video ends" in told(recorded[0], scene(11))
    assert len(replayed(recorded[0], scene(11), is_part=True)) == 11


def test_a_run_that_is_stopped_is_no_shorter_video(recorded: tuple[Path, list[FrameResult]]) -> None:
    stop = StopRequest()
    replay, source = Replay(recorded[0], stop=stop), scene()
    replay.begin(source.info)
    frame = source.read()
    assert frame is not None
    assert len(list(replay.follow(replay.plan([frame])))) == 1
    stop.set()
    assert list(replay.follow(replay.plan_end())) == []


def test_a_damaged_file_is_told(recorded: tuple[Path, list[FrameResult]]) -> None:
    path = recorded[0]
    path.write_bytes(path.read_bytes().replace(b'"index":7', b'"index":-7'))
    assert "is damaged in line" in told(path, scene())
    with pytest.raises(SourceOpenError, match="does not exist"):
        Replay(path.with_name("none.jsonl"), stop=StopRequest())
