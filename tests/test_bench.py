"""`streamer bench`: what is measured and in what order, what it prints, its bars, and that it leaves nothing behind."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from streamer.bench import ceiling, figures
from streamer.bench.bars import Bars, missed
from streamer.bench.children import Children
from streamer.bench.figures import Figures, Growth, GrowthPoint, Measurement, Spread
from streamer.bench.machine import cpu_model, peak_memory_mib
from streamer.bench.plot import draw_plot
from streamer.bench.program import Options, run_benchmark
from streamer.bench.records import Boxes, write_boxes
from streamer.bench.report import WIDTH, print_report
from streamer.bench.scenes import faces_scene, truth_scene, write_scaled, write_scene
from streamer.bench.session import Session, Way, video_info
from streamer.bench.values import Kind, Machine, Run, StageCost, Task, from_json, to_json
from streamer.cli import main
from streamer.config import Config
from streamer.errors import SourceOpenError, StreamerError, UsageError
from tests.drawn import photos_of, two_people_scene, write_video

MACHINE = Machine(
    "A Processor", 2, 2, 24_000, None, "Linux 6", "CPU", "openvino", ("openvino", "torch"), "", {"av": "18"}, 0.1
)
FACE = [20.0, 10.0, 70.0, 70.0]
# Frames a second that the fake answers, by kind.
SPEEDS = {"ceiling": 100.0, "naive": 1.0, "reference": 2.0, "detect": 10.0, "process": 60.0, "results": 80.0}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 20 frames, 320 × 180."""
    return write_video(tmp_path_factory.mktemp("bench") / "clip.mp4", two_people_scene(0.8, (320, 180)))


