"""`streamer image`: names and emotions on photos, whatever their size and kind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import streamer as package
from streamer.api import people_from
from streamer.cli import main
from streamer.pictures import UInt8
from streamer.sinks import png
from streamer.sinks.files import PartFile
from streamer.stills import ImageAnnotator
from tests.variants import HOPPER, variant, write_variants

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_variants(tmp_path_factory.mktemp("people"), HOPPER, photos=1)


@pytest.fixture(scope="module")
def annotator(people: Path) -> ImageAnnotator:
    one = ImageAnnotator()
    one.gallery = people_from(people, models=one.models)
    return one


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def streamer(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def write(path: str, pixels: UInt8) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(path, pixels)
    return Path(path)


def read(path: str | Path) -> UInt8:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def names_in(annotator: ImageAnnotator, image: Path | UInt8) -> list[str | None]:
    faces = sorted(annotator.annotate(image).result.annotations, key=lambda face: float(face.track.xyxy[0]))
    return [face.identity.name if face.identity else "not assessed" for face in faces]


class TestCommand:
    def test_writes_beside_each_photo_and_prints_who_is_there(
        self, people: Path, astronaut: UInt8, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("in/a.png", variant(hopper, 3))
        write("in/b.jpg", astronaut)
        assert streamer("image", "in/*.*", "--people", people) == 0
        assert sorted(path.name for path in Path("in").iterdir()) == ["a.png", "b.jpg", "result_a.png", "result_b.png"]
        first, second = capsys.readouterr().out.splitlines()
        assert f"in/a.png: 1 face: {HOPPER} (" in first
        assert first.endswith("wrote in/result_a.png")
        assert "in/b.jpg: 1 face: unknown, happiness" in second
        assert read("in/result_a.png").shape == hopper.shape

    def test_takes_the_photos_of_a_folder_but_not_earlier_results(
        self, astronaut: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("in/a.png", astronaut)
        (Path("in") / ".hidden.png").write_text("x")
        for _ in range(2):
            assert streamer("image", "in", "--overwrite") == 0
            assert len(capsys.readouterr().out.splitlines()) == 1
        Path("empty").mkdir()
        assert streamer("image", "empty") == 3

    def test_writes_into_a_folder_or_to_a_file(self, people: Path, astronaut: UInt8) -> None:
        photo = write("in/a.png", astronaut)
        assert streamer("image", photo, "-o", "out/deep") == 0
        assert streamer("image", photo, "-o", "one.png") == 0
        assert np.array_equal(read("out/deep/result_a.png"), read("one.png"))

    def test_prints_json_for_machines(self, people: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]) -> None:
        write("a.png", hopper)
        assert streamer("image", "a.png", "absent.png", "--people", people, "--json") == 3
        good, bad = json.loads(capsys.readouterr().out)
        assert (good["photo"], good["output"], good["width"], good["height"]) == (
            "a.png",
            "result_a.png",
            hopper.shape[1],
            hopper.shape[0],
        )
        (face,) = good["faces"]
        assert face["identity"]["name"] == HOPPER
        assert sum(face["emotion"]["probabilities"].values()) == pytest.approx(1, abs=0.01)
        assert set(bad) == {"photo", "error"}

    def test_one_bad_photo_does_not_keep_the_others_from_being_done(
        self, astronaut: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("a.png", astronaut)
        Path("b.png").write_bytes(b"no picture")
        write("c.png", astronaut)
        assert streamer("image", "a.png", "b.png", "c.png") == 3
        assert Path("result_a.png").exists()
        assert Path("result_c.png").exists()
        assert not Path("result_b.png").exists()
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1
        assert "b.png" in errors[0]

    def test_an_existing_result_is_replaced_only_if_asked(self, astronaut: UInt8) -> None:
        write("a.png", astronaut)
        Path("result_a.png").write_text("mine")
        assert streamer("image", "a.png") == 5
        assert Path("result_a.png").read_text() == "mine"
        assert streamer("image", "a.png", "--overwrite") == 0
        assert read("result_a.png").shape == astronaut.shape

    def test_a_photo_is_never_its_own_result(self, astronaut: UInt8) -> None:
        before = write("a.png", astronaut).read_bytes()
        assert streamer("image", "a.png", "-o", "a.png", "--overwrite") == 5
        assert Path("a.png").read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["absent.png"], 3, "does not exist"),
            (["*.none"], 3, "no file matches"),
            (["a.png", "-o", "x.jpg"], 5, "must end in .png"),
            (["a.png", "b/a.jpg", "-o", "out"], 2, "both be written"),
            (["a.png", "b/a.jpg", "-o", "x.png"], 2, "need a folder"),
            (["a.png", "--gallery", "bad"], 6, "damaged"),
            (["a.png", "--people", "absent"], 6, "absent"),
            (["a.png", "--set", "annotate.font=absent.ttf"], 2, "absent.ttf"),
            ([], 2, "PHOTO"),
        ],
    )
    def test_what_is_wrong_is_one_line_with_its_code(
        self, arguments: list[str], code: int, words: str, astronaut: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("a.png", astronaut)
        write("b/a.jpg", astronaut)
        Path("bad").mkdir()
        Path("bad/gallery.json").write_text("no")
        assert streamer("image", *arguments) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
        assert list(Path().rglob("result_*")) == []

    def test_ctrl_c_ends_after_the_photo_in_hand(
        self, astronaut: UInt8, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in "abc":
            write(f"{name}.png", astronaut)
        before = png.write_png

        def interrupted(path: Path, pixels: UInt8) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            before(path, pixels)

        monkeypatch.setattr(png, "write_png", interrupted)
        assert streamer("image", "a.png", "b.png", "c.png") == 130
        assert sorted(path.name for path in Path().glob("result_*")) == ["result_a.png"]

    def test_a_disk_that_is_full_leaves_nothing(self, astronaut: UInt8, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_arguments: object) -> int:
            raise OSError(28, "No space left on device")

        write("a.png", astronaut)
        monkeypatch.setattr(PartFile, "write", full)
        assert streamer("image", "a.png") == 5
        assert sorted(path.name for path in Path().iterdir()) == ["a.png"]


class TestPictures:
    def test_outside_what_is_drawn_the_photo_is_as_it_was(self, annotator: ImageAnnotator, astronaut: UInt8) -> None:
        odd = np.ascontiguousarray(astronaut[:501, :511])
        done = annotator.annotate(odd)
        is_changed = (done.pixels != odd).any(axis=2)
        assert done.pixels.shape == odd.shape
        assert 0.005 < is_changed.mean() < 0.1
        assert not is_changed[300:].any()

    def test_a_photo_turned_by_its_exif_is_shown_upright(self, annotator: ImageAnnotator, hopper: UInt8) -> None:
        turned = np.rot90(hopper)[..., ::-1]
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.ascontiguousarray(turned)).save("turned.jpg", exif=exif, quality=95)
        assert names_in(annotator, Path("turned.jpg")) == [HOPPER]
        assert annotator.annotate(Path("turned.jpg")).pixels.shape == hopper.shape

    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1"])
    def test_photos_of_every_kind_are_read(self, mode: str, annotator: ImageAnnotator, hopper: UInt8) -> None:
        Image.fromarray(np.ascontiguousarray(hopper[..., ::-1])).convert(mode).save("a.png")
        assert len(annotator.annotate(Path("a.png")).result.annotations) == 1
        if mode != "1":
            assert names_in(annotator, Path("a.png")) == [HOPPER]

    def test_a_photo_of_24_megapixels_is_named_too(self, annotator: ImageAnnotator, hopper: UInt8) -> None:
        large = np.full((6000, 4000, 3), 80, np.uint8)
        face = cv2.resize(hopper, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        large[1000 : 1000 + face.shape[0], 900 : 900 + face.shape[1]] = face
        assert names_in(annotator, large) == [HOPPER]
        assert annotator.annotate(large).pixels.shape == large.shape

    def test_a_small_photo_is_enlarged_until_its_text_can_be_read(
        self, annotator: ImageAnnotator, hopper: UInt8
    ) -> None:
        small = cv2.resize(hopper[50:400, 120:420], (75, 88), interpolation=cv2.INTER_AREA)
        done = annotator.annotate(np.asarray(small, np.uint8))
        (face,) = done.result.annotations
        assert face.identity is not None
        assert done.scale == 5
        assert done.pixels.shape == (440, 375, 3)
        assert float(face.track.xyxy.max()) <= 88  # in the photo's own pixels

    @pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (13, 1000)])
    def test_a_photo_too_small_for_a_face_comes_out_as_it_is(
        self, size: tuple[int, int], annotator: ImageAnnotator
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
        done = annotator.annotate(pixels)
        assert done.result.annotations == ()
        assert np.array_equal(done.pixels, pixels)

    def test_one_photo_leaves_nothing_to_the_next(
        self, annotator: ImageAnnotator, hopper: UInt8, astronaut: UInt8
    ) -> None:
        other = np.asarray(cv2.resize(astronaut, hopper.shape[1::-1]), np.uint8)
        for picture, names in ((hopper, [HOPPER]), (other, [None]), (hopper, [HOPPER])):
            result = annotator.annotate(picture).result
            assert [face.identity and face.identity.name for face in result.annotations] == names
            assert [face.track.track_id for face in result.annotations] == [1]

    def test_every_face_of_a_crowd_is_looked_at(self, annotator: ImageAnnotator, astronaut: UInt8) -> None:
        """More than `labels.embeddings_per_second` allows for one frame of a video."""
        face = cv2.resize(astronaut[20:220, 130:330], (100, 100), interpolation=cv2.INTER_AREA)
        found = annotator.annotate(np.tile(face, (6, 7, 1))).result.annotations
        assert len(found) > 36
        assert all(one.identity is not None and one.emotion is not None for one in found)


def test_one_picture_can_be_annotated_from_python(hopper: UInt8, people: Path) -> None:
    known = package.people_from(people)
    done = package.annotate_image(hopper, gallery=known)
    write("a.png", hopper)
    assert np.array_equal(package.annotate_image("a.png", gallery=known).pixels, done.pixels)
    assert [face.identity and face.identity.name for face in done.result.annotations] == [HOPPER]
