"""`streamer people` as a user runs it, with the real nets on portraits that installed packages ship."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.cli import main
from streamer.pictures import UInt8
from streamer.recognition.gallery import load_gallery
from streamer.recognition.import_journal import JOURNAL_NAME, ImportJournal
from streamer.recognition.photo_reader import PhotoFace, RefusedError
from streamer.sources.synthetic import Actor, Scene
from tests.drawn import photos_of, write_video
from tests.fake_camera import FakeCameras, moving_face
from tests.recorded import Shown, frame_result, unit, write_results
from tests.variants import COLLINS, HOPPER, variant, write_variants

pytestmark = pytest.mark.timeout(60)
GALLERY = Path("gallery")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def people(*arguments: object) -> int:
    return main(["people", *map(str, arguments), "--gallery", str(GALLERY)])


def write(path: str, picture: UInt8) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(path, picture)
    return Path(path)


def names() -> tuple[str, ...]:
    return load_gallery(GALLERY).names


@pytest.fixture
def enrolled(tmp_path: Path) -> Path:
    """A gallery of both people, three photos each."""
    assert people("import", write_variants(tmp_path / "photos", COLLINS, HOPPER, photos=3)) == 0
    return tmp_path / "photos"


class TestImport:
    def test_each_photos_reason_the_counts_and_the_expectations_are_printed(
        self, enrolled: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        write(f"photos/{HOPPER}/new.png", variant(hopper, 9))
        write(f"photos/{HOPPER}/none.png", np.full((99, 99, 3), 120, np.uint8))
        assert people("import", "photos") == 0
        out = capsys.readouterr().out
        assert f"{HOPPER}: none.png: not used: no face found" in out
        assert f"{HOPPER}: 1 enrolled, 3 known already, 1 not used" in out
        assert f"{COLLINS}: 0 enrolled, 3 known already" in out
        assert "2 people with 7 photos in gallery" in out
        assert "a stranger is given a name with a probability of 1.00%" in out

    def test_nobody_is_enrolled_where_one_person_has_no_usable_photo_unless_that_is_asked(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = photos_of(tmp_path / "photos", HOPPER)
        write("photos/Zoe/grey.png", np.full((99, 99, 3), 120, np.uint8))
        assert people("import", folder) == 6
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("streamer: error: Zoe: grey.png: no face found; give a photo")
        assert not (GALLERY / "gallery.json").exists()
        assert people("import", folder, "--skip-unusable") == 0
        assert names() == (HOPPER,)
        assert "Zoe: not enrolled: grey.png: no face found" in capsys.readouterr().out

    def test_a_photo_of_somebody_known_under_another_name_is_refused_with_their_name(
        self, enrolled: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert people("add", "Eve", f"photos/{HOPPER}/0.png") == 6
        assert f"0.png: it is enrolled as {HOPPER} already" in capsys.readouterr().err
        write("other.png", variant(hopper, 12))
        assert people("add", "Eve", "other.png") == 6
        assert f"it looks like {HOPPER}, who is in the gallery" in capsys.readouterr().err
        assert names() == (COLLINS, HOPPER)
        assert people("add", "Eve", "other.png", "--accept-doubtful") == 0
        assert names() == (COLLINS, HOPPER, "Eve")

    def test_a_photo_of_somebody_else_among_a_persons_own_is_left_out(
        self, enrolled: Path, astronaut: UInt8, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        mixed, own = write("mixed.png", variant(astronaut, 20)), write("own.png", variant(hopper, 21))
        assert people("add", HOPPER, mixed, own) == 0
        out = capsys.readouterr().out
        assert f"{HOPPER}: mixed.png: not used: it looks like {COLLINS}, who is in the gallery" in out
        assert f"{HOPPER}: 1 enrolled, 1 not used" in out
        assert load_gallery(GALLERY).person(HOPPER).sources == ("0.png", "1.png", "2.png", "own.png")
        assert people("add", HOPPER, mixed) == 6, "nothing can be used"

    def test_prepared_crops_are_enrolled_as_the_photos_are(self, enrolled: Path) -> None:
        prepare = ["people", "prepare", "photos", "crops"]
        assert main(prepare) == 0
        assert sorted(path.name for path in Path("crops", HOPPER).iterdir()) == ["0.png", "1.png", "2.png"]
        assert main(["people", "import", "crops", "--gallery", "second"]) == 0
        for one, other in zip(load_gallery(GALLERY).people, load_gallery(Path("second")).people, strict=True):
            assert float((one.embeddings * other.embeddings).sum(axis=1).min()) > 0.97
        assert main(prepare) == 6

    def test_names_are_text_wherever_they_come_from(
        self, tmp_path: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        photo = write("a.png", hopper)
        for name in ("", " ", "a\nb", "a\x1b[31m", "x" * 10_000):
            assert people("add", name, photo) == 6
            (line,) = capsys.readouterr().err.splitlines()
            assert line.isprintable()
            assert len(line) < 400
        for name in ("../../x", "<script>alert(1)</script>"):
            assert people("add", name, photo, "--accept-doubtful") == 6 * (name != "../../x")
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.png", "gallery"]
        assert names() == ("../../x",)

    def test_a_folder_of_photos_is_taken_as_the_photos_in_it(self, enrolled: Path) -> None:
        GALLERY.rename("before")
        assert people("add", "Grace", enrolled / HOPPER) == 0
        assert load_gallery(GALLERY).person("Grace").sources == ("0.png", "1.png", "2.png")

    def test_a_camera_that_is_not_there_is_told_in_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert people("add", "Ana", "--camera", 97) == 3
        (line,) = capsys.readouterr().err.splitlines()[1:]
        assert line.startswith("streamer: error: there is no camera /dev/video97; streamer live --list")
        assert not GALLERY.exists()
        assert people("add", "Ana", "--camera", -1) == 2

    @pytest.mark.timeout(60)
    def test_a_camera_gives_a_few_different_views_until_it_is_unplugged(
        self, cameras: FakeCameras, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        camera = cameras.add()
        camera.show(moving_face(hopper, 640, 480))
        unplugging = threading.Timer(3.0, camera.tell, ["unplug"])
        unplugging.start()
        assert people("add", "Grace", "--camera", "/dev/video0", "--accept-doubtful") == 0
        unplugging.join()
        sources = load_gallery(GALLERY).person("Grace").sources
        assert 1 <= len(sources) <= 7
        assert all(source.startswith("camera video0 #") for source in sources)


class TestVideo:
    def test_a_video_gives_a_few_different_views_and_nothing_the_second_time(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from streamer.sources.portraits import packaged_portraits

        collins, _ = packaged_portraits()
        scene = Scene(320, 240, 25, 3.0, (Actor(collins, ((0.0, 110.0, 110.0, 100.0), (3.0, 190.0, 120.0, 130.0))),))
        video = write_video(tmp_path / "ana.mp4", scene, with_sound=False)
        assert people("add", "Ana", video) == 0
        ana = load_gallery(GALLERY).person("Ana")
        assert 3 <= len(ana.embeddings) <= 6
        assert all(source.startswith("ana.mp4 @ ") for source in ana.sources)
        assert all(ana.digests)
        capsys.readouterr()
        assert people("add", "Ana", video) == 0
        assert f"Ana: 0 enrolled, {len(ana.embeddings)} known already" in capsys.readouterr().out
        assert load_gallery(GALLERY).photo_count == len(ana.embeddings)


class TestSeveralFaces:
    @pytest.fixture
    def pair(self, astronaut: UInt8, hopper: UInt8) -> Path:
        left = cv2.resize(astronaut[50:190, 150:290], (400, 400))
        right = cv2.resize(hopper, (341, 400))
        return write("pair.png", np.asarray(np.hstack([left, right]), np.uint8))

    def test_none_is_guessed_and_the_largest_is_taken_where_that_is_asked(
        self, pair: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert people("add", "Ana", pair) == 6
        assert "2 faces, and which is meant is not guessed" in capsys.readouterr().err
        assert people("add", "Ana", pair, "--largest") == 0

    @pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
    @pytest.mark.parametrize(("answer", "code"), [("2", 0), ("0", 6), ("9", 6)])
    def test_on_a_terminal_it_is_asked(self, pair: Path, answer: str, code: int) -> None:
        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "streamer", "people", "add", "Grace", str(pair), "--gallery", str(GALLERY)]
        with subprocess.Popen(
            command, stdin=follower, stdout=subprocess.PIPE, stderr=follower, env=_environment()
        ) as process:
            os.close(follower)
            shown = b""
            while b"which one is meant?" not in shown:
                shown += os.read(leader, 10_000)
            os.write(leader, f"{answer}\n".encode())
            assert process.wait(30) == code
        os.close(leader)
        assert b"shows 2 faces, from left to right" in shown
        assert (GALLERY / "gallery.json").exists() is (code == 0)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def _import(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "streamer", "people", "import", str(folder), "--gallery", str(GALLERY)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment())


def _lines(path: Path) -> int:
    return path.read_bytes().count(b'"sha256"') if path.exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
class TestInterruption:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        return write_variants(tmp_path / "many", COLLINS, HOPPER, photos=25)

    @pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
    def test_stopped_at_any_moment_an_import_goes_on_where_it_was(
        self, many: Path, kind: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three are stopped, each after some photos more; the last only reads those that are left."""
        journal, before = GALLERY / JOURNAL_NAME, 0
        for more in (2, 5, 9):
            process = _import(many)
            while _lines(journal) < before + more:
                assert process.poll() is None, process.communicate()[0].decode()
            process.send_signal(kind)
            output = process.communicate(timeout=20)[0].decode()
            assert process.returncode == (130 if kind is signal.SIGINT else -9), output
            assert "Traceback" not in output
            assert not (GALLERY / "gallery.json").exists(), "nothing is half enrolled"
            assert stat.S_IMODE(journal.stat().st_mode) == 0o600
            assert _lines(journal) >= before + more
            before = _lines(journal)
        kept: list[str] = []
        keep = ImportJournal.keep

        def counted(journal: ImportJournal, digest: str, found: PhotoFace | RefusedError) -> None:
            kept.append(digest)
            keep(journal, digest, found)

        monkeypatch.setattr(ImportJournal, "keep", counted)
        assert people("import", many) == 0
        assert len(kept) in (50 - before, 51 - before), "a line may have been cut"
        assert load_gallery(GALLERY).photo_count == 50
        assert not journal.exists()

    def test_two_imports_at_once_both_land(self, tmp_path: Path) -> None:
        folders = [write_variants(tmp_path / name, name, photos=6) for name in (COLLINS, HOPPER)]
        processes = [_import(folder) for folder in folders]
        for process in processes:
            output = process.communicate(timeout=40)[0].decode()
            assert process.returncode == 0, output
        gallery = load_gallery(GALLERY)
        assert set(gallery.names) == {COLLINS, HOPPER}
        assert gallery.photo_count == 12

    def test_a_full_disk_is_one_line_and_the_gallery_as_it_was(self, enrolled: Path, many: Path) -> None:
        before = {path.name: path.read_bytes() for path in GALLERY.iterdir()}
        limited = (
            "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
            "from streamer.cli import main; sys.exit(main(sys.argv[2:]))"
        )
        for size in (10_000, 100_000):  # within the journal, and within the vectors
            command = [
                sys.executable,
                "-c",
                limited,
                str(size),
                "people",
                "import",
                str(many),
                "--gallery",
                str(GALLERY),
            ]
            # Whoever measures the tests' coverage could not write either.
            environment = {key: value for key, value in _environment().items() if not key.startswith("COVERAGE_")}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=False)
            assert done.returncode == 6, done.stderr
            assert "cannot be written (File too large); it is as it was before" in done.stderr.splitlines()[-1]
            after = {path.name: path.read_bytes() for path in GALLERY.iterdir() if path.name != JOURNAL_NAME}
            assert after == before
        assert people("import", many) == 0


