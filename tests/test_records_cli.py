"""Strangers, names, relabelling and redrawing as a user runs them, with the real nets on a drawn video."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import av
import numpy as np
import pytest

from streamer import build
from streamer.cli import main
from streamer.config import Config
from streamer.pictures import UInt8
from tests.drawn import photos_of, two_people_scene, write_video
from tests.recorded import Shown, frame_result, named, names_in, objects_in, unit, write_results


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with an empty data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", two_people_scene(1.6))


@pytest.fixture(scope="module")
def recorded(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the clip's results with looks, while nobody is enrolled."""
    folder = tmp_path_factory.mktemp("recorded")
    arguments = ["process", clip, "-o", folder / "clip.mp4", "--keep-embeddings", "--gallery", folder / "none"]
    assert streamer(*arguments) == 0
    return folder / "clip.jsonl"


@pytest.fixture
def results(recorded: Path) -> Path:
    return Path(shutil.copy(recorded, "clip.jsonl"))


def streamer(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def picture_of(path: Path, index: int) -> UInt8:
    with av.open(str(path)) as container:
        for place, frame in enumerate(container.decode(video=0)):
            if place == index:
                return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    raise AssertionError(f"{path} has no frame {index}")


def crisp(clip: Path, results: Path, output: Path, index: int) -> dict[str | None, float]:
    """Return how far the middle of each face of a frame is from the video's own, by name."""
    (frame,) = [one for one in objects_in(results, "frame") if one["index"] == index]
    before, after = picture_of(clip, index).astype(int), picture_of(output, index).astype(int)
    differences: dict[str | None, float] = {}
    for face in frame["faces"]:
        x1, y1, x2, y2 = (round(edge) for edge in face["box"])
        inset = (x2 - x1) // 4
        part = (slice(y1 + inset, y2 - inset), slice(x1 + inset, x2 - inset))
        name = face["identity"]["name"] if face["identity"] else None
        differences[name] = float(np.abs(before[part] - after[part]).mean())
    return differences


@pytest.mark.timeout(60)
class TestTheWholeWay:
    def test_without_a_gallery_faces_are_kept_but_not_assessed(self, recorded: Path) -> None:
        assert all(set(names.values()) <= {"-"} for names in names_in(recorded))
        assert all(len(track["looks"]) >= 2 for track in objects_in(recorded, "track"))
        assert objects_in(recorded)[0]["embedder"] == {
            "name": build.embedder_id(Config()).name,
            "sha256": build.embedder_id(Config()).sha256,
        }
        assert stat.S_IMODE(recorded.stat().st_mode) == 0o600

    def test_who_is_found_is_named_relabelled_and_redrawn(
        self, clip: Path, results: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert streamer("people", "strangers", results, "-o", "cards.png", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert [len(stranger["tracks"]) for stranger in found] == [1, 1]
        assert found[0]["first_seen"] == {"file": str(results.resolve()), "pts_seconds": 0.0}
        assert Path("cards.png").read_bytes().startswith(b"\x89PNG")
        assert streamer("people", "name", 1, "Ana <b>") == 0
        assert "stranger 1 is Ana <b> now, enrolled with" in capsys.readouterr().out
        assert streamer("relabel", results) == 0
        assert "clip.jsonl: 1 track named Ana <b>" in capsys.readouterr().out
        ana = found[0]["tracks"][0]["track_id"]
        assert all(names[ana] == "Ana <b>" for names in names_in(results))
        blurred = ["--set", "annotate.blur_unknown=true"]
        assert streamer("process", clip, "--redraw", results, "-o", "named.mp4", *blurred) == 0
        differences = crisp(clip, results, Path("named.mp4"), 20)
        assert differences[None] > 2 * differences["Ana <b>"]
        assert not Path("named.jsonl").exists()

    def test_a_run_names_from_the_first_frame(self, clip: Path, tmp_path: Path) -> None:
        people = photos_of(tmp_path / "photos", "Grace Hopper")
        assert streamer("process", clip, "--people", people, "--no-video", "--results", "out.jsonl") == 0
        hopper = {at for at, names in enumerate(names_in(Path("out.jsonl"))) if "Grace Hopper" in names.values()}
        seen = {track["track_id"]: track["frames"] for track in objects_in(Path("out.jsonl"), "track")}
        assert len(hopper) == max(seen.values()) == 40

    def test_redrawing_gives_the_run_s_own_video(self, clip: Path, recorded: Path) -> None:
        assert streamer("process", clip, "--redraw", recorded, "-o", "again.mp4") == 0
        for index in (0, 20, 39):
            own, again = picture_of(recorded.with_suffix(".mp4"), index), picture_of(Path("again.mp4"), index)
            assert np.abs(own.astype(int) - again.astype(int)).mean() < 0.5


class TestRedraw:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--no-video"], "leave out --no-video"),
            (["--results", "x.jsonl"], "--results"),
            (["--people", "photos"], "--people"),
            (["--keep-embeddings"], "--keep-embeddings"),
            (["--detect-every", "0.2"], "--detect-every"),
            (["other.mp4"], "redraw them one by one"),
        ],
    )
    def test_what_makes_no_sense_beside_it_is_refused(
        self, clip: Path, recorded: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert streamer("process", clip, "--redraw", recorded, *options) == 2
        assert said in capsys.readouterr().err

    @pytest.mark.timeout(30)
    def test_another_video_s_results_leave_nothing(
        self, clip: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert streamer("process", clip, "--redraw", recorded, "-o", "x.mp4", "--start", "0.4") == 3
        assert "clip.jsonl does not belong to this video" in capsys.readouterr().err
        assert not Path("x.mp4").exists()

    def test_an_output_that_exists_is_refused(self, clip: Path, recorded: Path) -> None:
        Path("x.mp4").touch()
        assert streamer("process", clip, "--redraw", recorded, "-o", "x.mp4") == 5
        assert streamer("process", clip, "--redraw", "none.jsonl", "-o", "y.mp4") == 3


def made(path: str, name: str | None = None) -> Path:
    frames = [frame_result(at, [Shown(1, named(name), unit(1))]) for at in range(3)]
    return write_results(Path(path), frames, embedder=build.recorded_embedder(Config()))


class TestCommands:
    def test_strangers_are_told_in_a_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        made("a.jsonl")
        made("b.jsonl")
        assert streamer("people", "strangers", "*.jsonl") == 0
        heading, line = capsys.readouterr().out.splitlines()
        assert heading.split() == ["number", "tracks", "seconds", "first", "seen", "last", "seen"]
        assert line.split() == ["1", "2", "0.2", "a.jsonl", "0:00.0", "b.jsonl", "0:00.1"]

    def test_nobody_without_a_name_is_a_normal_answer(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert streamer("people", "strangers", made("a.jsonl", "Ana"), "-o", "cards.png") == 0
        assert "no stranger" in capsys.readouterr().out
        assert not Path("cards.png").exists()

    def test_a_sheet_that_exists_is_refused_and_results_are_never_replaced(self) -> None:
        path = made("a.jsonl")
        Path("cards.png").touch()
        assert streamer("people", "strangers", path, "-o", "cards.png") == 5
        assert streamer("people", "strangers", path, "-o", "cards.png", "--overwrite") == 0
        assert streamer("people", "strangers", path, "-o", path, "--overwrite") == 5
        assert Path("cards.png").stat().st_size > 1000

    def test_a_file_without_looks_says_what_to_do(self, capsys: pytest.CaptureFixture[str]) -> None:
        write_results(Path("a.jsonl"), [frame_result(0, [Shown(1)])], embedder=None)
        for command in (["people", "strangers"], ["relabel"]):
            assert streamer(*command, "a.jsonl") == 2
            assert "process --keep-embeddings" in capsys.readouterr().err

    def test_naming_nobody_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert streamer("people", "name", 1, "Ana") == 2
        assert "there is no stranger 1; run `people strangers RESULTS…` first" in capsys.readouterr().err

    def test_a_bad_file_does_not_keep_the_others_from_being_relabelled(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("a.jsonl").write_text("{}\n")
        made("b.jsonl", "Ana")
        assert streamer("relabel", "a.jsonl", "b.jsonl") == 3
        told = capsys.readouterr()
        assert "a.jsonl is not a results file" in told.err
        assert "b.jsonl: 1 name removed" in told.out
        assert names_in(Path("b.jsonl")) == [{1: "-"}] * 3

    def test_relabelling_may_leave_the_original(self, capsys: pytest.CaptureFixture[str]) -> None:
        before = made("a.jsonl", "Ana").read_bytes()
        assert streamer("relabel", "a.jsonl", "-o", "new") == 0
        assert streamer("relabel", "a.jsonl", "-o", "one.jsonl") == 0
        assert Path("a.jsonl").read_bytes() == before
        assert Path("new/a.jsonl").read_bytes() == Path("one.jsonl").read_bytes() != before
        assert streamer("relabel", "a.jsonl", "-o", "one.jsonl") == 5
        assert streamer("relabel", "a.jsonl", "-o", "a.jsonl", "--overwrite") == 5
        assert Path("a.jsonl").read_bytes() == before
