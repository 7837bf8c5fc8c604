"""Crops out of the planes of pictures, resized by OpenCV: no summed-area tables, no conversion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.detectors.cascade import Part
from streamer.pictures import UInt8

Places = npt.NDArray[np.intp]
Windows = npt.NDArray[np.int64]

_AREA_SHRINK = 2  # from here on sampling two pixels would pass over others


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of a part of a picture: y (h, w), u and v (ceil(h/2), ceil(w/2)) uint8.

    Attributes:
        y: Luma.
        u: Blue difference.
        v: Red difference.
        left: 0 or 1: so many columns of y lie before the part, which chroma pixels are shared with.
        top: The same for rows.
    """

    y: UInt8
    u: UInt8
    v: UInt8
    left: int
    top: int


class YuvParts:
    """The planes of some parts of pictures.

    Attributes:
        sizes: (B, 2) width and height of each.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.sizes = np.array([part.size for part in parts], np.int64).reshape(-1, 2)
        self._planes = [_planes(part) for part in parts]

    def planes(self, owner: int) -> Planes:
        """Return the planes of one part."""
        return self._planes[owner]

    def crops(self, windows: Windows, owners: Places, side: int, chunk: int) -> Iterator[UInt8]:
        """Cut out what is inside (N, 4) windows of their owners' parts, none empty, resized to side × side.

        Yields:
            So many at a time as `chunk` says, (n, 3, side, side) uint8 planes.
        """
        buffer = np.empty((min(chunk, len(windows)), 3, side, side), np.uint8)
        corners, places = windows.tolist(), owners.tolist()
        for start in range(0, len(corners), chunk):
            some = corners[start : start + chunk]
            for crop, (left, top, right, bottom), owner in zip(buffer, some, places[start:], strict=False):
                planes = self._planes[owner]
                x1, y1, x2, y2 = left + planes.left, top + planes.top, right + planes.left, bottom + planes.top
                how = cv2.INTER_AREA if x2 - x1 > _AREA_SHRINK * side else cv2.INTER_LINEAR
                cv2.resize(planes.y[y1:y2, x1:x2], (side, side), crop[0], interpolation=how)
                half = (slice(y1 // 2, (y2 + 1) // 2), slice(x1 // 2, (x2 + 1) // 2))
                cv2.resize(planes.u[half], (side, side), crop[1], interpolation=how)
                cv2.resize(planes.v[half], (side, side), crop[2], interpolation=how)
            yield buffer[: len(some)]


def _planes(part: Part) -> Planes:
    left, top, right, bottom = part.xyxy
    y, u, v = part.picture.planes((left // 2 * 2, top // 2 * 2, right, bottom))
    return Planes(y, u, v, left % 2, top % 2)
