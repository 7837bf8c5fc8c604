"""Cameras for tests, through the real V4L2 calls: fake_camera.c, built, filled with pictures and told what to do.

cameras = FakeCameras(folder, built_library(folder))
camera = cameras.add(0, modes=[FakeMode("YUYV", 640, 480, 30)])
camera.show(pictures)               # a list of (480, 640, 3) BGR
run(…, env={**os.environ, **cameras.environment})
camera.tell("unplug")
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from streamer.pictures import UInt8
from streamer.types import Frame

_SOURCE = Path(__file__).with_name("fake_camera.c")
_BARCODE_BITS, _BARCODE_CELL, _BARCODE_ROWS = 24, 16, 32

Word = Literal["ok", "unplug", "stall", "busy", "forbidden", "hang"]


def built_library(folder: Path) -> Path:
    """Compile fake_camera.c; a machine without a compiler or V4L2 skips the test, but for CI, which must have them."""
    library = folder / "fake_camera.so"
    if library.exists():
        return library
    if shutil.which("gcc") is None and os.environ.get("CI") != "true":
        pytest.skip("gcc is not installed, which builds the fake camera")
    command = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


@dataclass(frozen=True)
class FakeMode:
    """One mode: YUYV (even width), MJPG, BGR3, RGB3 or GREY."""

    pixel_format: str = "YUYV"
    width: int = 640
    height: int = 480
    fps: int = 30


class FakeCamera:
    """One camera; see fake_camera.c for its files."""

    def __init__(self, folder: Path, name: str, modes: Sequence[FakeMode], traits: Iterable[str]) -> None:
        folder.mkdir(parents=True)
        self.folder, self._name, self._traits = folder, name, tuple(traits)
        self.offer(modes)

    def offer(self, modes: Sequence[FakeMode]) -> None:
        """Offer other modes to whoever opens it next."""
        self._modes = modes
        lines = [f"mode {one.pixel_format} {one.width} {one.height} {one.fps}" for one in modes]
        (self.folder / "camera").write_text("\n".join([f"name {self._name}", *lines, *self._traits, ""]))

    def tell(self, word: Word) -> None:
        """Plug it out or in, let it stall or hang, be busy or forbidden; at once, whoever reads it."""
        part = self.folder / "control.part"
        part.write_text(word)
        part.replace(self.folder / "control")

    def show(self, pictures: Sequence[UInt8]) -> None:
        """Show (H, W, 3) uint8 BGR pictures in a loop, in each of its modes, scaled to its size."""
        for mode in self._modes:
            size = (mode.width, mode.height)
            scaled = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.uint8) for one in pictures)
            path = self.folder / f"{mode.pixel_format}-{mode.width}x{mode.height}.frames"
            path.write_bytes(b"".join(_coded(one, mode.pixel_format) for one in scaled))

    def log_captures(self) -> Path:
        """Let it write a line with number and nanoseconds for each picture, and return where."""
        (self.folder / "log").touch()
        return self.folder / "log"


class FakeCameras:
    """All cameras of a test; programs see them with `environment` added to theirs."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._folder = folder
        self.environment = {"LD_PRELOAD": str(library), "FAKE_CAMERA": str(folder)}

    def add(
        self,
        number: int = 0,
        modes: Sequence[FakeMode] = (FakeMode(),),
        *,
        name: str = "Fake camera",
        traits: Iterable[str] = (),
    ) -> FakeCamera:
        """Plug in /dev/videoNUMBER; traits are numbered, unlisted, metadata and unstamped."""
        return FakeCamera(self._folder / f"video{number}", name, modes, traits)


def _coded(bgr: UInt8, pixel_format: str) -> bytes:
    if pixel_format == "MJPG":
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        return len(jpeg).to_bytes(4, "little") + jpeg
    if pixel_format == "YUYV":
        return yuyv(bgr).tobytes()
    if pixel_format == "GREY":
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).tobytes()
    return (bgr[..., ::-1] if pixel_format == "RGB3" else bgr).tobytes()


def yuyv(bgr: UInt8) -> UInt8:
    """Return (H, W, 2) uint8 BT.601 limited range, as cameras give it, of (H, W, 3) BGR; W is even."""
    blue, green, red = (bgr[..., channel].astype(np.float64) for channel in range(3))
    luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    blue_difference = 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255
    red_difference = 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255
    packed = np.empty((*bgr.shape[:2], 2))
    packed[..., 0] = luma
    packed[:, ::2, 1] = (blue_difference[:, ::2] + blue_difference[:, 1::2]) / 2
    packed[:, 1::2, 1] = (red_difference[:, ::2] + red_difference[:, 1::2]) / 2
    return np.asarray(packed.round(), np.uint8)


def number_shown(luma: UInt8) -> int:
    """Read the number in the barcode of a `numbered` camera's picture (640 px wide or more) from its (H, W) luma.

    Picture n is captured at n / fps seconds of the monotonic clock, modulo 2^24 pictures.
    """
    middle = _BARCODE_ROWS // 2
    cells = luma[middle, _BARCODE_CELL // 2 : _BARCODE_BITS * _BARCODE_CELL : _BARCODE_CELL]
    return sum(1 << bit for bit, cell in enumerate(cells.tolist()) if cell > 128)


def number_of(frame: Frame) -> int:
    """Read the number in the barcode of a frame."""
    return number_shown(frame.picture.luma())


def moving_face(face: UInt8, width: int, height: int, count: int = 60) -> list[UInt8]:
    """Return pictures in which a face (H, W, 3) goes to and fro over a grey ground."""
    side = height * 2 // 3
    small = np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    pictures = []
    for number in range(count):
        picture = np.full((height, width, 3), 120, np.uint8)
        left = round((width - side) * (0.5 + 0.4 * np.sin(2 * np.pi * number / count)))
        picture[height - side :, left : left + side] = small
        pictures.append(picture)
    return pictures
