"""`streamer live` from end to end: a real window, a camera by the real V4L2 calls, keys by xdotool, real faults."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamer.cli import main
from streamer.pictures import UInt8
from streamer.sources.portraits import packaged_portraits
from streamer.sources.synthetic import SyntheticSource
from tests.drawn import two_people_scene, write_video
from tests.fake_camera import FakeCamera, FakeCameras, FakeMode, moving_face
from tests.live_program import LiveProgram, names_in, results_of, screen, seen_so_far, until, window_manager

pytestmark = pytest.mark.timeout(90)

Start = Callable[..., LiveProgram]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as display:
        yield display


@pytest.fixture(scope="module")
def pictures(astronaut: UInt8) -> list[UInt8]:
    return moving_face(astronaut[:300, 90:390], 640, 480)


@pytest.fixture
def camera(hidden_cameras: FakeCameras, pictures: list[UInt8]) -> FakeCamera:
    camera = hidden_cameras.add(0)
    camera.show(pictures)
    return camera


@pytest.fixture
def start(display: str, hidden_cameras: FakeCameras, tmp_path: Path) -> Iterator[Start]:
    """Start `streamer live` with more arguments; at the end of the test all of them are gone."""
    started: list[LiveProgram] = []

    def begin(*arguments: str, **environment: str) -> LiveProgram:
        everything = {"DISPLAY": display, **hidden_cameras.environment, **environment}
        everything = {name: value for name, value in everything.items() if value}
        started.append(LiveProgram(tmp_path, everything, *arguments))
        return started[-1]

    yield begin
    for program in started:
        program.kill()


def watching(start: Start, *arguments: str) -> LiveProgram:
    program = start(*arguments)
    program.window()
    program.said("watching Fake camera")
    return program


def named(path: Path, name: str | None) -> None:
    """Wait until the last face in a results file has a name, or none."""
    until(lambda: names_in(seen_so_far(path))[-1:] == [name], 15, f"{name} in {path}")


def a_face_is_seen(path: Path) -> None:
    until(lambda: len(names_in(seen_so_far(path))) >= 3, 15, f"a face in {path}")


def test_a_camera_is_shown_and_its_faces_are_in_the_results(camera: FakeCamera, start: Start, tmp_path: Path) -> None:
    results = tmp_path / "seen.jsonl"
    program = watching(start, "--results", "seen.jsonl", "--record", "seen.mp4")
    program.press("d", "h", "h", "m", "b", "plus", "minus", "f", "f", "R", "s")
    program.said("recording recordings/.*-clean.mp4")
    program.said("saved recordings/.*png")
    until(lambda: len(seen_so_far(results)) > 40, 15, "forty frames")
    assert program.quit() == 0, program.log
    lines = results_of(results)
    frames = [line for line in lines if line["type"] == "frame"]
    assert sum(bool(line["faces"]) for line in frames) > 0.5 * len(frames)
    assert lines[-1]["type"] == "summary"
    stages = lines[-1]["stages"]
    assert isinstance(stages, dict)
    # A sanity bound: machines that run tests are busy. The figures are measured apart.
    assert stages["shown"]["p95"] < 0.5
    for path in [tmp_path / "seen.mp4", *(tmp_path / "recordings").glob("*-clean.mp4")]:
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 10, path
    assert "Traceback" not in program.log


def test_a_face_gets_a_name_by_keys_keeps_it_over_a_restart_and_loses_it_where_it_is_wrong(
    camera: FakeCamera, start: Start, tmp_path: Path
) -> None:
    program = watching(start, "--results", "first.jsonl")
    a_face_is_seen(tmp_path / "first.jsonl")
    program.press("e", "1")
    program.type("Mae")
    program.press("Return")
    program.said("Mae is known now")
    named(tmp_path / "first.jsonl", "Mae")
    assert program.quit() == 0, program.log

    again = watching(start, "--results", "second.jsonl")
    named(tmp_path / "second.jsonl", "Mae")
    again.press("n", "1")
    named(tmp_path / "second.jsonl", None)
    assert again.quit() == 0, again.log
    kinds = [line["kind"] for line in results_of(tmp_path / "second.jsonl") if line["type"] == "event"]
    assert "identified" in kinds


@pytest.mark.parametrize("fault", ["unplug", "stall"])
def test_a_camera_that_goes_and_comes_back_is_watched_on_by_the_same_process(
    fault: str, camera: FakeCamera, start: Start, tmp_path: Path
) -> None:
    program = watching(start, "--results", "seen.jsonl", "--set", "source.stall_seconds=1")
    camera.tell("unplug" if fault == "unplug" else "stall")
    program.said("reconnecting: ", seconds=8)
    camera.tell("ok")
    program.said("the picture is back", seconds=8)
    assert program.process.poll() is None
    assert program.quit() == 0, program.log
    kinds = [line["kind"] for line in results_of(tmp_path / "seen.jsonl") if line["type"] == "event"]
    assert kinds.count("reconnecting") == kinds.count("reconnected") >= 1


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (lambda program: program.press("q"), 0),
        (lambda program: program.press("Escape"), 0),
        (lambda program: program.close_window(), 0),
        (lambda program: program.process.send_signal(signal.SIGINT), 130),
        (lambda program: program.process.send_signal(signal.SIGTERM), 130),
    ],
    ids=["q", "escape", "closed", "SIGINT", "SIGTERM"],
)
def test_however_it_ends_files_are_whole_and_nothing_is_left(
    how: Callable[[LiveProgram], object], code: int, camera: FakeCamera, start: Start, tmp_path: Path
) -> None:
    program = watching(start, "--results", "seen.jsonl", "--record", "seen.mp4")
    program.press("d")
    assert program.end(lambda: how(program)) == code, program.log
    assert results_of(tmp_path / "seen.jsonl")[-1]["type"] == "summary"
    with av.open(str(tmp_path / "seen.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 1
    assert list(tmp_path.glob("*.part.*")) == []
    # The camera is free: it can be opened at once.
    again = watching(start)
    assert again.quit() == 0, again.log


def test_a_window_that_its_window_manager_closes_ends_the_run(
    camera: FakeCamera, hidden_cameras: FakeCameras, tmp_path: Path
) -> None:
    with screen() as display, window_manager(display):
        environment = {"DISPLAY": display, **hidden_cameras.environment}
        program = LiveProgram(tmp_path, environment, "--results", "seen.jsonl")
        try:
            program.window()
            program.said("watching Fake camera")
            assert program.end(program.close_by_window_manager) == 0, program.log
        finally:
            program.kill()
    assert results_of(tmp_path / "seen.jsonl")[-1]["type"] == "summary"
    assert "error" not in program.log


def test_closing_the_window_while_all_is_still_loading_ends_it(camera: FakeCamera, start: Start) -> None:
    program = start()
    program.window()

    def is_over() -> bool:
        # It is asked again and again: the window may be on the screen a moment before it listens.
        if program.process.poll() is None:
            program.try_key("q")
        return program.process.poll() is not None

    until(is_over, 10, "its end")
    assert program.process.returncode == 0, program.log
    assert "Traceback" not in program.log


def test_without_a_display_it_goes_on_if_something_else_is_asked_for(
    camera: FakeCamera, start: Start, tmp_path: Path
) -> None:
    program = start("--results", "seen.jsonl", DISPLAY="")
    program.said(r"there is no display \(.*\); going on without a window")
    program.said("watching Fake camera")
    assert program.end(lambda: program.process.send_signal(signal.SIGINT)) == 130, program.log
    assert results_of(tmp_path / "seen.jsonl")[-1]["type"] == "summary"


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        ([], {"DISPLAY": ""}, 2, "server); to do without a window, use --no-window with --record"),
        (["--no-window"], {}, 2, "--no-window shows nothing"),
        (["--camera", "7"], {}, 3, "streamer live --list"),
        (["--camera", "cameras"], {}, 3, "cameras"),
        (["--record", "x.avi"], {}, 5, "x.avi"),
        (["--size", "big"], {}, 2, "camera_size"),
        (["--camera", "gopher://x"], {}, 2, "gopher"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_in_one_line(
    arguments: list[str], environment: dict[str, str], code: int, message: str, camera: FakeCamera, start: Start
) -> None:
    program = start(*arguments, **environment)
    assert program.process.wait(20) == code, program.log
    lines = [line for line in program.log.splitlines() if line.startswith("streamer: error") or "error" in line]
    assert len(lines) == 1, program.log
    assert message in lines[0]
    assert "Traceback" not in program.log


def test_cameras_are_listed_with_their_modes(camera: FakeCamera, start: Start) -> None:
    program = start("--list")
    assert program.process.wait(20) == 0
    assert "Fake camera" in program.log
    assert "640 × 480" in program.log


def test_the_same_scene_gives_the_same_names_live_and_from_a_file(
    hidden_cameras: FakeCameras, start: Start, tmp_path: Path
) -> None:
    scene = two_people_scene(2.0)
    source, pictures = SyntheticSource(scene), []
    while (frame := source.read()) is not None:
        pictures.append(np.array(frame.picture.bgr()))
    hidden_cameras.add(0, [FakeMode("YUYV", 640, 360, 25)]).show(pictures)
    video = write_video(tmp_path / "scene.mp4", scene, with_sound=False)
    known, _ = packaged_portraits()
    (tmp_path / "photos" / "Eileen").mkdir(parents=True)
    assert cv2.imwrite(str(tmp_path / "photos" / "Eileen" / "photo.png"), known.picture)

    program = watching(start, "--people", "photos", "--results", "live.jsonl")
    until(lambda: len(seen_so_far(tmp_path / "live.jsonl")) > 100, 20, "a hundred frames")
    assert program.quit() == 0, program.log
    people, file = str(tmp_path / "photos"), str(tmp_path / "file.jsonl")
    assert main(["process", str(video), "--people", people, "--no-video", "--results", file]) == 0

    for results in ("live.jsonl", "file.jsonl"):
        by_side: dict[str, set[str | None]] = {"left": set(), "right": set()}
        lines = results_of(tmp_path / results)
        for line in lines:
            faces = line.get("faces")
            for face in faces if isinstance(faces, list) else []:
                if face["identity"] is not None:
                    by_side["left" if face["box"][0] < 320 else "right"].add(face["identity"]["name"])
        # Live, the first frames may not know yet what later ones do.
        assert by_side["right"] == {None}, results
        assert by_side["left"] - {None} == {"Eileen"}, results
        tracks = [line["name"] for line in lines if line["type"] == "track"]
        assert set(tracks) == {"Eileen", None}, results
