"""Starts, hears and stops the process that reads a camera (`camera_capture.py`)."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from streamer.pictures import UInt8
from streamer.sources.camera_link import RECORD_BYTES, Record, RingReader, SharedMemory, records_in
from streamer.sources.camera_mode import CameraMode

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_LEAVING_SECONDS = 0.6  # what a sound driver takes at most to let go of a camera
_KILLED_SECONDS = 1.0


class CaptureProcess:
    """One run of the capture process. Methods are for one thread at a time.

    Args:
        camera: As `camera_capture` takes it.
        asked: What to ask of the camera.
        waker: A socket; whatever arrives there ends a wait.

    Raises OSError where the system has no room for another process.
    """

    def __init__(self, camera: str, asked: CameraMode, waker: socket.socket) -> None:
        self._received = bytearray()
        self._has_ended = False
        memory = SharedMemory.create()
        self._ring = RingReader(memory)
        self._memory = memory
        self._wire, childs_end = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        with contextlib.ExitStack() as on_error, childs_end:
            on_error.callback(self._let_go)
            self._wire.setblocking(False)
            self._selector.register(self._wire, selectors.EVENT_READ)
            self._selector.register(waker, selectors.EVENT_READ)
            self._process = _start(camera, asked, memory, childs_end)
            on_error.pop_all()

    def wait(self, seconds: float) -> None:
        """Wait until there is a record, the process ends, or the waker is heard; at most so long."""
        self._selector.select(max(seconds, 0.0))

    def receive(self) -> Iterator[Record]:
        """Yield the records that have come."""
        try:
            while more := self._wire.recv(256 * RECORD_BYTES):
                self._received += more
                yield from records_in(self._received)
            self._has_ended = True
        except BlockingIOError:
            return
        except ConnectionError:
            self._has_ended = True

    @property
    def has_ended(self) -> bool:
        """It will send no more; known once `receive` has come to its end."""
        return self._has_ended

    def copy(self, record: Record) -> UInt8 | None:
        """Return the (3h/2, w) planes that a record tells of; None: newer ones have taken their place."""
        return self._ring.copy(record)

    def stop(self) -> None:
        """Let the process close the camera and end, and kill it where it does not."""
        self._let_go()
        try:
            self._process.wait(_LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End a process whose driver hangs."""
        self._let_go()
        self._process.kill()
        # A driver that hangs inside the kernel keeps even a killed process; it ends when the driver lets it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_SECONDS)

    def _let_go(self) -> None:
        self._selector.close()
        self._wire.close()  # which the process takes as its end
        self._memory.close()


def _start(camera: str, asked: CameraMode, memory: SharedMemory, childs_end: socket.socket) -> subprocess.Popen[bytes]:
    # -P: what lies in the user's folder is never imported, whatever it is called.
    command = [sys.executable, "-P", "-m", "streamer.sources.camera_capture", f"--memory={memory.handle}"]
    if asked.size is not None:
        command.append(f"--size={asked.size[0]}x{asked.size[1]}")
    if asked.fps is not None:
        command.append(f"--fps={asked.fps!r}")
    if asked.pixel_format is not None:
        command.append(f"--pixel-format={asked.pixel_format}")
    # OpenCV writes to stderr what the parent says in its own words.
    quiet = subprocess.DEVNULL
    if sys.platform == "win32":
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [*command, "--", camera], stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, env=_environment()
        )
        assert process.stdin is not None
        shared = childs_end.share(process.pid)
        process.stdin.write(len(shared).to_bytes(4, "little") + shared)
        process.stdin.close()
        return process
    assert isinstance(memory.handle, int)
    return subprocess.Popen(  # noqa: S603  our own interpreter and module
        [*command, f"--wire={childs_end.fileno()}", "--", camera],
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
        env=_environment(),
        pass_fds=(childs_end.fileno(), memory.handle),
    )


def _environment() -> dict[str, str]:
    """Return the environment, in which this package is found even where only the folder it was started in has it."""
    environment = dict(os.environ)
    if _PACKAGE_PARENT.name not in ("site-packages", "dist-packages"):
        given = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([*([given] if given else []), str(_PACKAGE_PARENT)])
    return environment
