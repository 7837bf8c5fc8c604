"""The annotated picture is published on a real RTSP server, which may be absent, die, or stop reading at any time."""

from __future__ import annotations

import itertools
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.addresses import Address
from streamer.build import build_publisher
from streamer.canvas import Canvas
from streamer.config import Config
from streamer.errors import SinkError, UsageError
from streamer.interrupts import Interrupt
from streamer.pictures import BgrPicture
from streamer.sinks.rtsp import RtspSink
from streamer.sinks.rtsp_login import Login
from streamer.sinks.rtsp_wire import Message, Reader, WireError, answer, interleaved, request
from streamer.stages import Sink
from streamer.types import Ending, Frame, FrameResult, SourceInfo
from tests.network_faults import hang_up, listener, say, speak_garbage
from tests.rtsp_server import FPS, RtspServer, free_port, number_in, numbered_picture, rtsp_server, write_numbered

SECRET = "s3cr3t!"
SIZE = (320, 180)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("video") / "numbered.mp4", 5)


@pytest.fixture
def server(video: Path, tmp_path: Path) -> Iterator[RtspServer]:
    with rtsp_server(video, tmp_path) as running:
        yield running


class Publisher:
    """A sink that is fed 25 numbered pictures a second, and how long the longest `write` took."""

    def __init__(self, url: str, size: tuple[int, int] = SIZE) -> None:
        self.sink = RtspSink(Address(url))
        _: Sink = self.sink
        self.sink.open(SourceInfo("drawn", "drawn", *size, float(FPS), is_live=True))
        self.number, self.longest_seconds, self._pace = 0, 0.0, Interrupt()

    def write(self, count: int, size: tuple[int, int] = SIZE, until: Callable[[], bool] = lambda: False) -> None:
        """Write so many pictures at most, at their pace."""
        began = time.monotonic()
        for written in range(count):
            picture = BgrPicture(numbered_picture(self.number, *size))
            frame = Frame(picture, self.number, self.number / FPS, time.monotonic(), "drawn")
            before = time.monotonic()
            self.sink.write(FrameResult(frame, (), scanned=False), Canvas(picture))
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - before)
            self.number += 1
            if until():
                return
            self._pace.wait(max(0.0, began + (written + 1) / FPS - time.monotonic()))

    def write_until_connected(self, is_connected: bool, seconds: float) -> float:
        """Write until it is so; return the seconds that took, at most so many."""
        began = time.monotonic()
        self.write(round(seconds * FPS), until=lambda: self.sink.status.is_connected is is_connected)
        assert self.sink.status.is_connected is is_connected, self.sink.status
        return time.monotonic() - began

    def close(self) -> float:
        """Return how long that took, seconds."""
        began = time.monotonic()
        self.sink.close(Ending.INTERRUPTED)
        return time.monotonic() - began


@dataclass
class Recording:
    """What a server took: the numbers and times of the pictures, the places of key frames, and the size."""

    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)


def recorded(path: Path, last: int) -> Recording:
    """Read what the server wrote, once the picture with the last number is there."""
    pause, deadline = Interrupt(), time.monotonic() + 5
    while (recording := _recorded(path)).numbers[-1:] != [last]:
        assert time.monotonic() < deadline, recording
        pause.wait(0.1)
    return recording


def _recorded(path: Path) -> Recording:
    recording = Recording()
    with suppress(av.FFmpegError), av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.key_frame:
                recording.keys.append(len(recording.numbers))
            recording.numbers.append(number_in(np.asarray(frame.to_ndarray(format="gray"), np.uint8)))
            recording.times.append(frame.time)
            recording.size = (frame.width, frame.height)
    return recording


@pytest.mark.timeout(20)
def test_what_is_published_is_what_the_server_takes(server: RtspServer) -> None:
    """Every picture, in its place and at its time, with a key frame at least every 2 s."""
    publisher = Publisher(server.record_url)
    publisher.write(75)
    status = publisher.sink.status
    assert (status.is_connected, status.detail, status.sent + status.not_sent) == (True, "", 75)
    assert status.not_sent <= 5  # those that came while the server answered
    assert publisher.sink.problem is None
    assert publisher.close() < 0.5
    taken = recorded(server.recording(), last=74)
    assert taken.numbers == [0, *range(76 - status.sent, 75)]
    assert taken.keys[0] == 0
    assert all(after - before <= 2 * FPS for before, after in itertools.pairwise([*taken.keys, status.sent]))
    steps = [after - before for before, after in itertools.pairwise(taken.times)]
    assert min(steps) > 0
    assert sum(steps) == pytest.approx(74 / FPS, abs=0.2)


