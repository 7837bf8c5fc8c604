"""The Python API: what the commands do, with objects of one's own in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import streamer
from streamer.pictures import Picture, UInt8
from streamer.sources.synthetic import SyntheticSource
from streamer.types import Faces, Float32
from tests.drawn import photos_of, two_people_scene, write_video
from tests.fake_camera import FakeCameras, moving_face
from tests.fakes import RED, ListSink, SquareDetector, draw


@pytest.fixture(autouse=True)
def _own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def arrays(count: int) -> list[UInt8]:
    source = SyntheticSource(two_people_scene(count / 25))
    return [source.draw(index).bgr() for index in range(count)]


def test_arrays_are_analysed_lazily_and_leave_no_thread() -> None:
    before = threading.active_count()
    stream = streamer.analyse(iter(arrays(12)), fps=25.0)
    first = next(stream)
    assert len(first.annotations) == 2
    assert first.annotations[0].emotion is not None
    stream.close()
    assert threading.active_count() == before


def test_people_are_named_from_a_folder_of_photos(tmp_path: Path) -> None:
    people = streamer.people_from(photos_of(tmp_path / "photos", "Eileen Collins"))
    assert people.names == ("Eileen Collins",)
    results = list(streamer.analyse(arrays(6), gallery=people))
    names = [[a.identity.name if a.identity else "?" for a in result.annotations] for result in results]
    assert all(sorted(map(str, row)) == ["Eileen Collins", "None"] for row in names)


def test_a_detector_and_a_sink_of_one_s_own_are_plain_objects() -> None:
    class Halves:
        """Says that a face fills the left half of every picture."""

        def detect(
            self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
        ) -> list[Faces]:
            return [self._face(picture) for picture in pictures]

        def refine(self, pictures: Sequence[Picture], boxes: Sequence[Float32]) -> list[Faces]:
            return [self._face(picture) for picture in pictures]

        def _face(self, picture: Picture) -> Faces:
            box = np.array([[0, 0, picture.width / 2, picture.height]], np.float32)
            return Faces(box, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))

    config = streamer.load_config()
    pipeline = streamer.build_pipeline(config, streamer.open_gallery(config), detector=Halves())
    sink = ListSink(needs_canvas=True)
    route = streamer.Route(streamer.open_source([draw([])] * 7), [sink])
    report = streamer.run([route], pipeline, draw=streamer.Annotator().draw)
    assert report.stats.frames == 7
    assert [result.annotations[0].track.xyxy.tolist() for result in sink.results] == [[0, 0, 160, 180]] * 7
    assert all(canvas is not None for canvas in sink.canvases)


def test_a_pipeline_of_one_s_own_serves_analyse_again_and_again() -> None:
    from streamer.labels import TrackLabeller
    from streamer.trackers.kalman import KalmanTracker

    pipeline = streamer.Pipeline(SquareDetector(), KalmanTracker, TrackLabeller(None, None))
    for _ in range(2):
        results = list(streamer.analyse([draw([(40, 40, RED)])] * 5, pipeline=pipeline))
        assert [[a.track.track_id for a in result.annotations] for result in results] == [[1]] * 5


def test_a_processor_feeds_own_sinks_beside_its_files(tmp_path: Path) -> None:
    clip, kept = write_video(tmp_path / "clip.mp4", two_people_scene(0.4)), ListSink()
    processor = streamer.Processor(sinks=lambda: [kept])
    outputs = streamer.Outputs(results=tmp_path / "clip.jsonl")
    assert processor.process(clip, outputs).stats.frames == 10
    assert len(kept.results) == 10
    assert json.loads((tmp_path / "clip.jsonl").read_text().splitlines()[-1])["frames"] == 10
    with pytest.raises(streamer.SinkError, match="exists already"):
        processor.process(clip, outputs)


def test_a_results_file_sums_up_the_stages_of_its_own_run_the_detector_s_too(tmp_path: Path) -> None:
    processor = streamer.Processor()
    calls = []
    for name in ("first", "second"):
        video, results = tmp_path / f"{name}.mp4", tmp_path / f"{name}.jsonl"
        write_video(video, two_people_scene(0.6))
        processor.process(video, streamer.Outputs(results=results))
        summary = json.loads(results.read_text(encoding="utf-8").splitlines()[-1])
        calls.append({stage: values["calls"] for stage, values in summary["stages"].items()})
    assert {"pyramid", "pnet", "rnet", "onet", "nms"} <= calls[0].keys()
    assert calls[0]["pnet"] == calls[1]["pnet"]


def test_outputs_that_would_be_nothing_are_refused() -> None:
    with pytest.raises(streamer.UsageError, match="nothing would be written"):
        streamer.Outputs()


def test_a_camera_s_number_is_a_source(cameras: FakeCameras, astronaut: UInt8) -> None:
    cameras.add(0).show(moving_face(astronaut[:300, 90:390], 640, 480, count=5))
    stream = streamer.analyse(0)
    seen = [result for result, _ in zip(stream, range(20), strict=False)]
    stream.close()
    assert seen[0].frame.picture.width == 640
    assert any(result.annotations for result in seen)


def test_a_stream_s_address_is_a_source(tmp_path: Path) -> None:
    with pytest.raises(streamer.SourceOpenError, match="refused"):
        next(streamer.analyse("rtsp://127.0.0.1:9/live"))
