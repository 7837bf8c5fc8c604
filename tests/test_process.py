"""`streamer process`, `people` and `demo` as a user runs them, with the real nets on drawn videos."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streamer.cli import main
from tests.drawn import photos_of, two_people_scene, write_video

Lines = list[dict[str, Any]]  # as any reader of JSON sees them


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", two_people_scene())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos_of(tmp_path_factory.mktemp("photos"), "Grace Hopper")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with an empty data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def streamer(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def lines_of(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def frames_in(path: Path) -> Lines:
    return [line for line in lines_of(path) if line["type"] == "frame"]


def pts_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


class TestProcess:
    def test_writes_every_frame_with_its_time_and_the_sound(self, clip: Path, photos: Path) -> None:
        assert streamer("process", clip, "--people", photos, "-o", "out.mp4") == 0
        assert pts_of(Path("out.mp4")) == pytest.approx(pts_of(clip))
        assert sound_of(Path("out.mp4")) == sound_of(clip)
        assert [frame["index"] for frame in frames_in(Path("out.jsonl"))] == list(range(50))
        assert sorted(Path().iterdir()) == [Path("out.jsonl"), Path("out.mp4")]

    def test_names_the_enrolled_and_nobody_else(self, clip: Path, photos: Path) -> None:
        assert streamer("process", clip, "--people", photos, "--no-video", "--results", "out.jsonl") == 0
        truth = two_people_scene()
        named: Counter[tuple[str | None, str | None]] = Counter()
        for frame in frames_in(Path("out.jsonl")):
            for face in frame["faces"]:
                centre = (np.array(face["box"][:2]) + face["box"][2:]) / 2
                actor = min(
                    truth.truth_at(frame["index"]),
                    key=lambda true: float(np.abs((true.xyxy[:2] + true.xyxy[2:]) / 2 - centre).sum()),
                )
                named[actor.name, face["identity"]["name"]] += 1
        assert set(named) == {("Grace Hopper", "Grace Hopper"), ("Eileen Collins", None)}
        assert min(named.values()) >= 48

    def test_the_results_file_holds_what_the_format_promises(self, clip: Path, photos: Path) -> None:
        assert streamer("process", clip, "--people", photos, "--no-video", "--results", "out.jsonl") == 0
        lines = lines_of(Path("out.jsonl"))
        kinds = [line["type"] for line in lines]
        assert kinds[0] == "header"
        assert kinds[-1] == "summary"
        assert [kind for kind in kinds[1:-1] if kind != "event"] == ["frame"] * 50 + ["track"] * 2
        header, summary = lines[0], lines[-1]
        assert header["schema_version"] == 1
        assert (header["source"], header["width"], header["height"]) == ("clip.mp4", 640, 360)
        assert (summary["frames"], summary["dropped"]) == (50, 0)
        face = frames_in(Path("out.jsonl"))[10]["faces"][0]
        assert set(face) == {"track_id", "box", "landmarks", "score", "detected", "identity", "emotion"}
        assert sum(face["emotion"]["probabilities"].values()) == pytest.approx(1, abs=0.01)
        shares = next(line["emotions"] for line in lines if line["type"] == "track" and line["name"] is None)
        assert max(shares, key=shares.get) == "happiness"  # the astronaut smiles

    @pytest.mark.timeout(60)
    def test_gives_the_same_results_twice_and_for_every_batch_size(self, clip: Path, photos: Path) -> None:
        texts = []
        for run, batch_size in enumerate([8, 8, 1]):
            output = Path(f"{run}.jsonl")
            options = ["--set", f"runtime.batch_size={batch_size}", "--no-video", "--results", output]
            assert streamer("process", clip, "--people", photos, *options) == 0
            texts.append([json.dumps(line) for line in lines_of(output) if line["type"] in ("frame", "event", "track")])
        assert texts[0] == texts[1]
        assert texts[0] == texts[2]

    def test_puts_outputs_into_recordings_by_default_and_never_replaces_them(
        self, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert streamer("process", clip) == 0
        assert sorted(path.name for path in Path("recordings").iterdir()) == ["clip.jsonl", "clip.mp4"]
        before = Path("recordings/clip.mp4").read_bytes()
        assert streamer("process", clip) == 5
        assert "exists already" in capsys.readouterr().err
        assert Path("recordings/clip.mp4").read_bytes() == before
        assert streamer("process", clip, "--overwrite", "--end", "0.4") == 0
        assert len(pts_of(Path("recordings/clip.mp4"))) == 10

    def test_takes_a_part_of_a_file(self, clip: Path) -> None:
        assert streamer("process", clip, "--start", "0.8", "--end", "1.2", "-o", "out.mp4") == 0
        assert pts_of(Path("out.mp4")) == pytest.approx([index / 25 for index in range(10)])
        times = [frame["pts_seconds"] for frame in frames_in(Path("out.jsonl"))]
        assert times == pytest.approx([0.8 + index / 25 for index in range(10)])

    def test_takes_many_files_and_patterns_and_goes_on_after_a_bad_one(
        self, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("in").mkdir()
        for name in ("a", "c"):
            (Path("in") / f"{name}.mp4").write_bytes(clip.read_bytes())
        Path("in/b.mp4").write_text("this is no video")
        assert streamer("process", "in/*.mp4", "-o", "out", "--end", "0.2") == 3
        assert sorted(path.name for path in Path("out").iterdir()) == ["a.jsonl", "a.mp4", "c.jsonl", "c.mp4"]
        errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(errors) == 1
        assert "b.mp4" in errors[0]

    def test_keeps_the_sound_of_a_file_whose_name_looks_like_an_address(self, clip: Path) -> None:
        Path("a:b.mp4").write_bytes(clip.read_bytes())
        assert streamer("process", "a:b.mp4", "-o", "out.mp4") == 0
        assert sound_of(Path("out.mp4")) == sound_of(clip)

    def test_names_every_face_of_a_group_in_a_single_picture(self, photos: Path) -> None:
        picture = cv2.imread(str(next(photos.glob("*/*.png"))))
        assert picture is not None
        small = cv2.resize(picture, (160, 200), interpolation=cv2.INTER_AREA)
        assert cv2.imwrite("group.png", np.tile(small, (2, 4, 1)))
        assert streamer("process", "group.png", "--people", photos, "--no-video", "--results", "o.jsonl") == 0
        faces = frames_in(Path("o.jsonl"))[0]["faces"]
        assert len(faces) == 8
        assert all(face["identity"] is not None for face in faces)

    def test_works_where_stdout_and_stderr_are_closed(self, clip: Path, tmp_path: Path) -> None:
        command = f'"{sys.executable}" -m streamer process "{clip}" --end 0.2 -o out.mp4 >&- 2>&-'
        assert subprocess.run(command, shell=True, cwd=tmp_path, timeout=30).returncode == 0
        assert len(pts_of(tmp_path / "out.mp4")) == 5

    def test_takes_a_folder_of_pictures(self) -> None:
        scene = two_people_scene(0.2)
        from streamer.sources.synthetic import SyntheticSource

        Path("shots").mkdir()
        for index in range(3):
            assert cv2.imwrite(f"shots/img{index}.png", SyntheticSource(scene).draw(index).bgr())
        assert streamer("process", "shots", "-o", "out.mp4") == 0
        assert pts_of(Path("out.mp4")) == pytest.approx([0, 1, 2])
        assert [len(frame["faces"]) for frame in frames_in(Path("out.jsonl"))] == [2, 2, 2]

    def test_two_inputs_of_one_name_do_not_overwrite_each_other(
        self, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for folder in ("one", "two"):
            Path(folder).mkdir()
            (Path(folder) / "x.mp4").write_bytes(clip.read_bytes())
        assert streamer("process", "one/x.mp4", "two/x.mp4", "-o", "out") == 2
        assert "would both be written" in capsys.readouterr().err

    def test_without_a_gallery_nobody_is_called_unknown(self, clip: Path) -> None:
        assert streamer("process", clip, "--no-video", "--results", "o.jsonl", "--end", "0.4") == 0
        assert all(face["identity"] is None for frame in frames_in(Path("o.jsonl")) for face in frame["faces"])

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_ends_with_130_and_a_video_that_plays(self, tmp_path: Path, number: signal.Signals) -> None:
        long = write_video(tmp_path / "long.mp4", two_people_scene(20.0, (320, 180)))
        command = [sys.executable, "-m", "streamer", "process", str(long), "-o", "out.mp4", "--detect-every", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        part, process_is_alive = tmp_path / "out.part.jsonl", threading.Event()
        while not part.exists() or part.stat().st_size < 50_000:
            assert process.poll() is None
            process_is_alive.wait(0.05)
        process.send_signal(number)
        asked_at = time.monotonic()
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130, err
        assert time.monotonic() - asked_at < 5
        written = pts_of(tmp_path / "out.mp4")
        assert 5 < len(written) < 500
        assert written == pytest.approx([index / 25 for index in range(len(written))])
        assert "interrupted after" in err
        assert lines_of(tmp_path / "out.jsonl")[-1]["type"] == "summary"


def cut_in_half(clip: Path, path: Path) -> Path:
    """Write the first half of a video whose index stands at its front."""
    whole = path.with_name("whole.mp4")
    with av.open(str(clip)) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    whole.unlink()
    return path


@pytest.mark.shared_data
@pytest.mark.timeout(180)
class TestRealVideo:
    def test_nobody_in_the_street_is_given_a_celebrity_s_name(self, shared_data: Path) -> None:
        video, people = shared_data / "videos" / "crowd_1080p.mp4", shared_data / "celebrities" / "gallery"
        assert streamer("process", video, "--people", people, "-o", "recordings/crowd.mp4") == 0
        assert pts_of(Path("recordings/crowd.mp4")) == pytest.approx(pts_of(video))
        assert sound_of(Path("recordings/crowd.mp4")) == sound_of(video)
        frames = frames_in(Path("recordings/crowd.jsonl"))
        assert len(frames) == 105
        identities = [face["identity"] for frame in frames for face in frame["faces"]]
        assert len(identities) > 400
        assert {identity["name"] for identity in identities if identity is not None} == {None}

    def test_celebrities_are_named_on_other_pictures_of_them(self, shared_data: Path) -> None:
        celebrities = shared_data / "celebrities"
        assert streamer("people", "import", celebrities / "gallery", "--gallery", "g") == 0
        options = ["--gallery", "g", "--no-video", "--results", "probes.jsonl"]
        assert streamer("process", celebrities / "probes", *options) == 0
        names = [
            sorted(face["identity"]["name"] or "-" for face in frame["faces"])
            for frame in frames_in(Path("probes.jsonl"))
        ]
        # In the last picture something that is no face is found beside the two.
        assert [[name for name in row if name != "-"] for row in names] == [
            ["alex_lacamoire"],
            ["kit_harington"],
            ["kit_harington", "rose_leslie"],
            ["obama"],
            ["biden", "obama"],
        ]


class TestBadInput:
    """Each is one line, the right exit code, and nothing left under the final name."""

    @pytest.fixture
    def refused(self, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
        self.capsys = capsys
        yield
        assert not list(Path().glob("**/out*.mp4")) + list(Path().glob("**/out*.jsonl"))

    def error_of(self, *arguments: object) -> tuple[int, str]:
        code = streamer(*arguments)
        errors = [line for line in self.capsys.readouterr().err.splitlines() if line.startswith("streamer: error: ")]
        assert len(errors) == 1
        return code, errors[0]

    @pytest.mark.usefixtures("refused")
    def test_missing_empty_and_foreign_files(self, tmp_path: Path) -> None:
        (tmp_path / "empty.mp4").touch()
        (tmp_path / "text.mp4").write_text("Dear diary, today I saw a face.\n" * 50)
        for name, what in [("missing.mp4", "does not exist"), ("empty.mp4", "empty"), ("text.mp4", "text.mp4")]:
            code, line = self.error_of("process", name, "-o", "out.mp4")
            assert code == 3
            assert name in line
            assert what in line.lower()

    @pytest.mark.usefixtures("refused")
    def test_a_name_that_is_too_long(self) -> None:
        assert self.error_of("process", "a" * 300 + ".mp4", "-o", "out.mp4")[0] == 3

    @pytest.mark.usefixtures("refused")
    def test_what_is_wrong_is_told_before_photos_are_looked_at(
        self, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamer.api.people_from", lambda *_, **__: pytest.fail("photos were looked at"))
        assert self.error_of("process", "nope.mp4", "-o", "out.mp4", "--people", photos)[0] == 3

    @pytest.mark.usefixtures("refused")
    def test_a_missing_file_makes_no_folder(self) -> None:
        assert self.error_of("process", "nope.mp4", "-o", "new/sub/out.mp4")[0] == 3
        assert not Path("new").exists()

    @pytest.mark.usefixtures("refused")
    def test_a_part_of_pictures(self) -> None:
        assert cv2.imwrite("one.png", np.zeros((40, 40, 3), np.uint8))
        code, line = self.error_of("process", "one.png", "-o", "out.mp4", "--start", "1")
        assert code == 2
        assert "start and end are for videos" in line

    @pytest.mark.usefixtures("refused")
    def test_an_audio_only_file(self, tmp_path: Path) -> None:
        import wave

        with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16_000))
        code, line = self.error_of("process", "tone.wav", "-o", "out.mp4")
        assert code == 3
        assert "tone.wav" in line

    def test_a_truncated_file_keeps_what_could_be_read_under_its_part_name(
        self, clip: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.capsys = capsys
        cut = cut_in_half(clip, Path("cut.mp4"))
        code, line = self.error_of("process", cut, "-o", "out.mp4")
        assert code == 3
        assert "cut.mp4" in line
        assert sorted(path.name for path in Path().glob("out*")) == ["out.part.jsonl", "out.part.mp4"]
        assert 10 < len(pts_of(Path("out.part.mp4"))) < 50

    @pytest.mark.usefixtures("refused")
    def test_a_file_without_its_index(self, clip: Path) -> None:
        data = clip.read_bytes()
        Path("noindex.mp4").write_bytes(data[: data.index(b"moov") - 4])
        code, line = self.error_of("process", "noindex.mp4", "-o", "out.mp4")
        assert code == 3
        assert "noindex.mp4" in line

    @pytest.mark.usefixtures("refused")
    def test_an_output_that_is_the_input_or_has_no_folder_or_a_wrong_ending(self, clip: Path) -> None:
        Path("in.mp4").write_bytes(clip.read_bytes())
        assert self.error_of("process", "in.mp4", "-o", "in.mp4", "--overwrite")[0] == 5
        assert Path("in.mp4").read_bytes() == clip.read_bytes()
        assert self.error_of("process", "in.mp4", "-o", "result.txt")[0] == 5

    @pytest.mark.usefixtures("refused")
    def test_an_unknown_configuration_key(self, clip: Path) -> None:
        Path("my.yaml").write_text("tracker:\n  detect_evry_seconds: 1\n")
        code, line = self.error_of("process", clip, "-o", "out.mp4", "--config", "my.yaml")
        assert code == 2
        for part in ("my.yaml", "tracker.detect_evry_seconds", "detect_every_seconds", "max_lost_seconds"):
            assert part in line

    @pytest.mark.usefixtures("refused")
    def test_people_folders_that_hold_nobody_or_too_many(self, clip: Path, photos: Path, tmp_path: Path) -> None:
        (tmp_path / "nobody").mkdir()
        code, line = self.error_of("process", clip, "-o", "out.mp4", "--people", "nobody")
        assert (code, "nobody" in line) == (6, True)

        (tmp_path / "faceless" / "Ana").mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "faceless" / "Ana" / "wall.png"), np.full((200, 200, 3), 90, np.uint8))
        code, line = self.error_of("process", clip, "-o", "out.mp4", "--people", "faceless")
        assert code == 6
        assert "Ana" in line
        assert "wall.png" in line

        both = photos_of(tmp_path / "both", "Grace Hopper", "Eileen Collins")
        pictures = [cv2.imread(str(path)) for path in sorted(both.glob("*/*.png"))]
        pair = np.concatenate([cv2.resize(picture, (400, 500)) for picture in pictures if picture is not None], axis=1)
        (tmp_path / "pair" / "Ana").mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "pair" / "Ana" / "pair.png"), pair)
        code, line = self.error_of("process", clip, "-o", "out.mp4", "--people", "pair")
        assert code == 6
        assert "pair.png" in line
        assert "2" in line


class TestInterruption:
    def test_a_request_during_enrolment_ends_it_after_the_photo_in_hand(
        self, clip: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def enrol(*_: object, on_photo: Callable[[object], None], **__: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            on_photo(None)
            pytest.fail("enrolment went on")

        monkeypatch.setattr("streamer.api.people_from", enrol)
        assert streamer("process", clip, "--people", photos, "-o", "out.mp4") == 130
        assert not list(Path().glob("out*"))


class TestPeople:
    def test_import_list_process_forget(self, clip: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert streamer("people", "import", photos, "--gallery", "g") == 0
        capsys.readouterr()
        assert streamer("people", "list", "--gallery", "g") == 0
        assert "Grace Hopper" in capsys.readouterr().out
        assert streamer("process", clip, "--gallery", "g", "--no-video", "--results", "o.jsonl", "--end", "0.4") == 0
        names = {face["identity"]["name"] for frame in frames_in(Path("o.jsonl")) for face in frame["faces"]}
        assert names == {"Grace Hopper", None}
        assert streamer("people", "forget", "Grace Hopper", "--gallery", "g") == 0
        capsys.readouterr()
        assert streamer("people", "list", "--gallery", "g", "--json") == 0
        assert json.loads(capsys.readouterr().out) == []
        assert streamer("people", "forget", "Grace Hopper", "--gallery", "g") == 6

    def test_the_gallery_lies_in_the_data_directory_by_default(self, photos: Path, tmp_path: Path) -> None:
        assert streamer("people", "import", photos) == 0
        assert (tmp_path / "data" / "streamer" / "gallery" / "gallery.json").is_file()
        if os.name == "posix":
            assert (tmp_path / "data" / "streamer" / "gallery").stat().st_mode & 0o077 == 0

    def test_an_import_that_fails_changes_nothing(self, photos: Path, tmp_path: Path) -> None:
        assert streamer("people", "import", photos, "--gallery", "g") == 0
        before = {path: path.read_bytes() for path in Path("g").iterdir()}
        (tmp_path / "bad" / "Ben").mkdir(parents=True)
        (tmp_path / "bad" / "Ben" / "note.jpg").write_text("no picture")
        assert streamer("people", "import", "bad", "--gallery", "g") == 6
        journal = Path("g/import.journal")  # what was read need not be read again
        assert {path: path.read_bytes() for path in Path("g").iterdir() if path != journal} == before

    def test_people_of_process_leave_the_gallery_alone(self, clip: Path, photos: Path, tmp_path: Path) -> None:
        options = ["--people", photos, "--no-video", "--results", "o.jsonl", "--end", "0.2"]
        assert streamer("process", clip, *options) == 0
        assert not (tmp_path / "data").exists()


class TestDemo:
    @pytest.mark.timeout(60)
    def test_it_names_one_and_leaves_the_other_a_stranger(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert streamer("demo", "--seconds", "2") == 0
        assert len(pts_of(Path("recordings/demo.mp4"))) == 50
        faces = [face for frame in frames_in(Path("recordings/demo.jsonl")) for face in frame["faces"]]
        names = Counter(face["identity"]["name"] for face in faces if face["identity"] is not None)
        assert set(names) == {"Grace Hopper", None}
        assert "recordings/demo.mp4" in capsys.readouterr().out.replace(os.sep, "/")
