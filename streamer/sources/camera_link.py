"""What a camera's capture process and the process that reads it have in common: records, and pictures in shared memory.

The memory has no name that could be left behind: where the system can, it is a file without a directory entry that the
child inherits; on Windows it vanishes with its last user. So killing either process at any time leaves nothing.
"""

from __future__ import annotations

import enum
import mmap
import os
import secrets
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.pictures import UInt8

# Pictures in the ring: one being written, the newest, and two for a reader that is slow to copy.
SLOTS = 4
_HEADER_BYTES = 4096  # the sequence number of each slot's picture; a page, so that pictures are aligned
_TEXT_BYTES = 96


class Kind(enum.IntEnum):
    """What a record tells."""

    OPENED = 1  # the camera granted a mode; its name is the text
    FRAME = 2  # a picture lies in a slot
    LOST = 3  # there is no picture, for a reason; it is being tried again


class Reason(enum.IntEnum):
    """Why there is no picture."""

    NONE = 0
    ABSENT = 1
    FORBIDDEN = 2
    BUSY = 3
    NOT_A_CAMERA = 4
    NO_PICTURE = 5


@dataclass(frozen=True, slots=True)
class Record:
    """One message of the capture process.

    Attributes:
        kind: Which of the others mean something.
        reason: LOST: why.
        slot: FRAME: where in the ring.
        slot_bytes: FRAME: the size of each slot.
        sequence: FRAME: counts the pictures captured, from 1.
        captured_ns: FRAME: `time.monotonic_ns()` of the picture.
        width: FRAME, OPENED: px.
        height: FRAME, OPENED: px.
        fps: OPENED: pictures a second that the camera declares; 0: none.
        pixel_format: OPENED: four characters.
        text: OPENED: the camera's name.
    """

    kind: Kind
    reason: Reason = Reason.NONE
    slot: int = 0
    slot_bytes: int = 0
    sequence: int = 0
    captured_ns: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    pixel_format: str = ""
    text: str = ""

    def packed(self) -> bytes:
        """Return the record as RECORD_BYTES bytes."""
        numbers = (self.slot, self.slot_bytes, self.sequence, self.captured_ns, self.width, self.height, self.fps)
        texts = (self.pixel_format.encode("ascii", "replace"), self.text.encode()[:_TEXT_BYTES])
        return _RECORD.pack(self.kind, self.reason, *numbers, *texts)

    @classmethod
    def unpacked(cls, packed: bytes) -> Record:
        """Read what `packed` wrote."""
        kind, reason, *others, pixel_format, text = _RECORD.unpack(packed)
        slot, slot_bytes, sequence, captured_ns, width, height, fps = others
        return cls(
            kind=Kind(kind),
            reason=Reason(reason),
            slot=slot,
            slot_bytes=slot_bytes,
            sequence=sequence,
            captured_ns=captured_ns,
            width=width,
            height=height,
            fps=fps,
            pixel_format=pixel_format.rstrip(b"\0").decode("ascii", "replace"),
            text=text.rstrip(b"\0").decode(errors="ignore"),
        )


_RECORD = struct.Struct(f"<BBIQQqIId4s{_TEXT_BYTES}s")
RECORD_BYTES = _RECORD.size


def records_in(received: bytearray) -> Iterator[Record]:
    """Take the whole records off the front of what was received."""
    while len(received) >= RECORD_BYTES:
        packed = bytes(received[:RECORD_BYTES])
        del received[:RECORD_BYTES]
        yield Record.unpacked(packed)