@pytest.fixture(scope="module", autouse=True)
def _short_scene() -> Iterator[None]:
    """Drawing all 12 s of the scene with the truth takes three seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamer.bench.program.truth_scene", lambda: truth_scene(0.4))
        yield


@dataclasses.dataclass(frozen=True)
class FakeChildren(Children):
    """Answers at once, as if each frame held one face of 50 px; keeps the tasks."""

    tasks: list[Task] = dataclasses.field(default_factory=list)
    machine: Machine = MACHINE

    def describe_machine(self, task: Task) -> Machine:
        return self.machine

    def measure(self, task: Task) -> Run:
        self.tasks.append(task)
        frames = video_info(task.video).frame_count or 0
        if task.end_seconds is not None:
            frames = min(frames, round(task.end_seconds * 25))
        frames = min(frames, task.most_frames or frames)
        box = Boxes(np.array([FACE], np.float32), np.array([0.99], np.float32))
        if task.kind in ("reference", "detect"):
            write_boxes(task.boxes, [box] * frames)
        elif task.kind in ("process", "results", "profile"):
            face = {"box": FACE, "track_id": 1, "detected": True, "identity": {"name": "Ana"}}
            lines = [json.dumps({"type": "frame", "faces": [face]})] * frames
            task.results().write_text("\n".join(lines))
        stages = (StageCost("read", 9, 1, 2, 3, 4, 5, 5), StageCost("novel", 9, 1, 2, 3, 4, 2, 2))
        speed = SPEEDS.get(task.kind, 10.0)
        return Run(frames, frames / speed, 0.02 * frames, 300.0, frames, stages, {"scan": 2}, 2.0)


@pytest.fixture(scope="module")
def children() -> FakeChildren:
    return FakeChildren()


@pytest.fixture(scope="module")
def measured(clip: Path, children: FakeChildren) -> Figures:
    options = Options((clip,), None, Config(), "streamer bench", repeat=2, naive_frames=5)
    options = dataclasses.replace(options, faces=(0, 2), sizes=(90, 180), streams=(1, 2), scene_height=180)
    return run_benchmark(options, children)


class TestOrder:
    def test_every_repeat_goes_through_all_ways_before_the_next(
        self, clip: Path, measured: Figures, children: FakeChildren
    ) -> None:
        of_clip = [task.kind for task in children.tasks if task.video == clip and task.streams == 1]
        one = ["ceiling", "process", "naive", "reference", "detect", "process", "results", "process"]
        assert of_clip[:17] == ["reference", *one, *one]
        assert of_clip[17:19] == ["profile", "profile"]

    def test_each_child_has_an_empty_folder_that_is_gone_afterwards(
        self, measured: Figures, children: FakeChildren
    ) -> None:
        assert not any(task.folder.exists() or task.folder.parent.exists() for task in children.tasks)

    def test_the_naive_loop_is_short_and_the_reference_is_whole(
        self, clip: Path, measured: Figures, children: FakeChildren
    ) -> None:
        limits = [task.most_frames for task in children.tasks if task.video == clip and task.kind == "reference"]
        assert limits == [None, 5, 5]

    def test_a_backend_that_is_not_the_usual_one_is_measured_too(
        self, measured: Figures, children: FakeChildren
    ) -> None:
        assert any("runtime.backend=torch" in task.overrides for task in children.tasks)
        assert not any("runtime.backend=openvino" in task.overrides for task in children.tasks)

    def test_a_reference_beside_the_video_is_taken_and_one_that_is_too_short_refused(
        self, tmp_path: Path, clip: Path
    ) -> None:
        video = tmp_path / "copy.mp4"
        video.write_bytes(clip.read_bytes())
        box = Boxes(np.array([[0, 0, 9, 9]], np.float32), np.array([0.99], np.float32))
        write_boxes(tmp_path / "copy.reference.json", [box] * 20)
        options = Options((video,), None, Config(), "", repeat=1, naive_frames=0)
        fake = FakeChildren()
        (one,) = run_benchmark(options, fake).videos
        assert one.reference.startswith("copy.reference.json")
        assert not any(task.kind == "reference" for task in fake.tasks)
        process = one.of(figures.PROCESS)
        assert process is not None
        assert process.accuracy is not None
        assert process.accuracy.shown.all_sizes.recall.value == 0.0
        write_boxes(tmp_path / "copy.reference.json", [box] * 19)
        with pytest.raises(UsageError, match="boxes of 19 frames, but the video has 20"):
            run_benchmark(options, fake)

    def test_without_facenet_pytorch_the_reference_is_ours_and_that_is_said(self, clip: Path) -> None:
        machine = dataclasses.replace(MACHINE, peer_problem="facenet_pytorch is not installed")
        fake = FakeChildren(machine=machine)
        everything = run_benchmark(Options((clip,), None, Config(), "", repeat=1, seconds=0.4), fake)
        assert everything.videos[0].reference.startswith("our own detector")
        assert any("no naive loop" in note for note in everything.notes)
        assert everything.videos[0].of(figures.NAIVE) is None
        assert everything.videos[0].measurements[0].runs[0].frames == 10


class TestFigures:
    def test_a_way_s_accuracy_stands_beside_its_speed(self, measured: Figures) -> None:
        process = measured.videos[0].of(figures.PROCESS)
        assert process is not None
        assert process.fps == Spread(60, 60, 60)
        assert process.accuracy is not None
        assert process.accuracy.shown.large.recall.value == 1.0
        assert process.accuracy.id_switches == 0
        assert process.accuracy.names == {"Ana": 20}
        assert [one.name for one in measured.videos[0].measurements if one.accuracy is None] == [
            figures.CEILING,
            figures.NAIVE,
            figures.PEER_DETECTION,
        ]

    def test_ratios_are_those_of_the_same_repeat(self) -> None:
        """Both were twice as slow in the second repeat, so the ratio was the same."""
        ours = Measurement("ours", (Run(10, 1, 1), Run(10, 2, 1)))
        ceiling = Measurement("ceiling", (Run(20, 1, 1), Run(20, 2, 1)))
        assert ours.times(ceiling) == Spread(0.5, 0.5, 0.5)

    def test_the_cost_of_a_further_face_is_the_slope(self) -> None:
        points = [
            GrowthPoint(faces, Measurement("process", (Run(100, 1 + 0.2 * faces, 1 + 0.1 * faces),)))
            for faces in (0, 1, 4)
        ]
        slopes = Growth("faces", tuple(points)).slopes_ms()
        assert slopes == pytest.approx((2.0, 1.0))
        assert Growth("faces", tuple(points[:1])).slopes_ms() is None

    def test_values_survive_the_way_to_a_child_and_back(self) -> None:
        task = Task("detect", Path("a b.mp4"), Path("x"), None, ("a.b=1",), Path("people"), 3, 1.5, 2)
        assert from_json(Task, to_json(task)) == task
        run = Run(1, 2.0, 3.0, 4.0, None, (StageCost("read", 1, 1, 1, 1, 1, 1, 1),), {"scan": 2}, 5.0)
        assert from_json(Run, to_json(run)) == run
        assert from_json(Machine, to_json(MACHINE)) == MACHINE


class TestOutputs:
    def test_tables_fit_into_a_hundred_columns_and_hold_every_figure(self, measured: Figures) -> None:
        console = Console(width=WIDTH, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
        print_report(measured, console)
        console.file.close()
        text = console.export_text()
        assert max(len(line.rstrip()) for line in text.splitlines()) <= WIDTH
        assert "…" not in text.replace("p50 … p99", "")
        process = next(line for line in text.splitlines() if line.startswith("process  "))
        assert re.split(r"\s{2,}", process.strip()) == [
            "process", "60.0", "60.0–60.0", "0.60", "60.0", "20.0", "300", "1.00", "2.0"
        ]  # fmt: skip
        for words in ("A Processor", "novel", "drawn faces", "height px", "videos at once", "a further face", "Ana 20"):
            assert words in text

    def test_json_holds_machine_versions_runs_and_ratios(self, measured: Figures) -> None:
        from streamer.bench.document import as_json

        document = json.loads(as_json(measured))
        assert document["schema_version"] == 1
        assert document["machine"]["cpu"] == "A Processor"
        process = document["videos"][0]["measurements"][1]
        assert process["ceiling_ratio"]["median"] == pytest.approx(0.6)
        assert process["naive_ratio"]["median"] == pytest.approx(60)
        assert len(process["runs"]) == 2
        assert process["runs"][0]["stages"][0]["p99_ms"] == 3
        assert process["accuracy"]["shown"]["large"]["recall"] == 1.0
        assert process["profile"] is not None
        assert [point["amount"] for point in document["growth"]["size"]["points"]] == [90, 180]
        assert document["truth"][0]["name"] == figures.PROCESS

    def test_the_plot_is_a_picture(self, measured: Figures, tmp_path: Path) -> None:
        draw_plot(measured, tmp_path / "plot.png")
        picture = cv2.imread(str(tmp_path / "plot.png"))
        assert picture is not None
        assert picture.shape[1] > 1000
        assert float(np.asarray(picture).std()) > 20

    def test_bars_name_what_was_missed_and_by_how_much(self, measured: Figures) -> None:
        assert missed(measured, Bars(0.6, 1.0, 1.0, 60, 5)) == []
        assert missed(measured, Bars(ceiling=0.61)) == [
            "clip.mp4: the share of the ceiling is 0.600, which is less than 0.61"
        ]
        assert "detection is 5.000" in missed(measured, Bars(detection=5.1))[0]

    def test_a_bar_on_what_was_not_measured_is_missed(self, measured: Figures) -> None:
        short = dataclasses.replace(
            measured.videos[0],
            measurements=tuple(one for one in measured.videos[0].measurements if one.name != figures.NAIVE),
        )
        (line,) = missed(dataclasses.replace(measured, videos=(short,)), Bars(naive=2))
        assert "naive loop was not measured" in line


class TestChildren:
    """A child's failure is one error of the right class, and no child outlives its measurement."""

    def child(self, program: str, timeout_seconds: float = 20.0) -> Children:
        return Children(timeout_seconds, (sys.executable, "-c", program))

    def task(self, folder: Path) -> Task:
        return Task("ceiling", folder / "no.mp4", folder)

    def test_the_answer_comes_with_the_time_of_the_whole_process(self, tmp_path: Path) -> None:
        answer = to_json(Run(5, 1.0, 1.0))
        run = self.child(f"import sys; sys.stdin.read(); print('''{answer}''')").measure(self.task(tmp_path))
        assert run.frames == 5
        assert run.command_seconds > 0

    def test_an_error_keeps_its_class_and_its_last_line(self, tmp_path: Path) -> None:
        child = self.child("import sys; sys.stderr.write('noise\\nno such thing\\n'); sys.exit(3)")
        with pytest.raises(StreamerError, match="measuring ceiling failed: no such thing") as caught:
            child.measure(self.task(tmp_path))
        assert caught.value.exit_code == 3

    def test_one_that_hangs_is_ended(self, tmp_path: Path) -> None:
        child = self.child("import threading; threading.Event().wait()", timeout_seconds=0.5)
        with pytest.raises(StreamerError, match=r"took more than 0\.5 s and was ended"):
            child.measure(self.task(tmp_path))

    def test_a_video_that_is_not_there_is_a_source_error(self, tmp_path: Path) -> None:
        task = Task("results", tmp_path / "no.mp4", tmp_path, overrides=("emotion.enabled=false",))
        with pytest.raises(StreamerError, match=r"no\.mp4") as caught:
            Children(60).measure(task)
        assert caught.value.exit_code == 3


