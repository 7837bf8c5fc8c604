"""Takes arrays as frames: the way in for a program that has its pictures already."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from streamer.errors import SourceOpenError, UsageError, printable
from streamer.pictures import BgrPicture, UInt8
from streamer.types import Frame, SourceInfo


class ArraysSource:
    """The frames of an iterable of arrays, taken one at a time, when they are read.

    Each is copied, so the caller may fill the same array again and again.

    Args:
        arrays: (H, W, 3) uint8 BGR; the first is taken at once to learn the size; later sizes may differ.
        fps: Frames a second of stream time.
        name: For people, and the source's id.

    Raises SourceOpenError where there is no array, and UsageError, here or from `read`, where one is no BGR picture.
    """

    def __init__(self, arrays: Iterable[UInt8], fps: float = 25.0, name: str = "arrays") -> None:
        if not 0.001 <= fps <= 1000:
            raise UsageError(f"frames a second must lie between 0.001 and 1000, not {fps:g}")
        self._name = printable(name)
        self._source_id = name
        self._seconds_apart = 1 / Fraction(fps).limit_denominator(1_000_000)
        self._frames = self._deliver(iter(arrays))
        self._first = next(self._frames, None)
        if self._first is None:
            raise SourceOpenError(f"{self._name} holds no array")
        self._info = SourceInfo(
            source_id=self._source_id,
            name=self._name,
            width=self._first.picture.width,
            height=self._first.picture.height,
            declared_fps=fps,
            frame_count=len(arrays) if isinstance(arrays, list | tuple | np.ndarray) else None,
            time_base=self._seconds_apart,
        )

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame; width and height are the first array's."""
        return self._info

    @property
    def skipped(self) -> int:
        """Always 0: an array that is no picture is an error of the program that gave it."""
        return 0

    def read(self) -> Frame | None:
        """Return the next frame, None at the end. Raises UsageError where the array is no BGR picture."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._frames, None)

    def close(self) -> None:
        """Take no more arrays."""
        self._first, self._frames = None, iter(())

    def _deliver(self, arrays: Iterator[UInt8]) -> Iterator[Frame]:
        for index, array in enumerate(arrays):
            _check(array, index)
            picture = BgrPicture(np.array(array, order="C"))
            yield Frame(picture, index, float(index * self._seconds_apart), time.monotonic(), self._source_id)


def _check(array: UInt8, index: int) -> None:
    if not isinstance(array, np.ndarray):
        raise UsageError(f"array {index} must be a NumPy array, (H, W, 3) uint8 BGR, not a {type(array).__name__}")
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise UsageError(f"array {index} must be (H, W, 3) uint8 BGR, not {array.dtype} of shape {array.shape}")
