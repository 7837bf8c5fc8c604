"""What `streamer live --list` can say of the cameras of a Linux machine, asked by the real V4L2 calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.sources.camera import CameraSource
from streamer.sources.camera_list import ListedCamera, camera_lines
from streamer.sources.camera_mode import CameraMode
from streamer.sources.camera_v4l2 import OfferedMode, with_format
from tests.fake_camera import FakeCameras, FakeMode

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the fake camera answers V4L2 calls"),
    pytest.mark.timeout(30),
]
MODES = [
    FakeMode("YUYV", 640, 480, 15),
    FakeMode("YUYV", 640, 480, 30),
    FakeMode("YUYV", 320, 240, 30),
    FakeMode("MJPG", 1280, 720, 30),
]


def listed(cameras: FakeCameras) -> list[str]:
    """Return the lines that a program which sees the cameras writes of them; this one does not see them."""
    script = (
        "import json\n"
        "from streamer.sources.camera_list import camera_lines, list_cameras\n"
        "print(json.dumps(camera_lines(list_cameras())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **cameras.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stderr == ""
    lines: list[str] = json.loads(done.stdout)
    return lines


def test_every_camera_is_listed_with_its_modes(cameras: FakeCameras) -> None:
    cameras.add(0, MODES, name="Logi C920")
    cameras.add(1, MODES, traits=["metadata"])  # as UVC cameras have beside their own
    cameras.add(12, [FakeMode("GREY", 64, 48, 60)], name="Thermal")
    assert listed(cameras) == [
        "/dev/video0  Logi C920",
        "    YUYV  640 × 480 at 30, 15 fps",
        "    YUYV  320 × 240 at 30 fps",
        "    MJPG  1280 × 720 at 30 fps",
        "/dev/video12  Thermal",
        "    GREY  64 × 48 at 60 fps",
    ]


def test_a_driver_that_lists_nothing_tells_its_current_mode(cameras: FakeCameras) -> None:
    cameras.add(0, MODES, traits=["unlisted"])
    assert listed(cameras) == ["/dev/video0  Fake camera", "    YUYV  640 × 480 at 15 fps"]


def test_cameras_that_cannot_be_used_say_so(cameras: FakeCameras) -> None:
    cameras.add(0, name="Shut").tell("forbidden")
    cameras.add(1, name="Taken").tell("busy")
    cameras.add(2, name="Gone").tell("unplug")
    assert listed(cameras) == [
        "/dev/video0 (there is no permission to use the camera)",
        "/dev/video1  Taken (another program uses the camera)",
        "    YUYV  640 × 480 at 30 fps",
    ]


def test_a_camera_that_is_being_read_is_listed_and_not_disturbed(cameras: FakeCameras) -> None:
    cameras.add()
    source = CameraSource(0)
    try:
        assert listed(cameras)[0] == "/dev/video0  Fake camera (another program uses the camera)"
        assert source.read() is not None
        assert source.read() is not None
        assert source.status.reconnects == 0
    finally:
        source.close()


def test_a_machine_without_cameras_lists_none(cameras: FakeCameras) -> None:
    assert listed(cameras) == []


def test_names_cannot_write_to_the_terminal(cameras: FakeCameras) -> None:
    cameras.add(0, name="Bad\x1b[2Jcamera")
    assert listed(cameras)[0] == "/dev/video0  Bad\ufffd[2Jcamera"


def test_a_range_of_sizes_is_written_as_one() -> None:
    mode = OfferedMode("RGGB", (3280, 2464), (21.0,), smallest=(32, 32))
    camera = ListedCamera("/dev/video0", "Sensor", (mode,))
    assert camera_lines([camera]) == ["/dev/video0  Sensor", "    RGGB  32 × 32 to 3280 × 2464 at 21 fps"]


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (CameraMode(), None),
        (CameraMode((1280, 720)), "MJPG"),
        (CameraMode((1280, 720), fps=10), None),
        (CameraMode((1280, 720), fps=11), "MJPG"),
        (CameraMode((1280, 720), pixel_format="YUYV"), "YUYV"),
        (CameraMode((800, 600)), None),
        (CameraMode((1920, 1080)), "MJPG"),
    ],
    ids=str,
)
def test_compressed_pictures_are_asked_for_only_where_they_come_faster(asked: CameraMode, chosen: str | None) -> None:
    """What a webcam on USB 2 offers."""
    offered = [
        OfferedMode("YUYV", (640, 480), (30.0, 15.0)),
        OfferedMode("YUYV", (1280, 720), (10.0, 5.0)),
        OfferedMode("MJPG", (640, 480), (30.0,)),
        OfferedMode("MJPG", (1280, 720), (30.0,)),
        OfferedMode("MJPG", (1920, 1080), (30.0,)),
    ]
    assert with_format(asked, offered).pixel_format == chosen