@pytest.mark.timeout(120)
def test_speed_has_not_fallen_behind_what_it_is_compared_with(tmp_path: Path) -> None:
    """Ratios of processor time, which other work on the machine stretches alike on both sides.

    Usual on two cores of an EPYC, with coverage counted: ours 2.8 times the ceiling's, the naive loop's 88 times ours,
    facenet-pytorch's detection 3.8 times ours. Searching each frame whole, for one, would break the first bar.
    """
    video = tmp_path / "four.mp4"
    write_scene(faces_scene(4, 720, 4.0), video)
    settings = tmp_path / "settings.yaml"
    settings.write_text("detector: {min_face_pixels: 20}\n")
    session = Session(Children(90), tmp_path, settings, MACHINE, naive_frames=4)
    people = photos_of(tmp_path / "people", "Grace Hopper")

    def cpu_ms(kind: Kind, overrides: tuple[str, ...] = (), runs: int = 1) -> float:
        task = session.task(Way(kind, kind, overrides), video, tmp_path / "run", people)
        done = [session.measure(dataclasses.replace(task, most_frames=4)) for _ in range(runs)]
        assert min(run.frames for run in done) > 3
        assert min(run.peak_mib for run in done) > 50
        return min(1e3 * run.cpu_seconds / run.frames for run in done)

    # The least of several runs on the side that must be small: what else runs on the machine only ever adds.
    process, naive = cpu_ms("process", runs=3), cpu_ms("naive")
    detect, reference = cpu_ms("detect", ("tracker.detect_every_seconds=0",), runs=2), cpu_ms("reference")
    assert process < 4.5 * cpu_ms("ceiling")
    assert process < naive / 40
    assert detect < reference / 2.5