@pytest.mark.timeout(20)
def test_a_server_that_is_absent_is_waited_for_and_one_that_dies_is_found_again(server: RtspServer) -> None:
    server.kill()
    publisher = Publisher(server.record_url)
    publisher.write(10)
    assert publisher.sink.status.not_sent == 10
    assert "refused" in (publisher.sink.problem or "")
    server.start()
    assert publisher.write_until_connected(True, 4) < 3
    publisher.write(10)
    server.kill()
    assert publisher.write_until_connected(False, 1) < 0.5
    server.start()
    assert publisher.write_until_connected(True, 4) < 3
    publisher.write(30)
    publisher.close()
    assert publisher.longest_seconds < 0.3
    taken = recorded(server.recording(), last=publisher.number - 1)
    assert taken.keys[0] == 0
    assert taken.numbers[-30:] == list(range(publisher.number - 30, publisher.number))


@pytest.mark.timeout(30)
def test_a_server_that_stops_reading_is_noticed_and_slows_nothing(server: RtspServer) -> None:
    """Its machine goes on taking bytes for long, and nothing fails: it is missed because it gives no sign of life."""
    publisher = Publisher(server.record_url)
    publisher.write(10)
    server.signal(signal.SIGSTOP)
    assert publisher.write_until_connected(False, 8) < 5.5
    assert "no sign of life" in publisher.sink.status.detail or "taken nothing" in publisher.sink.status.detail
    publisher.write(5)
    assert publisher.longest_seconds < 0.3
    server.signal(signal.SIGCONT)
    publisher.write_until_connected(True, 8)
    server.signal(signal.SIGSTOP)
    assert publisher.close() < 1
    server.signal(signal.SIGCONT)


@pytest.mark.timeout(20)
def test_a_quiet_time_is_no_reason_to_part(server: RtspServer) -> None:
    """No picture comes for longer than the server may take to give a sign of life; then they go on, in one session."""
    publisher = Publisher(server.record_url)
    publisher.write(45)  # it has been asked for a sign of life by now
    before = publisher.sink.status
    Interrupt().wait(3.5)
    publisher.write(25)
    after = publisher.sink.status
    assert (after.since, after.sent, after.not_sent) == (before.since, before.sent + 25, before.not_sent)
    publisher.close()


@pytest.mark.timeout(20)
def test_another_picture_size_begins_a_new_session(server: RtspServer) -> None:
    publisher = Publisher(server.record_url)
    publisher.write(10)
    publisher.write(50, size=(427, 241))
    assert publisher.sink.status.is_connected
    publisher.close()
    assert recorded(server.recording(session=2), last=59).size == (428, 242)


