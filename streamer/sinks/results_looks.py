"""What a results file keeps of each track so that it can be named later: good looks spread over time, and a crop."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from streamer.recorded import MAX_LOOKS
from streamer.types import Float32, Look

_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, eq=False)
class KeptLook:
    """One view: `vector` (D,) float32."""

    pts_seconds: float
    quality: float
    vector: Float32


class LookShelf:
    """The looks of one track, MAX_LOOKS at most, and a JPEG of the best one's crop."""

    __slots__ = ("_best_quality", "crop", "looks")

    def __init__(self) -> None:
        self.looks: list[KeptLook] = []
        self.crop: bytes | None = None
        self._best_quality = -1.0

    def add(self, pts_seconds: float, look: Look) -> None:
        """Take a look, later than all before; where there are too many, the one goes that says least."""
        self.looks.append(KeptLook(pts_seconds, look.quality, look.vector))
        if look.quality > self._best_quality:
            self._best_quality, self.crop = look.quality, _jpeg(look)
        if len(self.looks) > MAX_LOOKS:
            del self.looks[self._least()]

    def _least(self) -> int:
        """Return the place of the look to do without: of low quality, with others close in time; never the best one.

        Each stands for the time between its neighbours; the first and the last one for twice that on their open side.
        """
        times = np.array([look.pts_seconds for look in self.looks])
        qualities = np.array([look.quality for look in self.looks])
        gaps = np.diff(times)
        alone = np.concatenate([[2 * gaps[0]], gaps[1:] + gaps[:-1], [2 * gaps[-1]]])
        worth = qualities * alone
        worth[int(np.argmax(qualities))] = np.inf
        return int(np.argmin(worth))


def vector_text(vector: Float32) -> str:
    """Return a (D,) vector as a results file holds it: base64 of little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def crop_text(jpeg: bytes) -> str:
    """Return a JPEG as a results file holds it."""
    return base64.b64encode(jpeg).decode("ascii")


def _jpeg(look: Look) -> bytes:
    _, content = cv2.imencode(".jpg", look.crop, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return content.tobytes()
