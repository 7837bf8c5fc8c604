"""Everything the README says to type works as it stands there."""

from __future__ import annotations

import re
import shlex
import signal
import tomllib
from pathlib import Path

import cv2
import pytest

import streamer
from streamer.cli import main
from streamer.pictures import UInt8
from streamer.sources.portraits import packaged_portraits
from streamer.types import EMOTIONS
from tests.drawn import two_people_scene, write_video
from tests.emotion_pictures import save
from tests.fake_camera import FakeCameras, moving_face
from tests.live_program import LiveProgram, screen
from tests.test_emotion_training import drawn

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


SETUP = [command for command in commands() if command.startswith("pip")]
OWN = [command for command in commands() if command.startswith("streamer") and " live " not in command]
LIVE = [command for command in commands() if command.startswith("streamer live ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's examples take for granted: videos, photos of Ana and Ben, and pictures of moods."""
    path = tmp_path_factory.mktemp("readme")
    for name in ("video", "a", "b"):
        write_video(path / f"{name}.mp4", two_people_scene(1.6))
    for name, portrait in zip(("Ana", "Ben"), packaged_portraits(), strict=True):
        (path / "photos" / name).mkdir(parents=True)
        assert cv2.imwrite(str(path / "photos" / name / "photo.jpg"), portrait.picture)
        darker = cv2.convertScaleAbs(cv2.GaussianBlur(portrait.picture, (0, 0), 1.5), alpha=0.7)
        assert cv2.imwrite(str(path / "photos" / name / "darker.jpg"), darker)
    for number, (picture, target) in enumerate(zip(*drawn(20, seed=1), strict=True)):
        save(path / "moods" / EMOTIONS[int(target.argmax())] / f"{number:02}.png", cv2.merge([picture] * 3))
    ana, ben = "Ana/photo.jpg", "Ben/photo.jpg"
    rows = [f"{ana},{ana},1", f"{ben},{ben},1", f"{ana},{ben},0", f"{ben},{ana},0"]
    (path / "pairs.csv").write_text("\n".join(["a,b,same", *rows]) + "\n", encoding="utf-8")
    (path / "labels.csv").write_text(f"image,name\n{ana},Ana\n{ben},Ben\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))


def test_exactly_two_commands_set_everything_up_and_ci_runs_the_second() -> None:
    assert len(SETUP) == 2
    demo, tests = SETUP
    assert demo.endswith("&& streamer demo")
    assert tests.endswith("&& python -m pytest")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in script if line.startswith("pip install")] == [demo, tests]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert all(extra in extras for command in SETUP for extra in re.findall(r"\[(\w+)\]", command))


def test_the_demo_of_the_first_command_runs() -> None:
    assert main(["demo", "--seconds", "0.6"]) == 0


@pytest.mark.timeout(30)
@pytest.mark.parametrize("command", OWN)
def test_every_command_works_as_it_is_written(command: str) -> None:
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", LIVE)
def test_every_live_command_watches_a_camera_until_it_is_ended(
    command: str, folder: Path, hidden_cameras: FakeCameras, astronaut: UInt8
) -> None:
    hidden_cameras.add(0).show(moving_face(astronaut[:300, 90:390], 640, 480, count=10))
    with screen() as display:
        program = LiveProgram(folder, {"DISPLAY": display, **hidden_cameras.environment}, *shlex.split(command)[2:])
        try:
            if "--list" not in command:
                program.said("watching Fake camera")
                assert program.end(lambda: program.process.send_signal(signal.SIGINT)) == 130, program.log
            assert program.process.wait(10) in (0, 130), program.log
            assert "Fake camera" in program.log
        finally:
            program.kill()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("code", blocks("python"))
def test_every_piece_of_python_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    assert "happiness" in printed or "faces in all frames together" in printed


def test_pictures_and_files_that_are_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists()


def test_the_example_in_the_package_is_the_readme_s() -> None:
    assert streamer.__doc__ is not None
    indented = "".join(f"    {line}\n" if line else "\n" for line in blocks("python")[0].splitlines())
    assert indented in streamer.__doc__


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in streamer.__all__:
        value = getattr(streamer, name)
        assert isinstance(value, tuple) or value.__doc__
    assert set(streamer.__all__) <= set(dir(streamer))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = streamer.nonsense
