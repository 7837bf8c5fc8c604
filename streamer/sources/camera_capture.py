"""The process that reads a camera: a driver that hangs hangs this process alone, which can be killed.

Run by `camera.py` as `python -m streamer.sources.camera_capture`. It opens the camera, lays each picture into the ring
and tells of it; where the camera is lost, it tries again for as long as its parent is there. It writes no file.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C and a service's end reach all processes of a group; the parent ends this one in order, so before all else.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

import argparse
import contextlib
import os
import random
import selectors
import socket
import stat
import sys
import threading
import time

import cv2
import numpy as np

from streamer.errors import UsageError
from streamer.pictures import UInt8
from streamer.sources.camera_link import Kind, Reason, Record, Sender
from streamer.sources.camera_mode import CameraMode, parsed_size
from streamer.sources.camera_planes import lay_bgr, lay_yuyv
from streamer.sources.camera_ring import RingWriter, SharedMemory
from streamer.sources.camera_v4l2 import CameraUnusableError, camera_name, is_busy, offered_modes, opened, with_format

_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.3, 1.0
# A driver's time stamp that lies further back than this, or ahead, is not of this clock.
_OLDEST_PICTURE_SECONDS = 2.0
_LEAVING_SECONDS = 0.3  # what a camera takes to be let go of in order
_DEFAULT_FPS = 30.0


class ParentWatch:
    """Ends the process once its parent is gone, even while a driver hangs."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._is_gone = threading.Event()
        threading.Thread(target=self._watch, name="parent watch", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Let time pass; True: the parent has gone."""
        return self._is_gone.wait(seconds)

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wire, selectors.EVENT_READ)
            selector.select()  # the parent sends nothing, so this is its end
        self._is_gone.set()
        threading.main_thread().join(_LEAVING_SECONDS)
        if threading.main_thread().is_alive():
            os._exit(0)


class Capture:
    """Reads one camera until the parent goes.

    Args:
        camera: A path, or elsewhere than on Linux a number too.
        asked: What to ask of it.
        ring: Where pictures go.
        sender: Where records go.
    """

    def __init__(self, camera: str, asked: CameraMode, ring: RingWriter, sender: Sender) -> None:
        self._camera, self._asked, self._ring, self._sender = camera, asked, ring, sender
        self._sequence = 0

    def run(self, watch: ParentWatch) -> None:
        """Open the camera again and again; returns when the parent is gone."""
        delay = _FIRST_RETRY_SECONDS
        while True:
            before = self._sequence
            reason = self._read_while_it_lasts()
            self._sender.tell(Record(Kind.LOST, reason))
            if self._sequence > before:
                delay = _FIRST_RETRY_SECONDS
            if watch.wait(delay * random.uniform(0.8, 1.0)):  # noqa: S311  jitter
                return
            delay = min(delay * 1.5, _LONGEST_RETRY_SECONDS)

    def _read_while_it_lasts(self) -> Reason:
        """Open the camera and pass its pictures on; return why there are no more."""
        try:
            name, asked = self._name_and_mode()
        except CameraUnusableError as unusable:
            return unusable.reason
        capture = _opened_capture(self._camera)
        try:
            if not capture.isOpened():
                return self._reason_of_failure() if sys.platform == "linux" else Reason.ABSENT
            granted = _ask(capture, asked)
            self._sender.tell(_opened_record(name, granted))
            while capture.grab():
                captured_ns = _captured_ns(capture)
                picture = _retrieved(capture)
                if picture is not None:  # some cameras spoil a JPEG now and then
                    self._pass_on(picture, captured_ns)
        finally:
            capture.release()
        return self._reason_of_failure()

    def _name_and_mode(self) -> tuple[str, CameraMode]:
        """Return the camera's name and what to ask of it. Raises CameraUnusableError."""
        if sys.platform != "linux":
            return f"camera {self._camera}", self._asked
        with opened(self._camera) as descriptor:
            return camera_name(descriptor), with_format(self._asked, offered_modes(descriptor))

    def _reason_of_failure(self) -> Reason:
        """Say why OpenCV got no picture, which it does not tell."""
        if sys.platform != "linux":
            return Reason.NO_PICTURE
        try:
            with opened(self._camera) as descriptor:
                camera_name(descriptor)
                return Reason.BUSY if is_busy(descriptor) else Reason.NO_PICTURE
        except CameraUnusableError as unusable:
            return unusable.reason

    def _pass_on(self, picture: UInt8, captured_ns: int) -> None:
        height, width = picture.shape[:2]
        lay = lay_yuyv if picture.shape[2] == 2 else lay_bgr
        lay(picture, self._ring.claim(width, height))
        self._sequence += 1
        self._sender.offer(self._ring.publish(self._sequence, captured_ns, width, height))


def _opened_capture(camera: str) -> cv2.VideoCapture:
    backends = {"linux": (cv2.CAP_V4L2,), "darwin": (cv2.CAP_AVFOUNDATION,), "win32": (cv2.CAP_MSMF, cv2.CAP_DSHOW)}
    capture = cv2.VideoCapture()
    for backend in backends.get(sys.platform, (cv2.CAP_ANY,)):
        if capture.open(int(camera) if camera.isdecimal() else camera, backend):
            break
    return capture


def _ask(capture: cv2.VideoCapture, asked: CameraMode) -> CameraMode:
    """Ask for a mode and return what is granted."""
    if asked.pixel_format is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.pixel_format))
    if asked.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.size[1])
    if asked.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.fps)
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFF_FFFF
    pixel_format = code.to_bytes(4, "little").decode("ascii", "replace")
    if sys.platform == "linux" and pixel_format in ("YUYV", "MJPG"):
        # YUYV's planes are at hand: half the work of going through BGR, and all of the colour. Of a JPEG that cannot be
        # decoded OpenCV gives what lies in memory, without a word.
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    size = (max(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), 1), max(int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), 1))
    fps = capture.get(cv2.CAP_PROP_FPS)
    return CameraMode(
        size, fps if 0 < fps <= 1000 else None, pixel_format if pixel_format.replace(" ", "").isalnum() else None
    )


