"""The results file, line by line, and what is left of it where a run or the disk ends early."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from streamer.errors import SinkError
from streamer.pictures import BgrPicture
from streamer.sinks.files import PartFile
from streamer.sinks.results import Json, ResultsSink, RunDescription
from streamer.stats import RunStats
from streamer.types import (
    EMOTIONS,
    Annotation,
    Emotion,
    Ending,
    Event,
    Frame,
    FrameResult,
    Identity,
    SourceInfo,
    Track,
)

INFO = SourceInfo("source", "crowd.mp4", 64, 48, 25.0)
PICTURE = BgrPicture(np.zeros((48, 64, 3), np.uint8))

Line = dict[str, Json]


def emotion(label: str | None) -> Emotion:
    probabilities = np.full(7, 0.05, np.float32)
    probabilities[EMOTIONS.index(label) if label else 0] = 0.7
    return Emotion(probabilities, label, 0.7)


def track(track_id: int = 1, pts_seconds: float = 0.0, *, xyxy: tuple[float, ...] = (1, 2, 3, 4)) -> Track:
    landmarks = np.arange(10, dtype=np.float32).reshape(5, 2) / np.float32(3)
    return Track(track_id, np.array(xyxy, np.float32), landmarks, 0.98765, True, 0.0, pts_seconds)


def result(index: int, pts_seconds: float, *annotations: Annotation, events: tuple[Event, ...] = ()) -> FrameResult:
    return FrameResult(Frame(PICTURE, index, pts_seconds, 0.0, "source"), annotations, index == 0, events)


def written(
    folder: Path, *results: FrameResult, ending: Ending = Ending.COMPLETE, stats: RunStats | None = None
) -> list[Line]:
    sink = ResultsSink(
        folder / "out.jsonl",
        description=RunDescription({"mtcnn": "ab12"}, {"tracker": {"detect_every_seconds": 0.2}}),
        stats=stats or RunStats(),
    )
    sink.open(INFO)
    for one in results:
        sink.write(one, None)
    sink.close(ending)
    return read(folder / ("out.part.jsonl" if ending is Ending.FAILED else "out.jsonl"))


def read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tracks(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["type"] == "track"]


def test_lines_come_in_the_order_header_frames_with_their_events_tracks_summary(tmp_path: Path) -> None:
    appeared, left = Event("appeared", 0.0, 1), Event("left", 0.04, 1, "Ana")
    lines = written(
        tmp_path,
        result(0, 0.0, Annotation(track(2)), Annotation(track(1)), events=(appeared,)),
        result(1, 0.04, events=(left, Event("cut", 0.04))),
    )
    assert [line["type"] for line in lines] == (
        ["header", "frame", "event", "frame", "event", "event", "track", "track", "summary"]
    )
    assert [line["track_id"] for line in tracks(lines)] == [1, 2]
    assert lines[4] == {"type": "event", "kind": "left", "pts_seconds": 0.04, "track_id": 1, "name": "Ana"}
    assert lines[5] == {"type": "event", "kind": "cut", "pts_seconds": 0.04, "track_id": None, "name": None}


def test_the_header_says_what_was_run_on_what(tmp_path: Path) -> None:
    assert written(tmp_path)[0] == {
        "type": "header",
        "schema_version": 1,
        "source": "crowd.mp4",
        "width": 64,
        "height": 48,
        "declared_fps": 25.0,
        "models": {"mtcnn": "ab12"},
        "config": {"tracker": {"detect_every_seconds": 0.2}},
    }


def test_a_face_is_written_whole_and_no_finer_than_it_was_measured(tmp_path: Path) -> None:
    annotation = Annotation(
        track(7, xyxy=(10.123456, 20.987654, 30.5, 40.0)),
        Identity("Ana", 0.712345, 0.9876543, 0.2, 4),
        emotion("happiness"),
    )
    frame = written(tmp_path, result(0, 1 / 3, annotation))[1]
    probabilities = dict.fromkeys(EMOTIONS, 0.05) | {"happiness": 0.7}
    assert frame == {
        "type": "frame",
        "index": 0,
        "pts_seconds": 0.333333,
        "scanned": True,
        "faces": [
            {
                "track_id": 7,
                "box": [10.12, 20.99, 30.5, 40.0],
                "landmarks": [[0.0, 0.33], [0.67, 1.0], [1.33, 1.67], [2.0, 2.33], [2.67, 3.0]],
                "score": 0.9877,
                "detected": True,
                "identity": {"name": "Ana", "similarity": 0.7123, "probability": 0.9877},
                "emotion": {"label": "happiness", "probabilities": probabilities},
            }
        ],
    }
    faces = cast("list[Line]", frame["faces"])
    assert list(cast("Line", cast("Line", faces[0]["emotion"])["probabilities"])) == list(EMOTIONS)


def test_not_assessed_is_null_and_assessed_as_unknown_is_a_null_name(tmp_path: Path) -> None:
    predicted = Track(1, np.zeros(4, np.float32), None, 0.5, False, 0.0, 0.0)
    bare, unknown = Annotation(predicted), Annotation(track(2), Identity(None, -1.0, 1.0, 0.0), emotion(None))
    faces = cast("list[Line]", written(tmp_path, result(0, 0.0, bare, unknown))[1]["faces"])
    assert (faces[0]["identity"], faces[0]["emotion"], faces[0]["landmarks"]) == (None, None, None)
    assert faces[0]["detected"] is False
    assert faces[1]["identity"] == {"name": None, "similarity": -1.0, "probability": 1.0}
    assert cast("Line", faces[1]["emotion"])["label"] is None


def test_landmarks_and_emotions_stay_with_their_faces_where_some_have_none(tmp_path: Path) -> None:
    predicted = Track(1, np.zeros(4, np.float32), None, 0.5, False, 0.0, 0.0)
    moved = Track(3, np.ones(4, np.float32), np.full((5, 2), 9, np.float32), 0.5, True, 0.0, 0.0)
    frame = written(
        tmp_path,
        result(
            0,
            0.0,
            Annotation(track(2), None, emotion("anger")),
            Annotation(predicted),
            Annotation(moved, None, emotion("fear")),
        ),
    )[1]
    faces = cast("list[Line]", frame["faces"])
    assert [face["landmarks"] is None for face in faces] == [False, True, False]
    assert faces[2]["landmarks"] == [[9.0, 9.0]] * 5
    assert cast("Line", cast("Line", faces[2]["emotion"])["probabilities"])["fear"] == 0.7


def test_a_track_is_summed_up_with_its_last_name(tmp_path: Path) -> None:
    ana, unknown = Identity("Ana", 0.7, 0.9, 0.1), Identity(None, 0.2, 0.8, 0.1)
    lines = written(
        tmp_path,
        result(0, 0.0, Annotation(track(1, 0.0), unknown), Annotation(track(2, 0.0), ana)),
        result(1, 0.5, Annotation(track(1, 0.5), ana), Annotation(track(2, 0.0), unknown)),
        result(2, 1.0, Annotation(track(1, 1.0), None)),
    )
    first, second = tracks(lines)
    assert first == {
        "type": "track",
        "track_id": 1,
        "first_seconds": 0.0,
        "last_seconds": 1.0,
        "frames": 3,
        "name": "Ana",
        "emotions": {},
    }
    assert (second["frames"], second["last_seconds"], second["name"]) == (2, 0.0, None)


def test_emotions_are_shares_of_assessed_time_at_any_frame_rate(tmp_path: Path) -> None:
    """1 s happiness, 0.5 s abstained, 0.5 s not assessed, 2 s anger, and as long again in the last frame."""
    shown = [(0.0, emotion("happiness")), (1.0, emotion(None)), (1.5, None), (2.0, emotion("anger"))]
    results = [result(index, at, Annotation(track(), None, what)) for index, (at, what) in enumerate(shown)]
    results.append(result(4, 4.0, Annotation(track(), None, emotion("anger"))))
    (line,) = tracks(written(tmp_path, *results))
    assert line["emotions"] == {"happiness": round(1 / 5.5, 4), "anger": round(4 / 5.5, 4)}


def test_a_track_of_one_frame_has_its_emotion(tmp_path: Path) -> None:
    (line,) = tracks(written(tmp_path, result(0, 0.0, Annotation(track(), None, emotion("sadness")))))
    assert line["emotions"] == {"sadness": 1.0}


def test_the_summary_is_the_runs(tmp_path: Path) -> None:
    now = [0.0]
    stats = RunStats(lambda: now[0])
    with stats.time("detect"):
        now[0] = 0.5
    stats.count_frame(0.25)
    stats.count_dropped(3)
    summary = written(tmp_path, result(0, 0.0), stats=stats)[-1]
    times = {"p50": 0.5, "p95": 0.5, "p99": 0.5}
    assert summary == {
        "type": "summary",
        "frames": 1,
        "dropped": 3,
        "seconds": 0.5,
        "fps": 2.0,
        "latency_seconds": {"p50": 0.25, "p95": 0.25, "p99": 0.25},
        "stages": {"detect": {"calls": 1, "total_seconds": 0.5} | times},
    }


def test_a_run_without_frames_is_a_header_and_a_summary_without_latency(tmp_path: Path) -> None:
    header, summary = written(tmp_path)
    assert header["type"] == "header"
    assert summary["latency_seconds"] == {"p50": None, "p95": None, "p99": None}


@pytest.mark.parametrize("name", ["a\nb", "\r\n", "Ana\u2028Ana", "\x85", "Ünal 李 🙂", "\udc80", '"}\\', "x" * 10_000])
def test_any_name_stays_on_its_line_and_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    annotation = Annotation(track(), Identity(name, 0.5, 0.5, 0.0))
    lines = written(tmp_path, result(0, 0.0, annotation))
    assert [line["type"] for line in lines] == ["header", "frame", "track", "summary"]
    assert lines[2]["name"] == name


def test_names_are_readable_in_the_file_as_they_are(tmp_path: Path) -> None:
    written(tmp_path, result(0, 0.0, Annotation(track(), Identity("Ünal 李", 0.5, 0.5, 0.0))))
    assert "Ünal 李".encode() in (tmp_path / "out.jsonl").read_bytes()


def test_an_interrupted_run_has_its_tracks_and_summary_under_the_part_name(tmp_path: Path) -> None:
    lines = written(tmp_path, result(0, 0.0, Annotation(track())), ending=Ending.FAILED)
    assert [line["type"] for line in lines] == ["header", "frame", "track", "summary"]
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_refused_and_the_lines_before_it_are_good(
    tmp_path: Path, number: float
) -> None:
    sink = ResultsSink(tmp_path / "out.jsonl", description=RunDescription(), stats=RunStats())
    sink.open(INFO)
    sink.write(result(0, 0.0), None)
    with pytest.raises(SinkError, match="not finite"):
        sink.write(result(1, 0.04, Annotation(track(), Identity("Ana", number, 0.5, 0.0))), None)
    with pytest.raises(SinkError, match="not finite"):
        sink.close(Ending.COMPLETE)
    assert [line["type"] for line in read(tmp_path / "out.part.jsonl")] == ["header", "frame"]


def test_a_full_disk_is_one_line_and_leaves_the_lines_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ResultsSink(tmp_path / "out.jsonl", description=RunDescription(), stats=RunStats())
    sink.open(INFO)
    sink.write(result(0, 0.0), None)

    def refuse(part: PartFile, chunk: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartFile, "write", refuse)
    with pytest.raises(SinkError, match=r"out\.jsonl: no space left on device; free some space") as caught:
        sink.write(result(1, 0.04), None)
    assert "\n" not in str(caught.value)
    sink.close(Ending.FAILED)
    assert [line["type"] for line in read(tmp_path / "out.part.jsonl")] == ["header", "frame"]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"\.jsonl"):
        ResultsSink(tmp_path / "out.csv", description=RunDescription(), stats=RunStats())


def test_memory_grows_with_tracks_and_not_with_frames(tmp_path: Path) -> None:
    sink = ResultsSink(tmp_path / "out.jsonl", description=RunDescription(), stats=RunStats())
    sink.open(INFO)
    for index in range(500):
        sink.write(result(index, index / 25, Annotation(track(1 + index % 3), None, emotion("anger"))), None)
    assert sink._tallies is not None
    assert len(sink._tallies._tracks) == 3
    assert len(sink._tallies._shown) == 1
    sink.close(Ending.FAILED)


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from streamer.pictures import BgrPicture
from streamer.sinks.results import ResultsSink, RunDescription
from streamer.stats import RunStats
from streamer.types import Frame, FrameResult, SourceInfo
sink = ResultsSink(Path(sys.argv[1]), description=RunDescription(), stats=RunStats())
sink.open(SourceInfo("source", "x", 4, 4, 25.0))
picture = BgrPicture(np.zeros((4, 4, 3), np.uint8))
for index in range(100):
    sink.write(FrameResult(Frame(picture, index, index / 25, 0.0, "source")), None)
print("written", flush=True)
sys.stdin.read()
"""


def test_a_killed_run_leaves_every_line_it_had_written(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "out.jsonl")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"written"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    lines = read(tmp_path / "out.part.jsonl")
    assert [line["index"] for line in lines if line["type"] == "frame"] == list(range(100))
