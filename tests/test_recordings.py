"""Reading results files: what the sink writes comes back, and what is not as it must be is told in one line."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamer import recordings
from streamer.errors import SourceOpenError
from streamer.recorded import RecordedEvent, RecordedFrame, RecordedHeader, RecordedSummary, RecordedTrack
from streamer.recordings import read_lines
from streamer.types import EMOTIONS, Event
from tests.recorded import EMBEDDER, Object, Shown, frame_result, named, unit, write_results


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    frames = [
        frame_result(0, [Shown(1, None, unit(1, 2)), Shown(2)], [Event("appeared", 0.0, 1)]),
        frame_result(1, [Shown(1, named("Ana")), Shown(2, named(None))]),
    ]
    return write_results(tmp_path / "clip.jsonl", frames)


def changed(path: Path, number: int, change: Callable[[Object], None]) -> Path:
    """Change the object in line `number`, from 0."""
    lines = path.read_text(encoding="utf-8").splitlines()
    value = json.loads(lines[number])
    change(value)
    lines[number] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def message(path: Path) -> str:
    with pytest.raises(SourceOpenError) as caught:
        list(read_lines(path))
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 3
    return text


def test_what_the_sink_writes_comes_back(recording: Path) -> None:
    header, first, appeared, second, ana, other, summary = [line.record for line in read_lines(recording)]
    assert header == RecordedHeader("clip.mp4", 64, 48, 25.0, EMBEDDER)
    assert isinstance(first, RecordedFrame)
    assert (first.index, first.pts_seconds, first.is_scanned) == (0, 0.0, True)
    assert [face.name for face in first.faces] == ["Ana", None]  # hers from her first frame
    assert first.faces[1].identity is None
    assert appeared == RecordedEvent("appeared", 0.0, 1, None)
    assert isinstance(second, RecordedFrame)
    assert [face.name for face in second.faces] == ["Ana", None]
    assert second.faces[0].box == (4.0, 4.0, 24.0, 24.0)
    assert isinstance(ana, RecordedTrack)
    (look,) = ana.looks
    assert np.array_equal(look.vector, unit(1, 2))
    assert (look.pts_seconds, look.quality) == (0.0, 0.8)
    assert ana.crop is not None
    assert isinstance(other, RecordedTrack)
    assert (other.looks, other.crop) == ((), None)
    assert isinstance(summary, RecordedSummary)


def test_the_lines_keep_their_bytes(recording: Path) -> None:
    assert b"".join(line.raw for line in read_lines(recording)) == recording.read_bytes()


def test_a_cut_file_is_read_up_to_its_last_whole_line_wherever_it_is_cut(recording: Path) -> None:
    content = recording.read_bytes()
    header_end = content.index(b"\n")
    whole = list(read_lines(recording))
    for end in range(header_end + 1, len(content), 7):
        recording.write_bytes(content[:end])
        kept = [line.raw for line in read_lines(recording) if line.raw.endswith(b"\n")]
        assert kept == [line.raw for line in whole][: len(kept)]
        assert len(b"".join(kept)) <= end < len(b"".join(kept)) + max(len(line.raw) for line in whole)


def test_a_file_cut_within_its_header_is_none(recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[:30])
    assert "is not a results file" in message(recording)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"hello\n", "it is not JSON"),
        (b"[1]\n", "not a JSON object"),
        (b'{"type":"frame"}\n', "not a header"),
        (b'{"type":"header","schema_version":2}\n', "schema version is 2 and this program reads version 1"),
        (b'{"type":"header","schema_version":"1"}\n', "schema version"),
        (b'{"type":"header","schema_version":true}\n', "schema version"),
        (b"\xff\xfe\n", "it is not JSON"),
        (b"[" * 100_000 + b"\n", "it is not JSON"),
        (b'{"a":' * 100_000 + b"\n", "it is not JSON"),
        (b'{"type":"header","schema_version":1,"width":' + b"9" * 5000 + b"}\n", "it is not JSON"),
        (b"\x00" * 4096, "it is not JSON"),
    ],
)
def test_what_is_no_results_file_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    assert said in message(path)


def _face(change: Object) -> Callable[[Object], None]:
    return lambda frame: frame["faces"][0].update(change)


@pytest.mark.parametrize(
    ("number", "change", "said"),
    [
        (0, lambda line: line.update(width=0), "'width'"),
        (0, lambda line: line.update(width=True), "'width'"),
        (0, lambda line: line.pop("config"), "'config' is missing"),
        (0, lambda line: line.update(embedder={"name": "x", "sha256": "zz"}), "sha256"),
        (0, lambda line: line.update(embedder={"name": "", "sha256": "a" * 64}), "'name' is empty"),
        (1, lambda line: line.update(index=-1), "'index'"),
        (1, lambda line: line.update(index=1.0), "'index'"),
        (1, lambda line: line.update(pts_seconds="0"), "'pts_seconds'"),
        (1, lambda line: line.update(pts_seconds=1e300), "'pts_seconds'"),
        (1, lambda line: line.update(scanned=1), "'scanned'"),
        (1, lambda line: line.update(faces={}), "'faces'"),
        (1, lambda line: line.update(faces=[1]), "'faces'"),
        (1, lambda line: line["faces"].append(line["faces"][0]), "twice"),
        (1, _face({"track_id": 0}), "'track_id'"),
        (1, _face({"box": [1, 2, 3]}), "'box'"),
        (1, _face({"box": [1, 2, 3, None]}), "'box'"),
        (1, _face({"landmarks": [[1, 2]] * 4}), "'landmarks'"),
        (1, _face({"landmarks": [[1, 2]] * 4 + [[1]]}), "a landmark"),
        (1, _face({"score": None}), "'score'"),
        (1, _face({"detected": None}), "'detected'"),
        (1, _face({"identity": {"name": 7, "similarity": 0, "probability": 0}}), "'name'"),
        (1, _face({"identity": {"name": None, "similarity": 0, "probability": 1.5}}), "'probability'"),
        (1, _face({"emotion": {"label": "bored", "probabilities": {}}}), "bored"),
        (1, _face({"emotion": {"label": None, "probabilities": dict.fromkeys(EMOTIONS, 0.5)}}), "sum to 1"),
        (2, lambda line: line.update(kind=""), "'kind'"),
        (2, lambda line: line.update(track_id="1"), "'track_id'"),
        (3, lambda line: line.update(index=0), "frame 0 comes after frame 0"),
        (4, lambda line: line.update(emotions={"fear": 2}), "'fear'"),
        (4, lambda line: line["looks"][0].update(vector="$"), "'vector' is not base64"),
        (4, lambda line: line["looks"][0].update(vector=base64.b64encode(b"123").decode()), "float32"),
        (4, lambda line: line["looks"][0].update(vector=base64.b64encode(bytes(32)).decode()), "length 1"),
        (4, lambda line: line["looks"][0].update(vector=base64.b64encode(b"\xff" * 32).decode()), "length 1"),
        (4, lambda line: line["looks"][0].update(quality=2), "'quality'"),
        (4, lambda line: line.update(looks=line["looks"] * 33), "'looks'"),
        (4, lambda line: line.update(crop="aGVsbG8="), "JPEG"),
        (5, lambda line: line.update(track_id=1), "track 1 comes twice"),
        (5, lambda line: line.update(type="frame"), "line 6"),
        (5, lambda line: line.update(type="<script>"), "none of schema version 1"),
        (3, lambda line: line.update(type="header"), "line 4"),
        (6, lambda line: line.pop("frames"), "'frames' is missing"),
    ],
)
def test_a_wrong_field_is_told_with_its_line(
    recording: Path, number: int, change: Callable[[Object], None], said: str
) -> None:
    told = message(changed(recording, number, change))
    assert said in told
    assert f"line {number + 1}" in told or number == 0


def test_lines_may_not_change_their_order(recording: Path) -> None:
    lines = recording.read_bytes().splitlines(keepends=True)
    for order in ([0, 4, 1], [0, 6, 1], [0, 0], [0, 6, 6]):
        recording.write_bytes(b"".join(lines[place] for place in order))
        assert "may not stand here" in message(recording)


def test_fields_of_a_later_program_are_passed_over(recording: Path) -> None:
    changed(recording, 1, lambda line: line.update(weather="rain"))
    assert list(read_lines(recording))[1].fields["weather"] == "rain"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(recording: Path, number: str) -> None:
    recording.write_text(recording.read_text(encoding="utf-8").replace('"score":0.99', f'"score":{number}', 1))
    assert "line 2" in message(recording)


def test_a_huge_line_is_refused_before_it_is_held(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_LINE_BYTES", 2_000)
    with recording.open("ab") as file:
        file.write(b'{"type":"track","name":"' + b"x" * 5_000)
    # The tracks with their looks are longer than that, too.
    assert "longer than 2000 bytes" in message(recording)


@pytest.mark.parametrize("name", ["<b>Ana</b>", "a\nb", "\u2028", "\x1b[31m", "x" * 10_000, "../../x", "\udc80", ""])
def test_any_name_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    path = write_results(tmp_path / "clip.jsonl", [frame_result(0, [Shown(1, named(name))])])
    frame = list(read_lines(path))[1].record
    assert isinstance(frame, RecordedFrame)
    assert frame.faces[0].name == name


@pytest.mark.timeout(30)
def test_whatever_bytes_are_damaged_it_is_read_or_told_in_one_line(recording: Path) -> None:
    content = recording.read_bytes()
    random = np.random.default_rng(7)
    told: list[str] = []
    for _ in range(400):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            damaged[place] = random.integers(0, 256)
        recording.write_bytes(damaged)
        try:
            list(read_lines(recording))
        except SourceOpenError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all(message.isprintable() for message in told)


def test_an_absent_file_a_folder_and_a_pipe_are_told(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "none.jsonl")
    assert "cannot be read" in message(tmp_path)
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "cannot be read (it is no file)" in message(tmp_path / "pipe.jsonl")
