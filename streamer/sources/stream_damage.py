"""Tells which frames of a stream are whole: undamaged themselves, and made from undamaged ones only.

The decoder flags a frame of which packets are missing, but neither those that refer to it, nor that a frame is missing
altogether: that shows in the time stamps alone. Measured with 3 % of packets lost at 720p25: of 150 frames 65 differed
from what was sent, 3 of them flagged.
"""

from __future__ import annotations

import statistics
import time
from collections import deque

from av.video.frame import VideoFrame

# Damage lasts until a key frame; where none comes, as in streams that refresh themselves part by part, it is mended by
# then for the most part.
_LONGEST_SECONDS = 5.0
_STEPS = 15
# Servers stamp frames when they come, so steps vary by half a frame.
_GAP_STEPS = 1.7


class Damage:
    """Follows one connection's frames.

    Args:
        may_lose: The transport loses packets, so a gap in the time stamps is a lost frame, and not one that the camera
            left out.
    """

    def __init__(self, *, may_lose: bool) -> None:
        self._may_lose = may_lose
        self._until = 0.0
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._last: int | None = None

    def note_packet(self, dts: int | None) -> None:
        """Take a packet's decoding stamp: where one is missing before it, what comes is made from what is missing."""
        if not self._may_lose or dts is None:
            return
        step = 0 if self._last is None else dts - self._last
        self._last = dts
        if len(self._steps) == _STEPS and step > _GAP_STEPS * statistics.fmean(self._steps):
            self.note_damage()
        if step > 0:
            self._steps.append(step)

    def note_damage(self) -> None:
        """From now on nothing is whole, until a key frame."""
        self._until = time.monotonic() + _LONGEST_SECONDS

    def is_whole(self, frame: VideoFrame) -> bool:
        """Tell whether the next frame is."""
        if frame.is_corrupt:
            self.note_damage()
        elif frame.key_frame:
            self._until = 0.0
        return time.monotonic() >= self._until
