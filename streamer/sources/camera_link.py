"""What a camera's capture process tells the process that reads it: small records of one size, over a socket.

The pictures themselves lie in the ring (`camera_ring.py`).
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

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
