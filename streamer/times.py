"""Stream time: as people read it, and how long each frame of a stream stands."""

from __future__ import annotations


def clock(seconds: float, decimals: int = 1) -> str:
    """Return a time of a stream as people read it: 1:02:03.4; `decimals`: of the seconds."""
    scale = 10**decimals
    minutes, rest = divmod(round(max(seconds, 0.0) * scale), 60 * scale)
    hours, minutes = divmod(minutes, 60)
    last = f"{rest / scale:0{decimals + 3 if decimals else 2}.{decimals}f}"
    return f"{hours}:{minutes:02d}:{last}" if hours else f"{minutes}:{last}"


class FrameSteps:
    """How long each frame stands: until the next one, at any frame rate; the last one as long as the one before it.

    Args:
        frame_seconds: How long the last frame stands where it is also the first.
    """

    __slots__ = ("_previous_seconds", "last_seconds")

    def __init__(self, frame_seconds: float) -> None:
        self.last_seconds = frame_seconds  # how long the frame before the newest one stood
        self._previous_seconds: float | None = None

    def advance(self, pts_seconds: float) -> float | None:
        """Take the next frame; return how long the one before it stood, None where this is the first."""
        before, self._previous_seconds = self._previous_seconds, pts_seconds
        if before is None:
            return None
        self.last_seconds = max(pts_seconds - before, 0.0)
        return self.last_seconds
