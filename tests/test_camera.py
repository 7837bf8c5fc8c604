"""The camera source: always the newest picture, and the camera again whatever happens to it."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from streamer.build import open_camera
from streamer.config import load_config
from streamer.errors import SourceLostError, SourceOpenError, UsageError
from streamer.pictures import UInt8
from streamer.sources.camera import CameraSource
from streamer.sources.camera_capture import Capture, ParentWatch
from streamer.sources.camera_clock import CaptureClock
from streamer.sources.camera_link import Kind, Reason, Sender, records_in
from streamer.sources.camera_mode import CameraMode, camera_address
from streamer.sources.camera_ring import RingWriter, SharedMemory
from streamer.stages import LiveSource
from streamer.types import Frame, SourceState
from tests.fake_camera import FakeCamera, FakeCameras, FakeMode, number_of

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the fake camera answers V4L2 calls"),
    pytest.mark.timeout(30),
]

SMALL = FakeMode("YUYV", 640, 480, 30)
LARGE = FakeMode("MJPG", 1280, 720, 30)


@pytest.fixture
def camera(cameras: FakeCameras) -> FakeCamera:
    return cameras.add(modes=[SMALL], traits=["numbered"])


@pytest.fixture
def source(camera: FakeCamera) -> Iterator[CameraSource]:
    opened = CameraSource(0, stall_seconds=1.0)
    yield opened
    opened.close()


def read(source: CameraSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def pause(seconds: float) -> None:
    """Let time pass for the camera."""
    threading.Event().wait(seconds)


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition and return how long it took; fail after so long."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not come about in time"
        pause(0.005)
    return time.monotonic() - start


def capture_processes() -> list[psutil.Process]:
    """Return the capture processes of this one that live."""
    children = psutil.Process().children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def capture_process() -> psutil.Process:
    (process,) = capture_processes()
    return process


class Reader:
    """Reads a source in a thread of its own, as the runner does."""

    def __init__(self, source: CameraSource) -> None:
        self.source, self.frames, self.has_ended = source, list[Frame](), False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while (frame := self.source.read()) is not None:
            self.frames.append(frame)
        self.has_ended = True

    def is_in(self, state: SourceState) -> bool:
        return self.source.status.state is state

    def join(self) -> None:
        self._thread.join(5)
        assert not self._thread.is_alive()


@pytest.fixture
def reader(source: CameraSource) -> Iterator[Reader]:
    reading = Reader(source)
    yield reading
    source.close()
    reading.join()


def running_script(script: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---- the contract of live sources


class TestLiveSource:
    def test_is_one_and_says_what_is_to_come(self, source: CameraSource) -> None:
        assert isinstance(source, LiveSource)
        info = source.info
        assert (info.width, info.height, info.declared_fps) == (640, 480, 30)
        assert (info.is_live, info.frame_count) == (True, None)
        assert info.name == "Fake camera (/dev/video0)"
        assert source.status.state is SourceState.RUNNING

    def test_its_times_go_forward_in_whole_ticks(self, source: CameraSource) -> None:
        frames = [read(source) for _ in range(10)]
        assert frames[0].index >= 0
        assert all(b.index > a.index and b.pts_seconds > a.pts_seconds for a, b in pairwise(frames))
        for frame in frames:
            assert frame.pts_seconds == float(round(frame.pts_seconds / source.info.time_base) * source.info.time_base)
            assert frame.source_id == source.info.source_id

    def test_pictures_cannot_be_written_to(self, source: CameraSource) -> None:
        picture = read(source).picture
        for plane in (picture.bgr(), picture.luma()):
            with pytest.raises(ValueError, match="read-only"):
                plane[0, 0] = 1

    def test_frames_outlive_the_source(self, source: CameraSource) -> None:
        frames = [read(source) for _ in range(3)]
        numbers = [number_of(frame) for frame in frames]
        source.close()
        gc.collect()
        assert [number_of(frame) for frame in frames] == numbers

    def test_gives_nothing_once_closed(self, source: CameraSource) -> None:
        source.close()
        source.close()
        assert source.read() is None
        assert source.status.state is SourceState.ENDED

    def test_close_wakes_a_reader_that_waits(self, camera: FakeCamera, reader: Reader) -> None:
        until(lambda: len(reader.frames) > 0, 2)
        camera.tell("stall")
        pause(0.1)
        start = time.monotonic()
        reader.source.close()
        reader.join()
        assert time.monotonic() - start < 2
        assert reader.has_ended
        assert capture_processes() == []

    def test_leaves_nothing_behind(self, source: CameraSource) -> None:
        """The camera can be used by others, and no process, thread or descriptor is left."""
        source.close()
        before = psutil.Process().num_fds(), threading.active_count()
        for _ in range(3):
            again = CameraSource(0)
            read(again)
            again.close()
        assert capture_processes() == []
        assert (psutil.Process().num_fds(), threading.active_count()) == before


# ---- pictures and their times


def test_a_frame_carries_the_drivers_time(source: CameraSource) -> None:
    """The fake camera captures picture n at n / 30 s of the monotonic clock."""
    for frame in [read(source) for _ in range(5)]:
        number = round(frame.captured_at * 30)
        assert frame.captured_at == pytest.approx(number / 30, abs=1e-4)
        assert number_of(frame) == number % 2**24


def test_without_a_time_stamp_it_is_the_moment_of_reading(cameras: FakeCameras) -> None:
    cameras.add(traits=["numbered", "unstamped"])
    source = CameraSource(0)
    try:
        for frame in [read(source) for _ in range(5)]:
            assert time.monotonic() - 0.5 < frame.captured_at <= time.monotonic()
    finally:
        source.close()


def test_a_slow_reader_gets_the_newest_picture_and_the_others_are_counted(source: CameraSource) -> None:
    first = read(source)
    dropped = source.status.dropped
    for _ in range(3):
        pause(0.4)
        asked_at = time.monotonic()
        frame = read(source)
        assert asked_at - frame.captured_at < 0.15
        passed_over = number_of(frame) - number_of(first) - 1
        assert passed_over >= 8
        assert frame.index - first.index - 1 == passed_over
        assert source.status.dropped - dropped == passed_over
        first, dropped = frame, source.status.dropped


def test_of_a_few_pictures_that_wait_the_newest_is_taken(source: CameraSource) -> None:
    """All of them still lie in the ring."""
    first = read(source)
    for _ in range(6):
        pause(0.1)
        frame = read(source)
        assert frame.index - first.index == number_of(frame) - number_of(first)
    assert frame.index - first.index >= 12
    assert source.status.dropped == frame.index - 6


def test_a_reader_that_sleeps_long_is_not_told_old_news(source: CameraSource) -> None:
    """More pictures come than the wire holds records of, and than the ring holds pictures."""
    first = read(source)
    pause(4)
    frame = read(source)
    assert time.monotonic() - frame.captured_at < 0.2
    assert frame.index - first.index == pytest.approx(120, abs=10)
    assert source.status.reconnects == 0


def test_the_first_read_after_a_while_gives_the_newest_picture_too(source: CameraSource) -> None:
    pause(0.5)
    frame = read(source)
    assert time.monotonic() - frame.captured_at < 0.15
    assert source.status.dropped == frame.index > 8


@pytest.mark.parametrize(
    ("mode", "tolerance"),
    [
        (FakeMode("YUYV", 640, 480, 30), 4),
        (FakeMode("YUYV", 640, 479, 30), 4),
        (FakeMode("MJPG", 641, 361, 30), 8),
        (FakeMode("BGR3", 321, 241, 30), 4),
        (FakeMode("BGR3", 322, 242, 30), 4),
        (FakeMode("GREY", 320, 240, 30), 4),
    ],
    ids=lambda value: f"{value.pixel_format}-{value.width}x{value.height}" if isinstance(value, FakeMode) else "",
)
def test_pictures_come_as_the_camera_sees_them(
    cameras: FakeCameras, astronaut: UInt8, mode: FakeMode, tolerance: float
) -> None:
    cameras.add(modes=[mode]).show([astronaut])
    source = CameraSource(0)
    try:
        bgr = read(source).picture.bgr()
        assert bgr.shape == (mode.height, mode.width, 3)
        assert source.status.detail == f"{mode.width} × {mode.height}, 30 fps, {mode.pixel_format}"
    finally:
        source.close()
    import cv2

    shown = cv2.resize(astronaut, (mode.width, mode.height), interpolation=cv2.INTER_AREA)
    if mode.pixel_format == "GREY":
        shown = cv2.cvtColor(cv2.cvtColor(shown, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    # Colour is halved in both directions, so what is compared is smooth.
    difference = cv2.blur(bgr, (9, 9)).astype(np.int16) - cv2.blur(shown, (9, 9)).astype(np.int16)
    assert np.abs(difference).mean() < tolerance


def test_a_spoilt_jpeg_does_not_end_the_stream(cameras: FakeCameras) -> None:
    """A cheap cable cuts one now and then; opening the camera anew would cost half a second each time."""
    camera = cameras.add(modes=[FakeMode("MJPG", 320, 240, 30)])
    camera.show([np.full((240, 320, 3), 90, np.uint8)])
    frames = camera.folder / "MJPG-320x240.frames"
    spoilt = b"not a JPEG at all"
    frames.write_bytes(frames.read_bytes() + len(spoilt).to_bytes(4, "little") + spoilt)
    source = CameraSource(0)
    try:
        taken = [read(source) for _ in range(8)]
        assert all(abs(int(frame.picture.bgr()[120, 160, 0]) - 90) < 8 for frame in taken)
        # Every other picture is spoilt.
        assert taken[-1].pts_seconds - taken[0].pts_seconds == pytest.approx(14 / 30, abs=0.1)
        assert source.status.reconnects == 0
    finally:
        source.close()


# ---- what is asked for and what is granted


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (CameraMode(), "640 × 480, 30 fps, YUYV"),
        (CameraMode(fps=15), "640 × 480, 15 fps, YUYV"),
        (CameraMode((1280, 720)), "1280 × 720, 30 fps, MJPG"),
        (CameraMode((1280, 720), fps=10), "1280 × 720, 10 fps, YUYV"),
        (CameraMode((1280, 720), pixel_format="YUYV"), "1280 × 720, 10 fps, YUYV"),
        (CameraMode((1000, 700)), "1280 × 720, 10 fps, YUYV (asked for 1000 × 700)"),
        (CameraMode((640, 480), 60, "H264"), "640 × 480, 30 fps, YUYV (asked for 640 × 480, 60 fps, H264)"),
    ],
    ids=str,
)
def test_what_was_granted_is_told(cameras: FakeCameras, asked: CameraMode, granted: str) -> None:
    """Without a format asked for, MJPG is chosen where large pictures come faster so."""
    camera = cameras.add(
        modes=[SMALL, FakeMode("YUYV", 640, 480, 15), FakeMode("YUYV", 1280, 720, 10), LARGE], name="Logi C920"
    )
    camera.show([np.zeros((90, 160, 3), np.uint8)])
    source = CameraSource("/dev/video0", asked)
    try:
        read(source)
        assert source.status.detail == granted
        assert source.info.name == "Logi C920 (/dev/video0)"
    finally:
        source.close()


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"size": (0, 480)}, "size"),
        ({"size": (640, 99999)}, "size"),
        ({"fps": 0.0}, "rate"),
        ({"fps": float("nan")}, "rate"),
        ({"pixel_format": "MJPEG"}, "four characters"),
        ({"pixel_format": "--x"}, "four characters"),
    ],
)
def test_a_mode_that_makes_no_sense_is_refused(values: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        CameraMode(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("camera", [-1, "", "-1", "--help", "rtsp://camera/live", "/dev/video\n0"])
def test_what_is_no_camera_is_a_mistake_of_use(camera: int | str) -> None:
    with pytest.raises(UsageError, match="is no camera; give a number"):
        CameraSource(camera)


@pytest.mark.parametrize(
    ("key", "value", "granted"),
    [
        ("camera_size", "320x240", "320 × 240, 30 fps, YUYV"),
        ("camera_fps", "15", "640 × 480, 15 fps, YUYV"),
        ("camera_pixel_format", "BGR3", "640 × 480, 30 fps, BGR3"),
    ],
)
def test_each_key_of_the_configuration_has_its_effect(cameras: FakeCameras, key: str, value: str, granted: str) -> None:
    modes = [SMALL, FakeMode("YUYV", 640, 480, 15), FakeMode("YUYV", 320, 240, 30)]
    # OpenCV takes BGR3 by itself where it is the first of two.
    cameras.add(modes=[*modes, FakeMode("BGR3", 640, 480, 30)] if value == "BGR3" else modes)
    source = open_camera(0, load_config(None, [f"source.{key}={value}"]))
    try:
        assert source.status.detail == granted
    finally:
        source.close()


def test_the_configured_time_outs_are_kept(camera: FakeCamera) -> None:
    source = open_camera(0, load_config(None, ["source.stall_seconds=0.3"]))
    reader = Reader(source)
    try:
        camera.tell("stall")
        assert until(lambda: reader.is_in(SourceState.RECONNECTING), 3) < 1.5
    finally:
        source.close()
        reader.join()
    with pytest.raises(SourceOpenError, match=r"no picture in 0\.5 s"):
        open_camera(0, load_config(None, ["source.camera_open_seconds=0.5"]))


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("camera_size=640", "a size such as 1280x720 or null"),
        ("camera_size=0x480x1", "a size such as 1280x720 or null"),
        ("camera_size=0x0", "a size such as 1280x720 or null"),
        ("camera_pixel_format=MJPEG", "four characters such as MJPG or null"),
        ("camera_fps=0", "a number, above 0 and at most 1000, or null"),
        ("stall_seconds=0", "a number, at least 0.2 and at most 60"),
    ],
)
def test_a_wrong_setting_is_told_with_what_is_allowed(setting: str, allowed: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_config(None, [f"source.{setting}"])
    assert str(refused.value).endswith(f"it must be {allowed}")


def test_numbers_and_paths_name_cameras() -> None:
    assert camera_address(2) == camera_address("2") == camera_address("/dev/video2") == "/dev/video2"
    assert camera_address(Path("/dev/v4l/by-id/usb-x")) == "/dev/v4l/by-id/usb-x"


# ---- cameras that cannot be opened


def why_not(camera: int | str = 0, **options: float) -> str:
    """Return the one line that says why a camera cannot be opened, and see that nothing is left of it."""
    before = psutil.Process().num_fds()
    with pytest.raises(SourceOpenError) as refused:
        CameraSource(camera, **options)  # type: ignore[arg-type]
    assert refused.value.exit_code == 3
    assert "\n" not in str(refused.value)
    assert capture_processes() == []
    assert psutil.Process().num_fds() == before
    return str(refused.value)


class TestACameraThatCannotBeOpened:
    def test_absent(self, cameras: FakeCameras) -> None:
        assert why_not(7).startswith("there is no camera /dev/video7; streamer live --list")

    def test_forbidden(self, camera: FakeCamera) -> None:
        camera.tell("forbidden")
        assert "permission" in why_not()
        assert "group video" in why_not()

    def test_busy(self, source: CameraSource) -> None:
        assert "another program uses the camera /dev/video0" in why_other(0)

    def test_no_camera_at_all(self, cameras: FakeCameras, tmp_path: Path) -> None:
        cameras.add(1, traits=["metadata"])
        (tmp_path / "a.txt").touch()
        for node in ("/dev/video1", "/dev/null", str(tmp_path / "a.txt"), str(tmp_path)):
            assert f"{node} is no camera" in why_not(node)

    def test_without_a_picture(self, camera: FakeCamera) -> None:
        camera.tell("stall")
        start = time.monotonic()
        assert "gave no picture in 0.7 s" in why_not(open_timeout_seconds=0.7)
        assert time.monotonic() - start < 3

    def test_whose_driver_hangs(self, camera: FakeCamera) -> None:
        camera.tell("hang")
        start = time.monotonic()
        assert "gave no picture in 1 s" in why_not(open_timeout_seconds=1.0)
        assert time.monotonic() - start < 4

    def test_whose_driver_crashes(self, camera: FakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        assert "ended at once" in why_not()

    def test_on_a_machine_without_room_for_a_process(self, camera: FakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        assert why_not().startswith("no process to read the camera with can be started")


def why_other(camera: int) -> str:
    """Return why a camera cannot be opened a second time in this process."""
    with pytest.raises(SourceOpenError) as refused:
        CameraSource(camera)
    return str(refused.value)


def test_nothing_is_written_to_the_terminal_but_by_us(camera: FakeCamera, tmp_path: Path) -> None:
    """OpenCV complains of cameras that go away, in its own words."""
    script = (
        "import sys\n"
        "from streamer.sources.camera import CameraSource\n"
        "source = CameraSource(0, give_up_seconds=0.5)\n"
        "source.read()\n"
        "open(sys.argv[1], 'w').write('unplug')\n"
        "try: list(iter(source.read, None))\n"
        "except Exception as error: print(type(error).__name__)\n"
        "source.close()\n"
    )
    process = running_script(script, tmp_path, str(camera.folder / "control"))
    assert process.communicate(timeout=20) == ("SourceLostError\n", "")


# ---- faults while it runs


class TestAnUnpluggedCamera:
    def test_is_told_within_a_second_and_read_again_within_two(self, camera: FakeCamera, reader: Reader) -> None:
        until(lambda: len(reader.frames) > 5, 3)
        child = capture_process().pid
        camera.tell("unplug")
        assert until(lambda: reader.is_in(SourceState.RECONNECTING), 3) < 1
        assert reader.source.status.detail == "the camera is unplugged"
        pause(2)
        seen = len(reader.frames)
        camera.tell("ok")
        assert until(lambda: len(reader.frames) > seen, 5) < 2
        before, after = reader.frames[seen - 1 : seen + 1]
        assert after.index > before.index
        gap = after.captured_at - before.captured_at
        assert gap > 2
        assert after.pts_seconds - before.pts_seconds == pytest.approx(gap, abs=1e-3)
        assert reader.source.status.state is SourceState.RUNNING
        assert reader.source.status.reconnects == 1
        assert capture_process().pid == child

    def test_may_come_back_with_another_size(self, cameras: FakeCameras, camera: FakeCamera, reader: Reader) -> None:
        until(lambda: len(reader.frames) > 1, 3)
        camera.tell("unplug")
        until(lambda: reader.is_in(SourceState.RECONNECTING), 3)
        for mode in (FakeMode("YUYV", 1280, 720, 15), FakeMode("YUYV", 320, 240, 30)):
            camera.offer([mode])
            camera.tell("ok")
            until(lambda size=(mode.width, mode.height): size_of(reader.frames[-1]) == size, 5)  # type: ignore[misc]
            assert f"{mode.width} × {mode.height}, {mode.fps} fps" in reader.source.status.detail
            camera.tell("unplug")
            until(lambda: reader.is_in(SourceState.RECONNECTING), 3)
        assert reader.source.status.reconnects == 2

    def test_is_given_up_where_that_was_asked(self, camera: FakeCamera) -> None:
        source = CameraSource(0, give_up_seconds=1.0)
        try:
            read(source)
            camera.tell("unplug")
            start = time.monotonic()
            with pytest.raises(SourceLostError, match="/dev/video0 is lost: the camera is unplugged"):
                list(iter(source.read, None))
            assert 0.5 < time.monotonic() - start < 3
        finally:
            source.close()


def size_of(frame: Frame) -> tuple[int, int]:
    return frame.picture.width, frame.picture.height


class TestAStalledCamera:
    def test_gets_a_new_capture_process(self, camera: FakeCamera, reader: Reader) -> None:
        until(lambda: len(reader.frames) > 5, 3)
        child = capture_process().pid
        camera.tell("stall")
        assert until(lambda: reader.is_in(SourceState.RECONNECTING), 5) < 3
        assert "no picture for" in reader.source.status.detail
        until(lambda: [one.pid for one in capture_processes()] not in ([], [child]), 2)
        seen = len(reader.frames)
        camera.tell("ok")
        assert until(lambda: len(reader.frames) > seen, 5) < 2
        assert reader.source.status.reconnects == 1
        assert reader.source.status.state is SourceState.RUNNING

    def test_is_watched_even_when_opening_it_hangs(self, camera: FakeCamera) -> None:
        source = CameraSource(0, stall_seconds=0.5, open_timeout_seconds=2.0)
        reader = Reader(source)
        try:
            camera.tell("unplug")
            until(lambda: reader.is_in(SourceState.RECONNECTING), 3)
            camera.tell("hang")
            child = capture_process().pid
            until(lambda: [one.pid for one in capture_processes()] not in ([], [child]), 5)
            seen = len(reader.frames)
            camera.tell("ok")
            until(lambda: len(reader.frames) > seen, 5)
        finally:
            source.close()
            reader.join()


class TestTheCaptureProcess:
    def test_is_replaced_when_it_dies(self, reader: Reader) -> None:
        until(lambda: len(reader.frames) > 5, 3)
        for expected in (1, 2):
            child = capture_process()
            child.kill()
            seen = len(reader.frames)
            until(lambda seen=seen: len(reader.frames) > seen + 3, 3)  # type: ignore[misc]
            assert capture_process().pid != child.pid
            assert reader.source.status.reconnects == expected
        indices = [frame.index for frame in reader.frames]
        assert indices == sorted(set(indices))

    def test_is_not_restarted_in_a_frenzy(
        self, camera: FakeCamera, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A driver that crashes whoever opens it costs a few processes a minute, not thousands."""
        until(lambda: len(reader.frames) > 1, 3)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        started: list[object] = []
        monkeypatch.setattr(subprocess, "Popen", counted(subprocess.Popen, started))
        capture_process().kill()
        pause(2.5)
        assert 2 <= len(started) <= 5
        assert reader.source.status.detail == "its capture process ended"

    def test_looks_for_an_absent_camera_often_enough_to_have_it_back_in_time(self) -> None:
        watch = ImpatientWatch(12)
        ours, theirs = socket.socketpair()
        with ours, theirs, contextlib.closing(SharedMemory.create()) as memory:
            Capture("/dev/video99", CameraMode(), RingWriter(memory), Sender(ours)).run(watch)
            theirs.setblocking(False)
            told = list(records_in(bytearray(theirs.recv(1 << 16))))
        assert [(record.kind, record.reason) for record in told] == [(Kind.LOST, Reason.ABSENT)] * 12
        assert 0.2 < watch.waits[0] <= 0.3
        assert 0.7 < max(watch.waits) <= 1.0

    def test_survives_ctrl_c_so_that_its_parent_can_end_in_order(self, source: CameraSource) -> None:
        child = capture_process()
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGTERM)
        frames = [read(source) for _ in range(5)]
        assert child.is_running()
        assert capture_process().pid == child.pid
        assert len(frames) == 5

    @pytest.mark.parametrize("fault", ["ok", "stall", "unplug", "hang"])
    def test_ends_with_its_parent_however_that_ends(self, camera: FakeCamera, tmp_path: Path, fault: str) -> None:
        before = set(Path("/dev/shm").iterdir())
        script = (
            "import psutil, sys\n"
            "from streamer.sources.camera import CameraSource\n"
            "source = CameraSource(0, stall_seconds=20)\n"
            "print(psutil.Process().children()[0].pid, flush=True)\n"
            "while source.read(): pass\n"
        )
        process = running_script(script, tmp_path)
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        camera.tell("unplug" if fault == "hang" else fault)  # type: ignore[arg-type]
        pause(0.5)
        camera.tell(fault)  # type: ignore[arg-type]
        process.kill()
        _, noise = process.communicate(timeout=5)
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 3)
        assert noise == ""
        assert set(Path("/dev/shm").iterdir()) == before

    def test_inherits_only_what_it_needs(self, camera: FakeCamera) -> None:
        with socket.socket() as other:
            other.set_inheritable(True)
            source = CameraSource(0)
            try:
                read(source)
                child = Path(f"/proc/{capture_process().pid}/fd")
                sockets = [one for one in child.iterdir() if str(one.readlink()).startswith("socket:")]
                assert len(sockets) == 1
            finally:
                source.close()

    def test_imports_nothing_from_the_users_folder(self, camera: FakeCamera, tmp_path: Path) -> None:
        """`streamer live` in a folder of downloads runs nothing of it."""
        for name in ("cv2", "numpy", "socket", "argparse", "streamer"):
            (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        script = "from streamer.sources.camera import CameraSource\nsource = CameraSource(0)\nsource.close()\n"
        process = subprocess.run(
            [sys.executable, "-P", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=20,
            check=False,
        )
        assert process.returncode == 0
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ["/dev/video0"],
            ["/dev/video0", "--memory=0", "--wire=0"],
            ["/dev/video0", "--memory=x", "--wire=0"],
            ["/dev/video0", "--memory=0", "--wire=999"],
            ["/dev/video0", "--memory=0", "--wire=0", "--size=7"],
            ["/dev/video0", "--memory=0", "--wire=0", "--fps=-1"],
        ],
        ids=" ".join,
    )
    def test_called_by_people_it_does_no_harm(self, cameras: FakeCameras, tmp_path: Path, arguments: list[str]) -> None:
        """Least of all to a file that it takes for its memory."""
        file = tmp_path / "precious"
        file.write_text("precious")
        with file.open("r+b") as given:
            done = subprocess.run(
                [sys.executable, "-m", "streamer.sources.camera_capture", *arguments],
                stdin=given,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert file.read_text() == "precious"

    def test_it_takes_nobodys_file_for_its_memory(self, camera: FakeCamera, tmp_path: Path) -> None:
        file = tmp_path / "precious"
        file.write_text("precious")
        ours, theirs = socket.socketpair()
        with file.open("r+b") as given, ours, theirs:
            handles = given.fileno(), theirs.fileno()
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "streamer.sources.camera_capture", "/dev/video0"),
                    *(f"--memory={handles[0]}", f"--wire={handles[1]}"),
                ],
                pass_fds=handles,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert done.returncode == 2
        assert "a file without a name" in done.stderr
        assert file.read_text() == "precious"


