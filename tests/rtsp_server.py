"""Runs the RTSP server, draws what it plays, and reads which picture of it one is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamer.pictures import UInt8

_PROGRAM = Path(__file__).with_name("gst_rtsp_server.py")
_PYTHON = "/usr/bin/python3"
_BITS, _SQUARE = 10, 16
FPS = 25


def need_server() -> None:
    """Skip where the server cannot be run; in CI that is a failure."""
    test = "import gi; gi.require_version('GstRtspServer', '1.0')"
    ran = shutil.which(_PYTHON) and subprocess.run([_PYTHON, "-c", test], capture_output=True, check=False)
    if not ran or ran.returncode:
        message = "GStreamer's RTSP server is not installed: gir1.2-gst-rtsp-server-1.0, python3-gi and its plugins"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


def numbered_picture(number: int, width: int, height: int) -> UInt8:
    """Draw soft moving shapes with the number as squares, white for 1, in the first row; (H, W, 3) uint8 BGR."""
    coarse = np.random.default_rng(0).integers(30, 220, (6, 10, 3), np.uint8)
    picture = np.roll(cv2.resize(coarse, (width, height)), 4 * number, axis=1)
    for bit in range(_BITS):
        picture[:_SQUARE, bit * _SQUARE : (bit + 1) * _SQUARE] = 255 if number >> bit & 1 else 0
    return np.asarray(picture, np.uint8)


def number_in(luma: UInt8) -> int:
    """Read the number of a picture, (H, W) uint8."""
    quarter = _SQUARE // 4
    inner = [
        luma[quarter : 3 * quarter, bit * _SQUARE + quarter : (bit + 1) * _SQUARE - quarter] for bit in range(_BITS)
    ]
    return sum(1 << bit for bit, square in enumerate(inner) if square.mean() > 128)


def write_numbered(path: Path, count: int = 100, size: tuple[int, int] = (320, 180), b_frames: int = 0) -> Path:
    """Write an H.264 video of numbered pictures, a key frame each second."""
    options = {"preset": "veryfast", "crf": "23", "g": str(FPS), "bf": str(b_frames)}
    options |= {} if b_frames else {"tune": "zerolatency"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options=options | ({} if b_frames else {"tune": "zerolatency"})
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, *size), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class RtspServer:
    """The server as a child process, on one port for all its lives."""

    video: Path
    folder: Path
    login: str = ""
    port: int = field(default_factory=free_port)
    child: subprocess.Popen[str] | None = None
    lives: int = 0

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    @property
    def record_url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/rec"

    @property
    def pushes(self) -> Path:
        return self.folder / "pushes.txt"

    def recording(self, session: int = 1) -> Path:
        """What was published in this life's first or a later session."""
        return self.folder / f"recording{self.lives}-{session}.mkv"

    def start(self) -> None:
        self.lives += 1
        words = [
            _PYTHON,
            str(_PROGRAM),
            str(self.port),
            *map(str, (self.video, self.pushes, self.folder / f"recording{self.lives}")),
        ]
        self.child = subprocess.Popen(
            [*words, *([self.login] if self.login else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == "ready\n"

    def signal(self, number: signal.Signals) -> None:
        assert self.child is not None
        self.child.send_signal(number)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            assert self.child.stdout is not None
            self.child.stdout.close()
            self.child = None

    def pushed(self) -> list[tuple[int, float]]:
        """Return which pictures were handed to the server, and when (monotonic)."""
        lines = self.pushes.read_text(encoding="utf-8").splitlines()
        return [(int(number), float(at)) for number, at in (line.split() for line in lines)]


@contextmanager
def rtsp_server(video: Path, folder: Path, login: str = "") -> Iterator[RtspServer]:
    """Run a server until the block ends."""
    need_server()
    server = RtspServer(video, folder, login)
    server.start()
    try:
        yield server
    finally:
        server.kill()