@pytest.mark.timeout(20)
def test_a_login_is_used_and_never_told(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with rtsp_server(video, tmp_path, login=f"bob:{SECRET}") as guarded:
        publisher = Publisher(guarded.record_url.replace("//", f"//bob:{SECRET}@"))
        publisher.write_until_connected(True, 3)
        told = [repr(publisher.sink.status), repr(vars(publisher.sink))]
        stranger = Publisher(guarded.record_url.replace("//", f"//ann:{SECRET}@"))
        stranger.write(5)
        assert "user and a password" in (stranger.sink.problem or "")
        told += [repr(stranger.sink.status), stranger.sink.problem or ""]
        guarded.kill()
        publisher.write_until_connected(False, 3)
        told += [repr(publisher.sink.status), publisher.sink.problem or ""]
        publisher.close()
        stranger.close()
    told += [repr(vars(record)) for record in caplog.records]
    assert len(caplog.records) >= 2
    assert SECRET not in "".join([*told, *capfd.readouterr()])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (speak_garbage, "not RTSP"),
        (hang_up, "closed the connection"),
        (say("RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n"), "no such path"),
        (say("RTSP/1.0 454 Session Not Found\r\nCSeq: 1\r\n\r\n"), "refuses ANNOUNCE"),
        (say("HTTP/1.1 400 Bad Request\r\n\r\n"), "not RTSP"),
        (say("RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "not RTSP"),
    ],
)
def test_a_bad_server_never_ends_the_run(fault: Callable[[socket.socket], None], words: str) -> None:
    with listener(fault) as port:
        publisher = Publisher(f"rtsp://127.0.0.1:{port}/x")
        publisher.write(10)
        assert words in (publisher.sink.problem or "")
        assert publisher.sink.status.not_sent == 10
        assert publisher.longest_seconds < 0.3
        assert publisher.close() < 0.5


def test_a_silent_server_keeps_nobody_waiting() -> None:
    with listener() as port:
        publisher = Publisher(f"rtsp://127.0.0.1:{port}/x")
        publisher.write(10)
        assert publisher.sink.problem is not None
        assert publisher.longest_seconds < 0.3
        assert publisher.close() < 0.5


def test_an_unknown_host_never_ends_the_run() -> None:
    publisher = Publisher("rtsp://no.such.invalid/x")
    publisher.write(2)
    assert "not known (DNS)" in (publisher.sink.problem or "")
    publisher.close()


def test_no_thread_child_or_descriptor_is_left(server: RtspServer) -> None:
    threads, descriptors = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        publisher = Publisher(server.record_url)
        publisher.write_until_connected(True, 3)
        publisher.close()
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@pytest.mark.parametrize("url", ["http://host/x", "rtsps://host/x", "rtmp://host/x", "rtsp:///x", "video.mp4"])
def test_an_address_that_is_not_rtsp_is_refused_at_once(url: str) -> None:
    with pytest.raises(UsageError):
        build_publisher(Config(), Address(url))


def test_it_must_be_open_and_get_the_drawn_picture() -> None:
    sink = RtspSink(Address(f"rtsp://127.0.0.1:{free_port()}/x"))
    picture = BgrPicture(numbered_picture(0, *SIZE))
    result = FrameResult(Frame(picture, 0, 0.0, 0.0, "x"), (), scanned=False)
    with pytest.raises(SinkError, match="not open"):
        sink.write(result, Canvas(picture))
    sink.open(SourceInfo("x", "x", *SIZE, 25.0))
    with pytest.raises(ValueError, match="canvas"):
        sink.write(result, None)
    sink.close(Ending.FAILED)


def test_a_digest_is_as_the_standard_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of RFC 7616, section 3.9.1."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    realm = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="{}", opaque="{}"'
    words = ("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS")
    login = Login("Mufasa", "Circle of Life")
    md5, sha = realm.format("MD5", *words), realm.format("SHA-256", *words)
    header = login.authorization([md5], "GET", "/dir/index.html") or ""
    assert 'response="8ca523f5e9506fed4657c9700eebdbec"' in header
    both = login.authorization([md5, sha], "GET", "/dir/index.html") or ""
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in both


def test_a_login_is_answered_as_the_server_asks() -> None:
    login = Login.of_url("rtsp://Mufasa:Circle%20Of%20Life@host/x")
    assert login == Login("Mufasa", "Circle Of Life")
    assert "Circle" not in repr(login)
    assert login.authorization(['Basic realm="x"'], "ANNOUNCE", "x") == "Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl"
    # The example of RFC 2069, as corrected, whose servers know no qop.
    old = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in (
        Login("Mufasa", "CircleOfLife").authorization([old], "GET", "/dir/index.html") or ""
    )
    assert login.authorization(["Negotiate"], "ANNOUNCE", "x") is None
    assert Login.of_url("rtsp://host/x") is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_messages_come_whole_however_the_bytes_are_cut(cuts: list[int]) -> None:
    """With packets and a request of the server's own between them."""
    stream = (
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 7;timeout=60\r\n\r\n"
        + interleaved(1, b"control")
        + b"RTSP/1.0 401 Who Are You\r\nWWW-Authenticate: a\r\nwww-authenticate: b\r\nContent-Length: 5\r\n\r\n$body"
        + interleaved(0, b"RTSP/1.0 500 no\r\n\r\n")
        + request("GET_PARAMETER", "rtsp://host/x", {"CSeq": "9"})
    )
    reader, at = Reader(), 0
    messages: list[Message] = []
    for length in itertools.cycle(cuts):
        messages += reader.take(stream[at : at + length])
        at += length
        if at >= len(stream):
            break
    assert [(one.status, one.reason) for one in messages] == [
        (200, "OK"),
        (401, "Who Are You"),
        (None, "GET_PARAMETER"),
    ]
    assert messages[1].values("www-authenticate") == ["a", "b"]
    assert answer(messages[2]) == b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"


@pytest.mark.parametrize("received", [b"\x00\x01", b"HTTP/1.1 200 OK\r\n\r\n", b"a\r\n\r\n", b"x" * 200_000])
def test_what_is_not_rtsp_is_refused(received: bytes) -> None:
    with pytest.raises(WireError):
        list(Reader().take(received))
