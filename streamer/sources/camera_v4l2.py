"""What a Linux camera says of itself: its name and the modes it can be asked for.

The requests and their layouts are those of <linux/videodev2.h>, "Linux Media Infrastructure userspace API", part I. No
picture is captured here.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streamer.sources.camera_link import Reason

_CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE, and V4L2_MEMORY_MMAP
_CAPTURE_MULTI_PLANAR = 9
_CAP_VIDEO_CAPTURE, _CAP_VIDEO_CAPTURE_MULTI_PLANAR, _CAP_DEVICE_CAPS = 0x1, 0x1000, 0x8000_0000
_DISCRETE = 1
# struct v4l2_format holds pointers in one of its variants, so its size and padding are the machine's.
_FORMAT_PADDING = struct.calcsize("P") - 4
_FORMAT_BYTES = 204 + _FORMAT_PADDING
_MOST_ENTRIES = 256  # of one list; a driver that never says EINVAL must not hold us


def _request(letters: str, number: int, size: int) -> int:
    """Return an ioctl's code: `r` the driver writes, `w` it reads."""
    direction = ("r" in letters) << 1 | ("w" in letters)
    return direction << 30 | size << 16 | ord("V") << 8 | number


_QUERYCAP = _request("r", 0, 104)
_ENUM_FMT = _request("rw", 2, 64)
_G_FMT = _request("rw", 4, _FORMAT_BYTES)
_S_FMT = _request("rw", 5, _FORMAT_BYTES)
_REQBUFS = _request("rw", 8, 20)
_G_PARM = _request("rw", 21, 204)
_ENUM_FRAMESIZES = _request("rw", 74, 44)
_ENUM_FRAMEINTERVALS = _request("rw", 75, 52)


@dataclass(frozen=True, slots=True)
class OfferedMode:
    """One picture format and size that a camera can be asked for.

    Attributes:
        pixel_format: Four characters, such as YUYV.
        size: Width and height, px.
        rates: Pictures a second, highest first; empty: not told.
        smallest: Where any size up to `size` is possible, the smallest; None: this one only.
    """

    pixel_format: str
    size: tuple[int, int]
    rates: tuple[float, ...] = ()
    smallest: tuple[int, int] | None = None


class CameraUnusableError(Exception):
    """A node is no camera that can be used now; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


def reason_of(error: OSError) -> Reason:
    """Say what an error of the system means for a camera."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return Reason.FORBIDDEN
    if error.errno == errno.EBUSY:
        return Reason.BUSY
    if error.errno in (errno.ENOTTY, errno.EINVAL):
        return Reason.NOT_A_CAMERA
    return Reason.ABSENT


@contextmanager
def opened(node: str) -> Iterator[int]:
    """Open a camera's node for questions. Raises CameraUnusableError where it cannot be."""
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CameraUnusableError(reason_of(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _ask(descriptor: int, request: int, layout: bytes | bytearray) -> bytes | None:
    """Return the driver's answer; None: it has none."""
    import fcntl  # not on Windows

    answer = bytearray(layout)
    try:
        fcntl.ioctl(descriptor, request, answer)
    except OSError:
        return None
    return bytes(answer)


def camera_name(descriptor: int) -> str:
    """Return the camera's own name. Raises CameraUnusableError where the node is not a camera's."""
    import fcntl

    answer = bytearray(104)
    try:
        fcntl.ioctl(descriptor, _QUERYCAP, answer)
    except OSError as error:
        raise CameraUnusableError(reason_of(error)) from error
    capabilities, of_this_node = struct.unpack_from("=II", answer, 84)
    if capabilities & _CAP_DEVICE_CAPS:
        capabilities = of_this_node
    if not capabilities & (_CAP_VIDEO_CAPTURE | _CAP_VIDEO_CAPTURE_MULTI_PLANAR):
        raise CameraUnusableError(Reason.NOT_A_CAMERA)  # metadata, an output, a radio
    return bytes(answer[16:48]).split(b"\0")[0].decode(errors="replace").strip()


def is_busy(descriptor: int) -> bool:
    """Say whether another program streams from the camera: a driver then keeps format and buffers as they are."""
    import fcntl

    layout = _ask(descriptor, _G_FMT, struct.pack("=I", _CAPTURE).ljust(_FORMAT_BYTES, b"\0"))
    buffers = struct.pack("=III", 1, _CAPTURE, _CAPTURE).ljust(20, b"\0")
    for request, argument in ((_S_FMT, layout), (_REQBUFS, buffers)):
        try:
            if argument is not None:
                fcntl.ioctl(descriptor, request, bytearray(argument))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return True
    return False


def offered_modes(descriptor: int) -> tuple[OfferedMode, ...]:
    """Return all formats and sizes; of a driver that does not list them, the current one."""
    modes = [
        mode
        for kind in (_CAPTURE, _CAPTURE_MULTI_PLANAR)
        for pixel_format in _pixel_formats(descriptor, kind)
        for mode in _sizes(descriptor, pixel_format)
    ]
    return tuple(modes) or _current(descriptor)


def _text(pixel_format: int) -> str:
    return pixel_format.to_bytes(4, "little").decode("ascii", "replace")


def _pixel_formats(descriptor: int, kind: int) -> Iterator[int]:
    for index in range(_MOST_ENTRIES):
        answer = _ask(descriptor, _ENUM_FMT, struct.pack("=II", index, kind).ljust(64, b"\0"))
        if answer is None:
            return
        yield struct.unpack_from("=I", answer, 44)[0]


def _sizes(descriptor: int, pixel_format: int) -> Iterator[OfferedMode]:
    for index in range(_MOST_ENTRIES):
        answer = _ask(descriptor, _ENUM_FRAMESIZES, struct.pack("=II", index, pixel_format).ljust(44, b"\0"))
        if answer is None:
            return
        kind, *sides = struct.unpack_from("=I6I", answer, 8)
        if kind == _DISCRETE:
            size = (sides[0], sides[1])
            yield OfferedMode(_text(pixel_format), size, _rates(descriptor, pixel_format, size))
        else:  # any size between two
            size = (sides[1], sides[4])
            rates = _rates(descriptor, pixel_format, size)
            yield OfferedMode(_text(pixel_format), size, rates, smallest=(sides[0], sides[3]))
            return


def _rates(descriptor: int, pixel_format: int, size: tuple[int, int]) -> tuple[float, ...]:
    rates = set()
    for index in range(_MOST_ENTRIES):
        question = struct.pack("=IIII", index, pixel_format, *size).ljust(52, b"\0")
        answer = _ask(descriptor, _ENUM_FRAMEINTERVALS, question)
        if answer is None:
            break
        kind, numerator, denominator = struct.unpack_from("=III", answer, 16)
        if numerator:
            rates.add(denominator / numerator)  # of a range, the shortest interval comes first
        if kind != _DISCRETE:
            break
    return tuple(sorted(rates, reverse=True))


def _current(descriptor: int) -> tuple[OfferedMode, ...]:
    answer = _ask(descriptor, _G_FMT, struct.pack("=I", _CAPTURE).ljust(_FORMAT_BYTES, b"\0"))
    if answer is None:
        return ()
    width, height, pixel_format = struct.unpack_from("=III", answer, 4 + _FORMAT_PADDING)
    timing = _ask(descriptor, _G_PARM, struct.pack("=I", _CAPTURE).ljust(204, b"\0"))
    numerator, denominator = struct.unpack_from("=II", timing, 12) if timing else (0, 0)
    rates = (denominator / numerator,) if numerator else ()
    return (OfferedMode(_text(pixel_format), (width, height), rates),)