class ImpatientWatch(ParentWatch):
    """Lets no time pass, notes how much should, and takes the parent for gone after some times."""

    def __init__(self, times: int) -> None:
        self.waits: list[float] = []
        self._times = times

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return len(self.waits) == self._times


def counted(start: Callable[..., object], started: list[object]) -> Callable[..., object]:
    """Return a function that does what `start` does, and notes each call."""

    def starting(*arguments: object, **options: object) -> object:
        started.append(arguments)
        return start(*arguments, **options)

    return starting


def test_two_cameras_are_read_side_by_side(cameras: FakeCameras) -> None:
    cameras.add(0, name="Left", traits=["numbered"])
    cameras.add(2, name="Right", modes=[FakeMode("YUYV", 320, 240, 15)])
    sources = [CameraSource(0), CameraSource(2)]
    try:
        assert [source.info.name for source in sources] == ["Left (/dev/video0)", "Right (/dev/video2)"]
        assert [size_of(read(source)) for source in sources] == [(640, 480), (320, 240)]
    finally:
        for source in sources:
            source.close()


def test_the_clock_goes_forward_even_if_the_driver_does_not() -> None:
    clock = CaptureClock()
    times = [clock.pts_seconds(1_000_000_000 + stamp) for stamp in (0, 33_000_000, 33_000_000, 20_000_000, 66_000_000)]
    assert times[0] == 0
    assert times[1] == pytest.approx(0.033)
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(0.066)


def test_pyav_reads_the_fake_camera_too(cameras: FakeCameras, tmp_path: Path) -> None:
    """It answers as V4L2 does, not as OpenCV happens to ask."""
    cameras.add()
    script = (
        "import av\n"
        "with av.open('/dev/video0', format='v4l2', options={'video_size': '640x480', 'framerate': '30'}) as camera:\n"
        "    frames = [frame for _, frame in zip(range(5), camera.decode(video=0))]\n"
        "print(frames[0].format.name, frames[0].width, frames[0].height, len({frame.pts for frame in frames}))\n"
    )
    process = running_script(script, tmp_path)
    assert process.communicate(timeout=20)[0] == "yuyv422 640 480 5\n"