class SharedMemory:
    """Memory that grows, and that a child process knows by its `handle`: a descriptor, or on Windows a tag."""

    def __init__(self, handle: int | str) -> None:
        self.handle = handle

    @classmethod
    def create(cls) -> SharedMemory:
        """Return new memory of no size."""
        if sys.platform == "win32":
            return cls(f"streamer-{secrets.token_hex(16)}")
        if sys.platform != "linux":
            with tempfile.TemporaryFile() as file:
                return cls(os.dup(file.fileno()))
        return cls(os.memfd_create("streamer-camera", os.MFD_CLOEXEC))

    def to_write(self, size: int) -> mmap.mmap:
        """Return a view of `size` bytes, which it is made to have at least."""
        if isinstance(self.handle, str):
            return _tagged(self.handle, size)
        if os.fstat(self.handle).st_size < size:  # never smaller: whoever still reads what is gone would be killed
            os.ftruncate(self.handle, size)
        return mmap.mmap(self.handle, size)

    def to_read(self, size: int) -> mmap.mmap:
        """Return a view of `size` bytes. Raises ValueError where it has fewer."""
        if isinstance(self.handle, str):
            return _tagged(self.handle, size)
        return mmap.mmap(self.handle, size, access=mmap.ACCESS_READ)

    def close(self) -> None:
        """Let go of it; views stay good."""
        if isinstance(self.handle, int) and self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def _tagged(tag: str, size: int) -> mmap.mmap:
    """Return Windows's memory of a name; its size is fixed, so another size is another memory."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size, tagname=f"{tag}-{size}")
    raise AssertionError("memory has tags on Windows only")


class _View:
    """A view of the ring's memory with slots of one size."""

    def __init__(self, memory: mmap.mmap, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self.sequences: npt.NDArray[np.int64] = np.frombuffer(memory, np.int64, SLOTS)
        self._bytes = np.frombuffer(memory, np.uint8)

    def slot(self, number: int, width: int, height: int) -> UInt8:
        """Return the (3h/2, w) planes in a slot, sides made even."""
        shape = _packed_shape(width, height)
        start = _HEADER_BYTES + number * self.slot_bytes
        return self._bytes[start : start + shape[0] * shape[1]].reshape(shape)


def _packed_shape(width: int, height: int) -> tuple[int, int]:
    return (height + 1) // 2 * 3, (width + 1) // 2 * 2


def _ring_bytes(slot_bytes: int) -> int:
    return _HEADER_BYTES + SLOTS * slot_bytes


class RingWriter:
    """The capture process's end of the ring.

    A slot's sequence number is 0 while its picture is written, so that a reader can tell whether what it copied is
    whole.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._view: _View | None = None
        self._next = 0

    def claim(self, width: int, height: int) -> UInt8:
        """Return the (3h/2, w) uint8 planes to be filled next; sides are made even."""
        rows, columns = _packed_shape(width, height)
        view = self._view
        if view is None or view.slot_bytes < rows * columns:
            slot_bytes = -(-rows * columns // 4096) * 4096
            view = self._view = _View(self._memory.to_write(_ring_bytes(slot_bytes)), slot_bytes)
            view.sequences[:] = 0  # slots lie elsewhere now
        view.sequences[self._next] = 0
        return view.slot(self._next, width, height)

    def publish(self, sequence: int, captured_ns: int, width: int, height: int) -> Record:
        """Give the claimed planes their number and return the record that tells of them."""
        assert self._view is not None
        slot, self._next = self._next, (self._next + 1) % SLOTS
        self._view.sequences[slot] = sequence
        return Record(
            Kind.FRAME,
            slot=slot,
            slot_bytes=self._view.slot_bytes,
            sequence=sequence,
            captured_ns=captured_ns,
            width=width,
            height=height,
        )


class RingReader:
    """The reading process's end of the ring."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._view: _View | None = None

    def copy(self, record: Record) -> UInt8 | None:
        """Return a copy of a picture's (3h/2, w) planes; None: it has been overwritten meanwhile."""
        view = self._view
        if view is None or view.slot_bytes != record.slot_bytes:
            view = self._view = _View(self._memory.to_read(_ring_bytes(record.slot_bytes)), record.slot_bytes)
        if view.sequences[record.slot] != record.sequence:
            return None
        packed = view.slot(record.slot, record.width, record.height).copy()
        return packed if view.sequences[record.slot] == record.sequence else None


class Sender:
    """The capture process's end of the wire. All methods raise OSError once the other end is gone."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire

    def tell(self, record: Record) -> None:
        """Send a record, however long the reader takes."""
        self._wire.setblocking(True)
        self._wire.sendall(record.packed())

    def offer(self, record: Record) -> None:
        """Send a record unless the reader is so far behind that the wire is full: the next one will do as well."""
        self._wire.setblocking(False)
        packed = record.packed()
        try:
            sent = self._wire.send(packed)
        except BlockingIOError:
            return
        if sent < len(packed):
            self._wire.setblocking(True)
            self._wire.sendall(packed[sent:])
