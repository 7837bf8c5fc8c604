"""Single pictures as PNG files, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2

from streamer.errors import SinkError
from streamer.pictures import UInt8
from streamer.sinks.files import PartFile, write_error

PNG_SUFFIXES = (".png",)


def write_png(path: Path, pixels: UInt8) -> None:
    """Write (H, W, 3) uint8 BGR pixels; see `check_output` for what to ask before.

    Raises:
        SinkError: It cannot be written; nothing is left of it, and what had the name before has it still.
    """
    is_encoded, content = cv2.imencode(".png", pixels)
    if not is_encoded:
        raise SinkError(f"cannot write {path}: the picture has more pixels than a PNG file here may have")
    try:
        part = PartFile(path)
        try:
            part.write(content.tobytes())
            part.publish()
        except BaseException:
            part.remove()
            raise
    except OSError as error:
        raise write_error(path, error) from error
