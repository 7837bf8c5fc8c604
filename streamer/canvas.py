"""Canvases: writable copies of pictures to draw on, and memory for them that is used again."""

from __future__ import annotations

import sys

import numpy as np

from streamer.pictures import I420Picture, Picture, UInt8, pack, packed_from_bgr, packed_shape, planes_of


def _references(buffers: list[UInt8], place: int) -> int:
    return sys.getrefcount(buffers[place])


# To a buffer that nobody but its list refers to; how many the counting adds differs between Pythons.
_FREE = _references([np.empty(0, np.uint8)], 0)


class BufferRing:
    """Memory for canvases, used again once nobody refers to it: fresh pages cost more than the copying.

    One thread takes; whoever holds a canvas, a plane of it or a view of one keeps its buffer, in any thread.
    """

    def __init__(self) -> None:
        self._buffers: list[UInt8] = []

    def take(self, shape: tuple[int, int]) -> UInt8:
        """Return a buffer of `shape` uint8 that nothing else refers to; what it holds is left over."""
        if self._buffers and self._buffers[0].shape != shape:
            self._buffers.clear()
        for place in range(len(self._buffers)):
            if _references(self._buffers, place) <= _FREE:
                return self._buffers[place]
        self._buffers.append(np.empty(shape, np.uint8))
        return self._buffers[-1]


class Canvas:
    """A writable copy of a picture's I420 planes, to draw on; sides are even because H.264 4:2:0 needs them so.

    An odd source side is extended by repeating its last row or column, so nothing is cut off or rescaled.
    The decoder may still refer to its own planes, hence the copy.

    Args:
        picture: What is copied.
        ring: Where the copy's memory comes from; None: from the system.
    """

    __slots__ = ("is_bt709", "u", "v", "y")

    def __init__(self, picture: Picture, ring: BufferRing | None = None) -> None:
        if isinstance(picture, I420Picture):
            shape = packed_shape(picture)
            buffer = np.empty(shape, np.uint8) if ring is None else ring.take(shape)
            packed = pack(picture.y, picture.u, picture.v, buffer)
        else:
            packed = packed_from_bgr(picture.bgr())
        self.y, self.u, self.v = planes_of(packed)
        self.is_bt709 = isinstance(picture, I420Picture) and picture.is_bt709

    @classmethod
    def untouched(cls, picture: Picture) -> Canvas:
        """Return a canvas to show as it is: the picture's own planes, read-only, where their sides are even."""
        if not isinstance(picture, I420Picture) or picture.width % 2 or picture.height % 2:
            return cls(picture)
        canvas = cls.__new__(cls)
        canvas.y, canvas.u, canvas.v, canvas.is_bt709 = picture.y, picture.u, picture.v, picture.is_bt709
        return canvas

    @property
    def width(self) -> int:
        """Width in pixels, even."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, even."""
        return int(self.y.shape[0])

    def picture(self) -> I420Picture:
        """Return a read-only view of the planes."""
        return I420Picture(self.y, self.u, self.v, is_bt709=self.is_bt709)

    def bgr(self) -> UInt8:
        """Convert the drawn picture, (H, W, 3) uint8: for windows, pages and snapshots."""
        return self.picture().bgr()