@pytest.mark.timeout(60)
def test_the_stages_of_a_profile_add_up_to_the_processor_time(clip: Path, tmp_path: Path) -> None:
    session = Session(Children(60), tmp_path, tmp_path / "settings.yaml", MACHINE)
    session.config.write_text("")
    people = photos_of(tmp_path / "people", "Grace Hopper")
    run = session.measure(session.task(Way("profile", "profile"), clip, tmp_path / "run", people))
    names = {stage.name for stage in run.stages}
    assert {"read", "detect", "pnet", "track", "label", "embed", "emotion", "draw", "video", "results"} <= names
    assert run.frames == 20
    total = sum(stage.own_cpu_ms_per_frame for stage in run.stages)
    assert 0.5 * run.cpu_ms_per_frame < total < 1.1 * run.cpu_ms_per_frame


@pytest.mark.timeout(60)
def test_detection_alone_finds_the_faces_of_every_frame(clip: Path, tmp_path: Path) -> None:
    found: list[Boxes] = []
    session = Session(Children(60), tmp_path, tmp_path / "settings.yaml", MACHINE)
    session.config.write_text("")
    task = session.task(Way("detect", "detect", ("tracker.detect_every_seconds=0",)), clip, tmp_path / "run", None)

    def read(done: Task) -> None:
        from streamer.bench.records import read_boxes

        found.extend(read_boxes(done.boxes))

    run = session.measure(task, read)
    assert run.frames == len(found) == 20
    assert all(len(boxes.above(0.9)) == 2 for boxes in found)
    assert run.faces == 40


class TestScenes:
    def test_faces_lie_apart_and_none_is_hidden(self) -> None:
        for faces in (1, 16, 100):
            truth = faces_scene(faces, 360, 1.0).truth_at(12)
            assert len(truth) == faces
            assert min(face.visible_fraction for face in truth) > 0.99

    def test_a_scene_has_room_for_so_many(self) -> None:
        with pytest.raises(UsageError, match="0 to 100 faces, not 101"):
            faces_scene(101, 360, 1.0)

    def test_a_scaled_copy_has_all_frames_or_the_beginning(self, clip: Path, tmp_path: Path) -> None:
        write_scaled(clip, 90, tmp_path / "small.mp4")
        write_scaled(clip, 90, tmp_path / "short.mp4", 0.4)
        whole, part = video_info(tmp_path / "small.mp4"), video_info(tmp_path / "short.mp4")
        assert (whole.width, whole.height, whole.frame_count) == (160, 90, 20)
        assert part.frame_count == 10

    def test_what_is_no_video_cannot_be_scaled(self, tmp_path: Path) -> None:
        (tmp_path / "text.mp4").write_text("hello")
        with pytest.raises(SourceOpenError, match=r"text\.mp4 cannot be scaled"):
            write_scaled(tmp_path / "text.mp4", 90, tmp_path / "out.mp4")


