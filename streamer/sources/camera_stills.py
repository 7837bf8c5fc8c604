"""A few pictures from a camera, for enrolment.

A camera that stalls hangs whoever reads it, time-outs or not, so a process of its own reads it and is killed if it
takes too long. Run as `python -m streamer.sources.camera_stills CAMERA COUNT EVERY_SECONDS`, it writes each picture to
its standard output: four bytes with its length, then a PNG.
"""

from __future__ import annotations

import subprocess
import sys
import time

import cv2
import numpy as np

from streamer.errors import SourceOpenError
from streamer.pictures import BgrPicture

_START_SECONDS = 10.0  # a camera opens and sets its exposure
_LENGTH_BYTES = 4


def camera_stills(camera: int, count: int, every_seconds: float) -> list[BgrPicture]:
    """Take pictures from a camera.

    Args:
        camera: Its number, from 0.
        count: How many.
        every_seconds: Between two.

    Raises:
        SourceOpenError: There is no such camera, or it gave no picture in time.
    """
    command = [sys.executable, "-m", __name__, str(camera), str(count), str(every_seconds)]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter, numbers for arguments
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_START_SECONDS + count * every_seconds * 2,
            check=False,
        )
        content = done.stdout
    except subprocess.TimeoutExpired as error:
        content = error.stdout or b""
    pictures = list(_parsed(content))
    if not pictures:
        raise SourceOpenError(
            f"the camera {camera} gave no picture; check that it is plugged in and that no other program uses it"
        )
    return pictures


def _parsed(content: bytes) -> list[BgrPicture]:
    pictures = []
    start = 0
    while start + _LENGTH_BYTES <= len(content):
        end = start + _LENGTH_BYTES + int.from_bytes(content[start : start + _LENGTH_BYTES], "big")
        bgr = cv2.imdecode(np.frombuffer(content[start + _LENGTH_BYTES : end], np.uint8), cv2.IMREAD_COLOR)
        if end > len(content) or bgr is None:
            break  # cut off by the time-out
        pictures.append(BgrPicture(np.asarray(bgr, np.uint8)))
        start = end
    return pictures


def _write_stills(camera: int, count: int, every_seconds: float) -> None:
    capture = cv2.VideoCapture(camera)
    taken, next_at = 0, time.monotonic()
    while taken < count:
        is_read, bgr = capture.read()
        if not is_read:
            break
        if time.monotonic() < next_at:
            continue  # read on, or the next picture would be an old one
        png = cv2.imencode(".png", bgr)[1].tobytes()
        sys.stdout.buffer.write(len(png).to_bytes(_LENGTH_BYTES, "big") + png)
        sys.stdout.buffer.flush()
        taken, next_at = taken + 1, time.monotonic() + every_seconds
    capture.release()


if __name__ == "__main__":
    _write_stills(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
