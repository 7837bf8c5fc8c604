"""`streamer train`, and `--matcher FILE` of the other commands."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from streamer.cli import main
from streamer.recognition import cnn_training, rejection, trained
from streamer.recognition.trained import load
from tests.drawn import two_people_scene, write_video
from tests.variants import COLLINS, HOPPER, write_variants

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_variants(tmp_path_factory.mktemp("photos"), COLLINS, HOPPER)


@pytest.fixture(scope="module")
def matcher(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matcher that knows Grace Hopper; Eileen Collins is among its strangers, as other photos."""
    folder = tmp_path_factory.mktemp("matcher")
    known = write_variants(folder / "known", HOPPER)
    path = folder / "hopper.matcher"
    strangers = write_variants(folder / "strangers", COLLINS, first=10)
    assert streamer("train", known, "--method", "knn", "--strangers", strangers, "-o", path) == 0
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", two_people_scene(0.6), with_sound=False)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def streamer(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


class TestTrain:
    @pytest.mark.parametrize("method", ["knn-pixels", "knn"])
    def test_writes_a_file_and_says_what_it_can_do(
        self, method: str, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert streamer("train", photos, "--method", method) == 0
        path = Path("recordings") / f"{photos.name}.{method}.matcher"
        assert load(path).names == (COLLINS, HOPPER)
        told = capsys.readouterr().out
        assert "2 people from 8 photos in" in told
        assert str(path) in told
        assert "the right person is the likeliest in 100%" in told

    def test_the_cnn_needs_somebody_to_play_the_stranger(
        self, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cnn_training, "LEAST_STEPS", 3)
        assert streamer("train", photos, "--method", "cnn", "-o", "x.matcher") == 6
        assert "a folder of strangers" in capsys.readouterr().err
        assert list(Path().glob("x*")) == []
        strangers = write_variants(Path("strangers"), COLLINS, first=20, photos=2)
        options = ["--method", "cnn", "-o", "x.matcher", "--strangers", strangers, "--seed", 3]
        assert streamer("train", photos, *options) == 0
        assert load(Path("x.matcher")).content.seed == 3

    def test_an_existing_file_is_replaced_only_if_asked(self, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Path("x.matcher").write_text("mine")
        assert streamer("train", photos, "--method", "knn-pixels", "-o", "x.matcher") == 5
        assert Path("x.matcher").read_text() == "mine"
        assert "--overwrite" in capsys.readouterr().err
        assert streamer("train", photos, "--method", "knn-pixels", "-o", "x.matcher", "--overwrite") == 0
        assert load(Path("x.matcher")).content.method == "knn-pixels"

    def test_a_photo_that_cannot_be_used_is_told_with_its_reason(self, capsys: pytest.CaptureFixture[str]) -> None:
        folder = write_variants(Path("people"), COLLINS, HOPPER, photos=3)
        (folder / HOPPER / "broken.jpg").write_bytes(b"no picture")
        (folder / "note.txt").write_text("x")
        assert streamer("train", folder, "--method", "knn-pixels", "-o", "x.matcher") == 0
        told = capsys.readouterr().out
        assert f"{HOPPER}: broken.jpg: not used: no readable picture" in told
        assert "note: note.txt" in told
        assert load(Path("x.matcher")).content.photo_counts == (3, 3)

    def test_photos_that_tell_nobody_from_a_stranger_are_said_to_name_nobody(
        self, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Strangers who are the known people themselves cannot be told from them."""
        options = ["--method", "knn-pixels", "-o", "x.matcher", "--strangers", photos, "--false-accept-rate", 0]
        assert streamer("train", photos, *options) == 0
        assert "everybody is called unknown; give more photos" in capsys.readouterr().out

    def test_what_is_wrong_has_its_exit_code_and_one_line(
        self, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("empty").mkdir()
        for arguments, code in (
            (["absent", "--method", "knn"], 6),
            (["empty", "--method", "knn"], 6),
            ([photos, "--method", "svm"], 2),
            ([photos], 2),
            ([photos, "--method", "knn", "-o", "empty"], 5),
            ([photos, "--method", "knn", "--strangers", "empty", "-o", "x.matcher"], 6),
            ([photos, "--method", "knn", "--false-accept-rate", "2"], 2),
        ):
            assert streamer("train", *arguments) == code, arguments
            assert len(capsys.readouterr().err.splitlines()) == 1, arguments

    def test_an_interrupted_training_leaves_no_file(self, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = rejection.fit_rejection

        def interrupted(*arguments: object) -> object:
            os.kill(os.getpid(), signal.SIGINT)
            return before(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(trained, "fit_rejection", interrupted)
        assert streamer("train", photos, "--method", "knn-pixels", "-o", "x.matcher") == 130
        assert list(Path().glob("x*")) == []


class TestMatcherOption:
    def test_a_video_is_named_by_it_and_its_sha256_stands_in_the_results(self, matcher: Path, clip: Path) -> None:
        assert streamer("process", clip, "--matcher", matcher, "--no-video", "--results", "out.jsonl") == 0
        lines = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
        assert lines[0]["models"]["matcher"] == hashlib.sha256(matcher.read_bytes()).hexdigest()
        assert lines[0]["config"]["recognition"]["matcher_file"] == str(matcher)
        names = {
            (face["box"][0] > 300, face["identity"]["name"])
            for line in lines
            if line["type"] == "frame"
            for face in line["faces"]
        }
        assert names == {(False, None), (True, HOPPER)}

    def test_it_takes_the_gallerys_place_even_where_that_is_damaged(self, matcher: Path, clip: Path) -> None:
        Path("gallery").mkdir()
        Path("gallery/gallery.json").write_text("damaged")
        output = ["--no-video", "--results", "out.jsonl", "--end", "0.1", "--gallery", "gallery"]
        assert streamer("process", clip, *output) == 6
        assert streamer("process", clip, *output, "--set", f"recognition.matcher_file={matcher}") == 0

    @pytest.mark.parametrize("command", ["process", "image"])
    def test_it_cannot_be_had_beside_photos(
        self, command: str, matcher: Path, clip: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert streamer(command, clip, "--matcher", matcher, "--people", photos) == 2
        assert "leave one of them out" in capsys.readouterr().err

    def test_one_that_cannot_be_used_is_told_once_and_before_any_video(
        self, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("bad.matcher").write_bytes(b"\x80\x04K\x01.")
        for path in ("bad.matcher", "absent.matcher"):
            assert streamer("process", clip, clip.parent / "other.mp4", "--matcher", path, "-o", "out") == 6
            assert len(capsys.readouterr().err.splitlines()) == 1
        assert not Path("out").exists()

    def test_a_threshold_of_ones_own_holds_for_it_too(
        self, matcher: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--matcher", matcher, "-o", "out.png", "--set", "recognition.similarity_threshold=1.0"]
        assert streamer("image", photos / HOPPER / "1.png", *options) == 0
        assert "1 face: unknown" in capsys.readouterr().out

    @pytest.mark.parametrize("backend", ["openvino", "torch"])
    def test_both_backends_name_alike(
        self, backend: str, matcher: Path, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--matcher", matcher, "-o", "out", "--json", "--backend", backend]
        assert streamer("image", photos / HOPPER / "1.png", *options) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert [face["identity"]["name"] for face in row["faces"]] == [HOPPER]


@pytest.mark.shared_data
@pytest.mark.timeout(200)
def test_a_cnn_trained_on_the_command_line_is_used_by_image(
    shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cnn_training, "LEAST_STEPS", 20)
    celebrities = shared_data / "celebrities"
    assert streamer("train", celebrities / "gallery", "--method", "cnn", "-o", "x.matcher") == 0
    capsys.readouterr()
    for backend in ("openvino", "torch"):
        options = ["--matcher", "x.matcher", "-o", backend, "--json", "--backend", backend]
        assert streamer("image", celebrities / "probes" / "obama_and_biden.jpg", *options) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert len(row["faces"]) == 3
        assert all(face["identity"] is not None for face in row["faces"])