def _opened_record(name: str, granted: CameraMode) -> Record:
    width, height = granted.size or (1, 1)
    fps, pixel_format = granted.fps or 0.0, granted.pixel_format or ""
    return Record(Kind.OPENED, width=width, height=height, fps=fps, pixel_format=pixel_format, text=name)


def _retrieved(capture: cv2.VideoCapture) -> UInt8 | None:
    """Return the picture that was grabbed, (H, W, 3) BGR or (H, W, 2) YUYV uint8; None: it cannot be decoded."""
    try:
        is_read, raw = capture.retrieve()
        # One line is the bytes of a JPEG.
        picture = cv2.imdecode(raw, cv2.IMREAD_COLOR) if is_read and raw.shape[0] == 1 else raw
        if is_read and picture is not None and picture.ndim == 2:  # from an infra-red camera
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    except cv2.error:
        return None
    if not is_read or picture is None or picture.dtype != np.uint8 or picture.shape[2:] not in ((2,), (3,)):
        return None
    return np.asarray(picture, np.uint8)


def _captured_ns(capture: cv2.VideoCapture) -> int:
    """Return when the picture was captured: by the driver's stamp where that is of this clock, else now."""
    now = time.monotonic_ns()
    if sys.platform != "linux":  # other systems count from the camera's start
        return now
    stamp = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
    return stamp if now - _OLDEST_PICTURE_SECONDS * 1e9 <= stamp <= now else now


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads a camera for streamer; not for people to call.")
    parser.add_argument("camera")
    parser.add_argument("--wire", type=int, help="descriptor of the socket; by default it comes on standard input")
    parser.add_argument("--memory", required=True, help="descriptor or tag of the ring's memory")
    parser.add_argument("--size", type=parsed_size)
    parser.add_argument("--fps", type=float)
    parser.add_argument("--pixel-format")
    return parser.parse_args()


def _shared_memory(handle: str) -> SharedMemory:
    """Return the parent's memory, and no file that somebody could want to keep."""
    if sys.platform == "win32":
        return SharedMemory(handle)
    memory = SharedMemory(int(handle))
    described = os.fstat(int(handle))
    if not stat.S_ISREG(described.st_mode) or described.st_nlink:
        raise UsageError("the memory must be a file without a name")
    return memory


def _wire(descriptor: int | None) -> socket.socket:
    if sys.platform == "win32":
        size = int.from_bytes(sys.stdin.buffer.read(4), "little")
        return socket.fromshare(sys.stdin.buffer.read(size))
    if descriptor is None:
        raise UsageError("--wire is needed")
    return socket.socket(fileno=descriptor)


def main() -> int:
    """Capture until the parent is gone."""
    arguments = _arguments()
    try:
        asked = CameraMode(arguments.size, arguments.fps, arguments.pixel_format)
        ring = RingWriter(_shared_memory(arguments.memory))
        wire = _wire(arguments.wire)
    except (UsageError, OSError, ValueError) as error:
        print(f"{error}; this is run by streamer's camera source", file=sys.stderr)  # noqa: T201  for the curious
        return 2
    cv2.setNumThreads(1)  # a picture's conversion takes a millisecond; its neighbours need the cores
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        Capture(arguments.camera, asked, ring, Sender(wire)).run(ParentWatch(wire))
    return 0


if __name__ == "__main__":
    sys.exit(main())
