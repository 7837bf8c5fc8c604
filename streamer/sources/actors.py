"""Who and what moves through a drawn scene: portraits, their paths, and bars that hide them.

Coordinates are continuous pixels of the scene, durations are seconds of its time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from streamer.pictures import UInt8
from streamer.types import Float32

Motion = Literal["linear", "smooth"]
ActorKey = tuple[float, float, float, float]
OccluderKey = tuple[float, float, float]


def head_mask(picture: UInt8, face_xyxy: Float32) -> UInt8:
    """Return a soft ellipse around the head whose face box is given, (h, w) uint8: 255 keeps, 0 drops."""
    x1, y1, x2, y2 = (float(value) for value in face_xyxy)
    width, height = x2 - x1, y2 - y1
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    across = (columns + 0.5 - (x1 + x2) / 2) / (0.95 * width)
    down = (rows + 0.5 - (y1 + y2) / 2 + 0.06 * height) / (0.9 * height)
    # From full to nothing over the outer sixth of the radius.
    return np.asarray(np.clip((1.0 - np.hypot(across, down)) * 6.0, 0.0, 1.0) * 255.0, np.uint8)


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture of one person, to be moved through scenes.

    Attributes:
        name: Who it is; None where nobody has said.
        picture: (h, w, 3) uint8 BGR.
        face_xyxy: (4,) float32 px in the picture: the box that a detector gives on it.
        landmarks: (5, 2) float32 px in the picture, in the order of `Faces`.
        cut_out: (h, w) uint8, 255 where the person is, soft at the edge; None: a soft ellipse around the head.
    """

    name: str | None
    picture: UInt8
    face_xyxy: Float32
    landmarks: Float32
    cut_out: UInt8 | None = None

    def __post_init__(self) -> None:
        if self.face_xyxy.shape != (4,) or self.landmarks.shape != (5, 2):
            raise ValueError(
                f"face_xyxy must be (4,) and landmarks (5, 2), not {self.face_xyxy.shape} and {self.landmarks.shape}"
            )
        if self.cut_out is not None and self.cut_out.shape != self.picture.shape[:2]:
            raise ValueError(f"cut_out must be {self.picture.shape[:2]}, not {self.cut_out.shape}")

    @cached_property
    def mask(self) -> UInt8:
        """The cut-out that is drawn, (h, w) uint8."""
        return head_mask(self.picture, self.face_xyxy) if self.cut_out is None else self.cut_out


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a portrait lies in a frame: scene = scale × portrait + (shift_x, shift_y)."""

    scale: float
    shift_x: float
    shift_y: float


@dataclass(frozen=True, eq=False)
class Actor:
    """One presence of one person in a scene; who leaves and comes back may be one actor or two.

    Attributes:
        portrait: Who.
        path: Rows of (seconds, x and y of the face box's centre, face box's height in px), times rising.
        appears_seconds: First drawn at this time.
        leaves_seconds: No longer drawn from this time on.
        motion: Straight from row to row, or smooth (monotone cubic: never beyond the rows' values).
        blur_sigma: Standard deviation of the blur, scene px.
        brightness: Factor on the luma and on the saturation.
    """

    portrait: Portrait
    path: tuple[ActorKey, ...]
    appears_seconds: float = 0.0
    leaves_seconds: float = math.inf
    motion: Motion = "smooth"
    blur_sigma: float = 0.0
    brightness: float = 1.0

    def __post_init__(self) -> None:
        _check_path(self.path)
        if min(row[3] for row in self.path) <= 0:
            raise ValueError("every face height of a path must be positive")

    def placement(self, seconds: float) -> Placement:
        """Return where the portrait lies at `seconds`."""
        centre_x, centre_y, face_height = interpolate(self.path, seconds, self.motion)
        x1, y1, x2, y2 = (float(value) for value in self.portrait.face_xyxy)
        scale = face_height / (y2 - y1)
        return Placement(scale, centre_x - scale * (x1 + x2) / 2, centre_y - scale * (y1 + y2) / 2)


@dataclass(frozen=True, eq=False)
class Occluder:
    """An opaque bar in front of all actors.

    Attributes:
        path: Rows of (seconds, x and y of the bar's centre), times rising.
        width: Scene px.
        height: Scene px.
        colour_bgr: At its middle; the bar darkens towards its sides as a pillar does.
        appears_seconds: First drawn at this time.
        leaves_seconds: No longer drawn from this time on.
        motion: As of an actor.
    """

    path: tuple[OccluderKey, ...]
    width: int
    height: int
    colour_bgr: tuple[int, int, int] = (96, 104, 112)
    appears_seconds: float = 0.0
    leaves_seconds: float = math.inf
    motion: Motion = "linear"

    def __post_init__(self) -> None:
        _check_path(self.path)

    def xyxy(self, seconds: float) -> tuple[float, float, float, float]:
        """Return the box that the bar covers at `seconds`."""
        x, y = interpolate(self.path, seconds, self.motion)
        return x - self.width / 2, y - self.height / 2, x + self.width / 2, y + self.height / 2


def _check_path(path: tuple[ActorKey, ...] | tuple[OccluderKey, ...]) -> None:
    times = [row[0] for row in path]
    if not times or any(later <= earlier for earlier, later in pairwise(times)):
        raise ValueError(f"a path needs at least one row and rising times, not {times}")


def interpolate(
    path: tuple[ActorKey, ...] | tuple[OccluderKey, ...], seconds: float, motion: Motion
) -> tuple[float, ...]:
    """Return a path's values (all but the time) at `seconds`; before the first and after the last row, that row's.

    Smooth paths are cubic Hermite curves with Fritsch and Carlson's monotone slopes (SIAM J. Numer. Anal. 17(2), 1980),
    so that no value goes beyond those of the rows: a face never shrinks to nothing between two keys.
    """
    rows = np.asarray(path, np.float64)
    times, values = rows[:, 0], rows[:, 1:]
    if len(rows) == 1 or seconds <= times[0]:
        return tuple(values[0].tolist())
    if seconds >= times[-1]:
        return tuple(values[-1].tolist())
    place = int(np.searchsorted(times, seconds, side="right")) - 1
    lengths = np.diff(times)[:, None]
    share = float((seconds - times[place]) / lengths[place, 0])
    if motion == "linear":
        return tuple((values[place] + share * (values[place + 1] - values[place])).tolist())
    secants = np.diff(values, axis=0) / lengths
    before, after = secants[:-1], secants[1:]
    together = before * after > 0
    harmonic = 2 * before * after / np.where(together, before + after, 1.0)
    slopes = np.concatenate([secants[:1], np.where(together, harmonic, 0.0), secants[-1:]])
    length = lengths[place, 0]
    start, end = values[place], values[place + 1]
    blend = share * share * (3 - 2 * share)
    curve = start + blend * (end - start)
    curve += length * share * (1 - share) ** 2 * slopes[place] - length * share**2 * (1 - share) * slopes[place + 1]
    return tuple(curve.tolist())
