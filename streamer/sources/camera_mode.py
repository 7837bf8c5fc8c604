"""What a camera may be asked for, and what it granted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamer.errors import UsageError, printable

_LARGEST_SIDE = 16_384
_FOURCC = re.compile(r"[A-Za-z0-9 ]{4}")


@dataclass(frozen=True, slots=True)
class CameraMode:
    """What is asked of a camera; it may grant something else.

    Attributes:
        size: Width and height, px; None: what it gives by itself.
        fps: Pictures a second; None: what it gives by itself.
        pixel_format: Four characters such as MJPG or YUYV; None: what suits size and rate.

    Raises UsageError where a value makes no sense.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and not all(1 <= side <= _LARGEST_SIDE for side in self.size):
            raise UsageError(f"a camera's size must be 1 × 1 to {_LARGEST_SIDE} × {_LARGEST_SIDE}, not {self}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UsageError(f"a camera's rate must lie above 0 and be at most 1000 fps, not {self.fps:g}")
        if self.pixel_format is not None and not _FOURCC.fullmatch(self.pixel_format):
            raise UsageError(
                f"a camera's pixel format has four characters, as in MJPG or YUYV, not {printable(self.pixel_format)}"
            )

    def __str__(self) -> str:
        return mode_text(self.size, self.fps, self.pixel_format)

    def is_granted_by(self, granted: CameraMode) -> bool:
        """Say whether a camera gives all that is asked for."""
        if self.fps is not None and granted.fps is not None and abs(self.fps - granted.fps) > 0.02 * self.fps:
            return False
        return self.size in (None, granted.size) and self.pixel_format in (None, granted.pixel_format)


def mode_text(size: tuple[int, int] | None, fps: float | None, pixel_format: str | None) -> str:
    """Write a mode as people read it: `640 × 480, 30 fps, YUYV`."""
    parts = [f"{size[0]} × {size[1]}" if size else "", f"{fps:.4g} fps" if fps else "", (pixel_format or "").strip()]
    return ", ".join(part for part in parts if part)


def parsed_size(text: str) -> tuple[int, int]:
    """Return the width and height in a text such as `640x480`. Raises ValueError."""
    found = re.fullmatch(r"\s*(\d{1,5})\s*[x×X]\s*(\d{1,5})\s*", text)
    if found is None:
        raise ValueError(f"a size is written as 640x480, not {printable(text)}")
    return int(found[1]), int(found[2])