class TestChanges:
    def test_a_name_is_changed_and_everything_kept(self, enrolled: Path) -> None:
        before = load_gallery(GALLERY).person(HOPPER)
        assert people("rename", HOPPER, "Grace") == 0
        after = load_gallery(GALLERY).person("Grace")
        assert (after.sources, after.digests, after.thumbnails) == (before.sources, before.digests, before.thumbnails)
        assert people("rename", "Grace", COLLINS) == 6
        assert people("rename", "Nobody", "x") == 6

    def test_people_who_look_different_are_merged_with_a_note(
        self, enrolled: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert people("add", "Grace", write("g.png", variant(hopper, 7)), "--accept-doubtful") == 0
        capsys.readouterr()
        assert people("merge", HOPPER, "Grace") == 0
        assert "note" not in capsys.readouterr().out
        assert len(load_gallery(GALLERY).person(HOPPER).embeddings) == 4
        assert people("merge", HOPPER, COLLINS) == 0
        assert f"note: the photos of {COLLINS} look like somebody else than {HOPPER}" in capsys.readouterr().out
        merged = load_gallery(GALLERY).person(HOPPER)
        assert len(merged.embeddings) == len(merged.digests) == len(merged.thumbnails) == 7
        assert all(merged.digests)
        assert all(merged.thumbnails)

    def test_the_forgotten_are_gone_with_their_pictures_wherever_they_stood(
        self, enrolled: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("seen.png", variant(hopper, 15))
        assert people("not", COLLINS, "seen.png") == 0
        before = load_gallery(GALLERY)
        gone = before.person(HOPPER)
        traces = [row.tobytes() for row in (*gone.embeddings, *before.person(COLLINS).look_alikes)]
        traces += [*gone.thumbnails, HOPPER.encode()]
        assert people("forget", HOPPER) == 0
        out = capsys.readouterr().out
        assert f"{HOPPER} is forgotten: no vector and no picture of theirs is left in gallery" in out
        assert f"1 pictures of {HOPPER} that others were said not to be (people not) are gone, too" in out
        for path in GALLERY.iterdir():
            assert not any(trace in path.read_bytes() for trace in traces), path
        assert load_gallery(GALLERY).person(COLLINS).look_alike_sources == ()
        assert people("forget", HOPPER) == 6

    def test_somebody_is_said_not_to_be_a_person_by_a_photo_or_a_track(
        self, enrolled: Path, astronaut: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        photo = write("twin.png", variant(astronaut, 30))
        assert people("not", HOPPER, photo) == 0
        capsys.readouterr()
        assert people("not", HOPPER) == 2
        assert people("not", HOPPER, photo, "--track", "r.jsonl:1") == 2
        assert people("not", "Nobody", photo) == 6
        for wrong in ("r.jsonl", "r.jsonl:", ":3", "r.jsonl:x"):
            assert people("not", HOPPER, "--track", wrong) == 2
        results = write_results(Path("r.jsonl"), [frame_result(0, [Shown(1, None, unit(1))])])
        assert people("not", HOPPER, "--track", f"{results}:1") == 6, "of another net"
        assert all(line.startswith("streamer: error: ") for line in capsys.readouterr().err.splitlines())
        assert load_gallery(GALLERY).person(HOPPER).look_alike_sources == ("twin.png",)


class TestReports:
    def test_a_sheet_has_a_card_for_each_person_and_is_not_replaced_unasked(
        self, enrolled: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert people("show", "-o", "people.png") == 0
        assert people("show", HOPPER, "-o", "one.png") == 0
        all_people, one = cv2.imread("people.png"), cv2.imread("one.png")
        assert all_people is not None
        assert one is not None
        assert all_people.shape[1] < one.shape[1], "two cards, three cards"
        assert stat.S_IMODE(Path("people.png").stat().st_mode) == 0o600
        before = Path("people.png").read_bytes()
        assert people("show", "-o", "people.png") == 5
        assert Path("people.png").read_bytes() == before
        assert people("show", "-o", "people.png", "--overwrite") == 0
        assert people("show", "Nobody", "-o", "x.png") == 6
        assert "2 cards: people.png" in capsys.readouterr().out

    def test_thresholds_are_worked_out_for_the_rate_asked_for(
        self, enrolled: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        capsys.readouterr()
        found = {}
        for rate in (0.01, 0.001):
            assert people("calibrate", "--json", "--false-accept-rate", rate) == 0
            found[rate] = json.loads(capsys.readouterr().out)
            assert sum(person["taken"] for person in found[rate]["people"]) == pytest.approx(rate)
        assert found[0.001]["threshold"] > found[0.01]["threshold"]
        assert [person["name"] for person in found[0.01]["people"]] == [COLLINS, HOPPER]
        assert found[0.01]["look_alikes"] == []
        assert people("calibrate", "--false-accept-rate", 2) == 2

    def test_own_strangers_are_counted_and_kept(
        self, enrolled: Path, hopper: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write("strangers/a.png", hopper)
        write("strangers/b.png", np.full((99, 99, 3), 120, np.uint8))
        assert people("calibrate", "--strangers", "strangers") == 0
        captured = capsys.readouterr()
        assert "b.png: not used: no face found" in captured.err
        assert "thresholds are adapted to 1 pictures of strangers" in captured.out
        assert people("calibrate") == 0
        assert "thresholds are adapted to 1 pictures of strangers" in capsys.readouterr().out
        assert people("calibrate", "--strangers", "nowhere") == 6

    def test_an_exported_file_makes_the_same_gallery_elsewhere(self, enrolled: Path) -> None:
        assert people("export", "all.people") == 0
        assert people("export", "all.people") == 6
        assert main(["people", "import", "all.people", "--gallery", "second"]) == 0
        first, second = load_gallery(GALLERY), load_gallery(Path("second"))
        assert first.names == second.names
        for one, other in zip(first.people, second.people, strict=True):
            np.testing.assert_array_equal(one.embeddings, other.embeddings)
        assert first.calibration is not None
        assert second.calibration is not None
        np.testing.assert_allclose(first.calibration.thresholds, second.calibration.thresholds, atol=1e-6)
        Path("cut.people").write_bytes(Path("all.people").read_bytes()[:3000])
        assert main(["people", "import", "cut.people", "--gallery", "second"]) == 6