def test_the_ceiling_and_scaled_copies_keep_frames_that_come_faster_than_the_average(tmp_path: Path) -> None:
    """Ten frames, nothing for ten seconds, the rest: in ticks of the average rate many frames would be one."""
    uneven = tmp_path / "uneven.mp4"
    with av.open(str(uneven), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12288)
        for place in range(21):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = 512 * place + (122_880 if place > 9 else 0), Fraction(1, 12288)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    run = ceiling.measure(uneven, tmp_path / "out.mp4", ceiling.Quality("ultrafast", 23))
    write_scaled(uneven, 24, tmp_path / "small.mp4")
    assert run.frames == 21
    assert run.fps > 0
    assert video_info(tmp_path / "out.mp4").frame_count == video_info(tmp_path / "small.mp4").frame_count == 21


@pytest.mark.timeout(10)
def test_an_encoder_that_fails_ends_the_ceiling_and_its_error_is_told(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(av.FFmpegError):
        ceiling.measure(clip, tmp_path / "absent" / "out.mp4", ceiling.Quality("ultrafast", 23))


def test_the_processor_has_a_name_and_memory_a_peak(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert cpu_model(tmp_path / "cpuinfo") == "Some CPU @ 2 GHz"
    assert cpu_model(tmp_path / "absent")
    before = peak_memory_mib()
    block = bytearray(200 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_memory_mib() >= before
    assert peak_memory_mib() > 200


class TestCommand:
    """What is wrong is one line and an exit code, before anything is measured."""

    @pytest.fixture(autouse=True)
    def _inside(self, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("clip.mp4").write_bytes(clip.read_bytes())
        Path("taken.json").touch()

    @pytest.mark.parametrize(
        ("words", "code", "told"),
        [
            (["none.mp4"], 3, "none.mp4"),
            (["*.mkv"], 3, "no file matches"),
            (["clip.mp4", "--faces", "1,x"], 2, "--faces 1,x: give whole numbers from 0 to 100"),
            (["clip.mp4", "--size", "8"], 2, "--size 8: give whole numbers from 90 to 4320"),
            (["clip.mp4", "--streams", "0"], 2, "--streams 0"),
            (["clip.mp4", "--faces", ",".join(map(str, range(17)))], 2, "17 are too many"),
            (["clip.mp4", "--repeat", "0"], 2, "--repeat"),
            (["clip.mp4", "--least-recall", "0.9"], 2, "only looked at with --check"),
            (["clip.mp4", "--people", "nobody"], 2, "--people nobody is not a folder"),
            (["clip.mp4", "--set", "source.end_seconds=1"], 2, "end_seconds cannot be set"),
            (["clip.mp4", "--json", "taken.json"], 5, "taken.json: it exists already"),
            (["clip.mp4", "--plot", "plot.jpg"], 5, "must end in .png"),
        ],
    )
    def test_a_mistake_is_told_in_one_line(
        self, words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", *words]) == code
        errors = capsys.readouterr().err
        assert told in errors
        assert errors.count("\n") == 1

    def test_a_plot_without_matplotlib_is_told_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("streamer.bench.plot.importlib.util.find_spec", lambda _name: None)
        assert main(["bench", "clip.mp4", "--plot", "plot.png"]) == 2
        assert 'pip install "streamer[demo]"' in capsys.readouterr().err

    def test_outputs_are_written_and_replaced_only_when_asked(
        self, measured: Figures, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("streamer.bench.program.run_benchmark", lambda options: measured)
        words = ["bench", "clip.mp4", "--json", "taken.json", "--plot", "plot.png", "--check", "--overwrite"]
        assert main(words) == 0
        assert json.loads(Path("taken.json").read_text())["videos"][0]["name"] == "clip.mp4"
        assert Path("plot.png").stat().st_size > 10_000
        assert "of ceiling" in capsys.readouterr().out

    def test_a_missed_bar_exits_with_1_and_says_which(
        self, measured: Figures, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("streamer.bench.program.run_benchmark", lambda options: measured)
        assert main(["bench", "clip.mp4", "--check", "--least-ceiling", "0.7", "--json", "out.json"]) == 1
        assert "missed: clip.mp4: the share of the ceiling is 0.600" in capsys.readouterr().err
        assert Path("out.json").exists()

    @pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_it_ends_its_children_and_removes_its_files(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with subprocess.Popen(
            [sys.executable, "-m", "streamer", "bench", "clip.mp4"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, "TMPDIR": str(scratch)},
        ) as process:
            assert process.stderr is not None
            assert "looking at the machine" in process.stderr.readline()  # its child runs now
            process.send_signal(number)
            rest = process.stderr.read()  # ends when neither the command nor a child holds it open
        assert process.returncode == 130
        assert "Traceback" not in rest
        assert list(scratch.glob("streamer-*")) == []  # torch leaves a folder of its own
