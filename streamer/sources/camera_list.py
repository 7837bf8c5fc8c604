"""Lists the cameras of this machine with the modes that they can be asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SourceOpenError, printable
from streamer.sources.camera import CameraSource
from streamer.sources.camera_link import Reason
from streamer.sources.camera_v4l2 import CameraUnusableError, OfferedMode, camera_name, is_busy, offered_modes, opened
from streamer.sources.camera_words import trouble

_NODES = 64  # /dev/video0 and up; a node need not be in the directory to be there
_NUMBERS = 10
_NAMES = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class ListedCamera:
    """One camera.

    Attributes:
        address: What `CameraSource` is given to open it: a path on Linux, a number elsewhere.
        name: Its own name; empty: not told.
        modes: What it can be asked for; elsewhere than on Linux, what it gives by itself.
        trouble: Why it cannot be used now; empty: it can.
    """

    address: str
    name: str
    modes: tuple[OfferedMode, ...] = ()
    trouble: str = ""


def list_cameras() -> tuple[ListedCamera, ...]:
    """Return the cameras there are; those that may not, or cannot, be opened say so."""
    if sys.platform != "linux":
        return tuple(_numbered())
    nodes = (f"/dev/video{number}" for number in range(_NODES))
    return tuple(camera for node in nodes for camera in _on_linux(node))


def camera_lines(cameras: Sequence[ListedCamera]) -> list[str]:
    """Write cameras and modes for people, a line each."""
    return [line for camera in cameras for line in (_headline(camera), *map(_mode_line, camera.modes))]


def _on_linux(node: str) -> Iterator[ListedCamera]:
    """Yield the camera of a node, if it is one's."""
    try:
        with opened(node) as descriptor:
            name = printable(camera_name(descriptor))
            reason = trouble(Reason.BUSY) if is_busy(descriptor) else ""
            yield ListedCamera(node, name, offered_modes(descriptor), reason)
    except CameraUnusableError as unusable:
        if unusable.reason in (Reason.FORBIDDEN, Reason.BUSY):
            yield ListedCamera(node, _public_name(node), trouble=trouble(unusable.reason))


def _public_name(node: str) -> str:
    """Return the name that the system tells everybody."""
    with contextlib.suppress(OSError):
        return printable((_NAMES / Path(node).name / "name").read_text(errors="replace").strip())
    return ""


def _numbered() -> Iterator[ListedCamera]:
    """Yield the cameras that open by number, where the system is not asked for a list; gaps are not expected."""
    for number in range(_NUMBERS):
        try:
            source = CameraSource(number)
        except SourceOpenError:
            return
        granted = source.granted
        source.close()
        mode = OfferedMode(granted.pixel_format or "", granted.size or (0, 0), (granted.fps,) if granted.fps else ())
        yield ListedCamera(str(number), source.info.name, (mode,))


def _headline(camera: ListedCamera) -> str:
    line = "  ".join(part for part in (camera.address, camera.name) if part)
    return f"{line} ({camera.trouble})" if camera.trouble else line


def _mode_line(mode: OfferedMode) -> str:
    smallest = f"{mode.smallest[0]} × {mode.smallest[1]} to " if mode.smallest else ""
    rates = ", ".join(f"{rate:.4g}" for rate in mode.rates)
    size = f"{smallest}{mode.size[0]} × {mode.size[1]}"
    return f"    {printable(mode.pixel_format)}  {size}" + (f" at {rates} fps" if rates else "")
