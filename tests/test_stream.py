"""Streams are read from a real RTSP server: exact pictures, low delay, and what happens when the server fails."""

from __future__ import annotations

import itertools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.addresses import Address
from streamer.build import open_stream
from streamer.config import load_config
from streamer.errors import SourceOpenError
from streamer.interrupts import Interrupt
from streamer.retries import opened_with_retries
from streamer.sources.stream import StreamSettings, StreamSource
from streamer.sources.video import VideoSource
from streamer.stages import LiveSource
from streamer.types import Frame, SourceState, SourceStatus
from tests.file_server import serving
from tests.rtsp_server import FPS, RtspServer, number_in, numbered_picture, rtsp_server, write_numbered

SECRET = "s3cr3t!"
QUICK = StreamSettings(open_timeout_seconds=1.0, read_timeout_seconds=0.5)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("video") / "numbered.mp4")


@pytest.fixture(scope="module")
def server(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    """One that no test harms."""
    with rtsp_server(video, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def own_server(video: Path, tmp_path: Path) -> Iterator[RtspServer]:
    with rtsp_server(video, tmp_path) as running:
        yield running


@pytest.fixture
def source(server: RtspServer) -> Iterator[StreamSource]:
    opened = StreamSource(Address(server.url), settings=QUICK)
    yield opened
    opened.close()


def read(source: StreamSource, count: int) -> list[Frame]:
    frames = []
    for _ in range(count):
        frame = source.read()
        assert frame is not None
        frames.append(frame)
    return frames


@contextmanager
def reading(source: StreamSource) -> Iterator[threading.Thread]:
    """Read in a thread until the source is closed."""
    thread = threading.Thread(target=lambda: [None for _ in iter(source.read, None)])
    thread.start()
    try:
        yield thread
    finally:
        source.close()
        thread.join()


def until(is_so: Callable[[], bool], seconds: float = 8.0) -> None:
    pause, deadline = Interrupt(), time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def ages(server: RtspServer, seen: list[tuple[Frame, float]]) -> list[float]:
    """Return how long before each sight of a frame it was handed to the server, seconds."""
    pushed: dict[int, list[float]] = {}
    for number, at in server.pushed():
        pushed.setdefault(number, []).append(at)
    return [at - max(when for when in pushed[number_in(frame.picture.luma())] if when < at) for frame, at in seen]


def test_it_is_a_live_source_that_says_what_it_is(server: RtspServer, source: StreamSource) -> None:
    assert isinstance(source, LiveSource)
    assert (source.info.width, source.info.height, source.info.declared_fps) == (320, 180, 25.0)
    assert source.info.is_live
    assert source.info.name == source.info.source_id == server.url
    assert source.status.state is SourceState.RUNNING
    assert source.status.detail == "320×180, 25 fps, h264 over tcp"


def test_every_frame_comes_exact_and_in_order(source: StreamSource, video: Path) -> None:
    """The pictures are those of the file, to the bit; no frame is lost or comes twice."""
    frames = read(source, 40)
    numbers = [number_in(frame.picture.luma()) for frame in frames]
    # On a busy machine one may be passed over, which its index then tells.
    assert [(number - numbers[0]) % 100 for number in numbers] == [frame.index for frame in frames]
    assert frames[-1].index == 39 + source.status.dropped
    assert frames[0].pts_seconds == 0
    # The server stamps pictures when it gets them, now and then two at once.
    assert all(before.pts_seconds < after.pts_seconds for before, after in itertools.pairwise(frames))
    assert frames[-1].pts_seconds == pytest.approx(frames[-1].index / FPS, abs=0.2)
    file = VideoSource(video)
    stored = {}
    while (frame := file.read()) is not None:
        stored[frame.index] = frame.picture.bgr()
    file.close()
    for frame, number in zip(frames, numbers, strict=True):
        np.testing.assert_array_equal(frame.picture.bgr(), stored[number])


def test_the_configured_transport_is_used(server: RtspServer) -> None:
    source = open_stream(Address(server.url), load_config(overrides=["source.transport=udp"]), source_id="door")
    assert source.status.detail.endswith("over udp")
    assert {frame.source_id for frame in read(source, 10)} == {"door"}
    source.close()


@pytest.mark.timeout(20)
def test_a_stream_over_http_is_read_too_and_opened_anew_at_its_end(tmp_path: Path) -> None:
    content = write_numbered(tmp_path / "numbered.ts", 30).read_bytes()
    with serving(content) as files:
        source = StreamSource(Address(files.url), settings=QUICK)
        assert source.status.detail == "320×180, 25 fps, h264"
        frames = itertools.takewhile(lambda _: source.status.reconnects < 2, iter(source.read, None))
        numbers = [number_in(frame.picture.luma()) for frame in frames]
        source.close()
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers.count(0) == 2


def test_pictures_without_time_stamps_get_the_times_of_their_arrival() -> None:
    """JPEGs one after the other: were they taken for 25 a second, a camera of 10 would run at less than half speed."""
    coded = [cv2.imencode(".jpg", numbered_picture(number, 320, 180))[1].tobytes() for number in range(50)]
    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    content = b"".join(head % len(one) + one + b"\r\n" for one in coded)
    with serving(content) as files:
        source = StreamSource(Address(files.url), settings=QUICK)
        frames = read(source, 45)
        source.close()
    assert [number_in(frame.picture.luma()) for frame in frames] == list(range(45))
    elapsed = frames[-1].captured_at - frames[0].captured_at
    assert frames[-1].pts_seconds == pytest.approx(elapsed, abs=0.1)
    assert elapsed < 1


def test_frames_are_fresh(server: RtspServer, source: StreamSource) -> None:
    """One frame is what FFmpeg's parser holds back; the rest is 20 ms at most on a machine with nothing else to do."""
    seen = [(frame, time.monotonic()) for frame in itertools.islice(iter(source.read, None), 50)]
    late = ages(server, seen)
    assert np.percentile(late, 95) < 0.12
    assert all(0 <= at - frame.captured_at < 0.1 for frame, at in seen)


def test_a_slow_reader_gets_the_newest_frame(server: RtspServer, source: StreamSource) -> None:
    """10 fps of 25: nothing piles up, and what was passed over is counted."""
    seen, pause = [], Interrupt()
    for _ in range(30):
        seen += [(frame, time.monotonic()) for frame in read(source, 1)]
        pause.wait(0.1)
    late = ages(server, seen)
    assert max(late[15:]) < max(late[:5]) + 0.1
    assert source.status.dropped >= 20
    assert seen[-1][0].index == source.status.dropped + 29


@pytest.mark.timeout(30)
def test_a_server_that_was_killed_is_found_again(own_server: RtspServer) -> None:
    """RECONNECTING is told at once; the first frame comes at most 2.5 s after the server is up, and the gap shows."""
    source = StreamSource(Address(own_server.url), settings=QUICK)
    before = read(source, 10)[-1]
    own_server.kill()
    states, up_at = [], []

    def restart() -> None:
        states.append(source.status.state)
        own_server.start()
        up_at.append(time.monotonic())

    timer = threading.Timer(1.0, restart)
    timer.start()
    killed_at = time.monotonic()
    after = next(frame for frame in iter(source.read, None) if source.status.reconnects == 1)
    timer.join()
    assert states == [SourceState.RECONNECTING]
    assert after.captured_at - up_at[0] < 2.5
    assert after.pts_seconds - before.pts_seconds == pytest.approx(after.captured_at - before.captured_at, abs=0.3)
    assert after.captured_at > killed_at + 1
    assert source.status.state is SourceState.RUNNING
    source.close()


@pytest.mark.timeout(30)
def test_a_server_that_falls_silent_is_noticed_and_found_again(own_server: RtspServer) -> None:
    """It is stopped, so its machine still holds the connection: the read time-out later it is given up."""
    source = StreamSource(Address(own_server.url), settings=QUICK)
    stopped_at = read(source, 10)[-1].captured_at
    own_server.signal(signal.SIGSTOP)
    noticed_at: list[float] = []

    def watch() -> None:
        until(lambda: source.status.state is not SourceState.RUNNING)
        noticed_at.append(time.monotonic())
        own_server.signal(signal.SIGCONT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    after = next(frame for frame in iter(source.read, None) if source.status.reconnects == 1)
    watcher.join()
    assert 0.4 < noticed_at[0] - stopped_at < QUICK.read_timeout_seconds + 0.4
    assert after.captured_at - noticed_at[0] < 2.5
    source.close()


@pytest.mark.timeout(30)
def test_another_size_and_order_of_frames_after_a_reconnection_is_accepted(
    own_server: RtspServer, tmp_path: Path
) -> None:
    source = StreamSource(Address(own_server.url), settings=QUICK)
    read(source, 5)
    own_server.kill()
    own_server.video = write_numbered(tmp_path / "other.mp4", 50, (426, 240), b_frames=2)
    own_server.start()
    frames = list(itertools.islice((one for one in iter(source.read, None) if source.status.reconnects), 20))
    assert {(frame.picture.width, frame.picture.height) for frame in frames} == {(426, 240)}
    numbers = [number_in(frame.picture.luma()) for frame in frames]
    assert [(number - numbers[0]) % 50 for number in numbers] == [frame.index - frames[0].index for frame in frames]
    assert all(before.pts_seconds < after.pts_seconds for before, after in itertools.pairwise(frames))
    assert source.status.detail.startswith("426×240")
    assert source.info.width == 320
    source.close()


@pytest.mark.timeout(20)
def test_a_server_that_is_started_later_is_waited_for(own_server: RtspServer) -> None:
    own_server.kill()
    told: list[SourceStatus] = []

    def tell(status: SourceStatus) -> None:
        told.append(status)
        if len(told) == 3:
            own_server.start()

    wait = Interrupt().wait
    source = opened_with_retries(lambda: StreamSource(Address(own_server.url), settings=QUICK), wait, tell)
    assert source is not None
    assert [status.state for status in told[:3]] == [SourceState.INITIALISING, *[SourceState.RECONNECTING] * 2]
    assert told[-1].state is SourceState.RUNNING
    assert "refused" in told[1].detail
    source.close()


def test_closing_wakes_a_reader_that_waits_for_the_server(own_server: RtspServer) -> None:
    source = StreamSource(Address(own_server.url), settings=QUICK)
    read(source, 2)
    own_server.kill()
    with reading(source) as reader:
        until(lambda: "refused" in source.status.detail)
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 0.1
        reader.join()
        assert time.monotonic() - began < 0.3
    assert source.read() is None
    assert source.status.state is SourceState.ENDED


def test_frames_stay_good_after_closing(source: StreamSource) -> None:
    frame = read(source, 1)[0]
    before = frame.picture.bgr().copy()
    source.close()
    source.close()
    np.testing.assert_array_equal(frame.picture.bgr(), before)
    assert source.read() is None


@pytest.mark.timeout(20)
def test_a_login_is_used_and_never_told(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in a name, a status, a log record (whose arguments are looked at, too), nor on the terminal, where FFmpeg
    itself could write.
    """
    caplog.set_level(logging.DEBUG)
    with rtsp_server(video, tmp_path, login=f"bob:{SECRET}") as guarded:
        good = guarded.url.replace("//", f"//bob:{SECRET}@")
        source = StreamSource(Address(good), settings=QUICK)
        read(source, 3)
        told = [repr(source.info), repr(source.status), repr(source)]
        with pytest.raises(SourceOpenError, match="user and a password") as refused:
            StreamSource(Address(good.replace("bob", "ann")), settings=QUICK)
        told.append(repr(refused.value))
        guarded.kill()
        with reading(source):
            until(lambda: "refused" in source.status.detail)
            told.append(repr(source.status))
            source.close()
    told += [repr(vars(record)) for record in caplog.records]
    assert len(caplog.records) >= 1
    assert SECRET not in "".join([*told, *capfd.readouterr()])
