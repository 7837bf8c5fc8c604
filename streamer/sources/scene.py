"""A drawn video as a value, and the exact truth about each of its frames; `synthetic` draws it.

Drawing order: background, actors in the order given (a later one in front), occluders in front of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from streamer.geometry import clip
from streamer.sources.actors import Actor, Occluder, Placement, Portrait
from streamer.types import Float32

# The share of a face that can be seen is counted on this many points a side.
_VISIBILITY_GRID = 48


@dataclass(frozen=True, slots=True, eq=False)
class TrueFace:
    """One face that can be seen in one frame.

    Attributes:
        actor_id: At least 1, the same over the whole scene: the actor's place in `Scene.actors`, from 1.
        name: The portrait's.
        xyxy: (4,) float32 px, clipped to the picture.
        landmarks: (5, 2) float32 px, not clipped.
        visible_fraction: Share of the whole face box that neither the picture's border nor anything in front hides.
    """

    actor_id: int
    name: str | None
    xyxy: Float32
    landmarks: Float32
    visible_fraction: float


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn video.

    Attributes:
        width: Pixels.
        height: Pixels.
        fps: Frames a second.
        seconds: Length.
        actors: In drawing order.
        occluders: In front of all actors.
        cuts: Times at which the background changes at once; an actor who must not be seen beyond a cut leaves or
            appears at the same time.
        seed: Of the backgrounds and the noise.
        noise_sigma: Standard deviation of sensor noise, levels of luma; 0: none.
    """

    width: int
    height: int
    fps: float
    seconds: float
    actors: tuple[Actor, ...] = ()
    occluders: tuple[Occluder, ...] = ()
    cuts: tuple[float, ...] = ()
    seed: int = 0
    noise_sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 2 or self.height < 2 or self.fps <= 0 or self.seconds <= 0:
            raise ValueError(
                f"a scene needs positive sizes, fps and seconds, not {self.width} × {self.height}, {self.fps} fps, "
                f"{self.seconds} s"
            )

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        return max(1, round(self.seconds * self.fps))

    @property
    def time_base(self) -> Fraction:
        """Seconds a frame, exact for NTSC rates too."""
        return 1 / Fraction(self.fps).limit_denominator(1001)

    def seconds_at(self, index: int) -> float:
        """Return the time of a frame."""
        return float(index * self.time_base)

    def shot_at(self, index: int) -> int:
        """Return how many cuts lie before or at a frame."""
        return sum(self.seconds_at(index) >= cut - 1e-9 for cut in self.cuts)

    def is_cut(self, index: int) -> bool:
        """Return whether the frame is the first after a cut."""
        return index > 0 and self.shot_at(index) != self.shot_at(index - 1)

    def actors_at(self, seconds: float) -> list[tuple[int, Actor]]:
        """Return the ids and actors drawn at `seconds`, the hindmost first."""
        return [
            (number, actor)
            for number, actor in enumerate(self.actors, start=1)
            if actor.appears_seconds - 1e-9 <= seconds < actor.leaves_seconds - 1e-9
        ]

    def occluders_at(self, seconds: float) -> list[Occluder]:
        """Return the bars drawn at `seconds`."""
        return [bar for bar in self.occluders if bar.appears_seconds - 1e-9 <= seconds < bar.leaves_seconds - 1e-9]

    def truth_at(self, index: int) -> tuple[TrueFace, ...]:
        """Return the faces of which something can be seen in a frame."""
        seconds = self.seconds_at(index)
        drawn = self.actors_at(seconds)
        faces = []
        for place, (actor_id, actor) in enumerate(drawn):
            at = actor.placement(seconds)
            shift = np.array([at.shift_x, at.shift_y])
            box = actor.portrait.face_xyxy * at.scale + np.tile(shift, 2)
            in_front = [(other.portrait, other.placement(seconds)) for _, other in drawn[place + 1 :]]
            fraction = self._visible_fraction(box, in_front, seconds)
            if fraction > 0:
                landmarks = (actor.portrait.landmarks * at.scale + shift).astype(np.float32)
                visible_box = clip(box, self.width, self.height)
                faces.append(TrueFace(actor_id, actor.portrait.name, visible_box, landmarks, fraction))
        return tuple(faces)

    def _visible_fraction(
        self, box: npt.NDArray[np.floating], in_front: list[tuple[Portrait, Placement]], seconds: float
    ) -> float:
        steps = (np.arange(_VISIBILITY_GRID) + 0.5) / _VISIBILITY_GRID
        x, y = np.meshgrid(box[0] + steps * (box[2] - box[0]), box[1] + steps * (box[3] - box[1]))
        visible = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        for bar in self.occluders_at(seconds):
            x1, y1, x2, y2 = bar.xyxy(seconds)
            visible &= ~((x >= x1) & (x < x2) & (y >= y1) & (y < y2))
        for portrait, at in in_front:
            columns, rows = (x - at.shift_x) / at.scale - 0.5, (y - at.shift_y) / at.scale - 0.5
            cover = cv2.remap(portrait.mask, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_NEAREST)
            visible &= np.asarray(cover) < 128
        return float(visible.mean())
