"""Where a net wants the five landmarks in its crop. Nets learn on faces cut in one way, and know them only so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from streamer.geometry import aligned_crop
from streamer.pictures import Picture
from streamer.stages import Crops
from streamer.types import Float32


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """How a face is cut out.

    Attributes:
        points: (5, 2) float32 px in the crop, in the order of `Faces.landmarks`.
        side: S, the crop's side, px.
        stretch: The crop shows a face so many times as wide as it is.
    """

    points: Float32
    side: int
    stretch: float = 1.0

    def scaled(self, side: int) -> Template:
        """Return the template of the same part of a face, `side` px large."""
        return Template(np.asarray(self.points * (side / self.side), np.float32), side, self.stretch)

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        """Cut the aligned crop of one face, (S, S, 3) uint8 BGR, by its (5, 2) landmarks."""
        return aligned_crop(picture, landmarks, self.points, self.side, self.stretch)


def _template(points: list[tuple[float, float]], side: int, stretch: float = 1.0) -> Template:
    array: Float32 = np.array(points, np.float32)
    array.flags.writeable = False
    return Template(array, side, stretch)


# Where dlib's own alignment puts, on average, the five points that the detector gives.
DLIB = _template([(48.46, 46.65), (102.39, 46.60), (75.37, 79.69), (51.52, 105.26), (98.97, 105.84)], 150)

# insightface's, python-package/insightface/utils/face_align.py: what ArcFace nets are trained on.
ARCFACE = _template(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)], 112
)

# facenet-pytorch cuts MTCNN's upright box (MTCNN's margin 0) and scales it to a square, and the boxes are .755 times as
# wide as high: a face comes out 1.325 times as wide as it is. The points are the landmarks' means in those squares, on
# 680 pictures of LFW. On 680 others the corners of the box fall on those of the crop but for 14.6 px of 160 on average
# (median 13.3): what is left is roll, which alignment takes away, and turned heads. A mere similarity, without the
# stretch, is off by 19.7 px at best, ArcFace's template scaled to 160 px by 28.5.
FACENET = _template(
    [(47.24, 63.41), (118.99, 61.64), (84.23, 94.48), (53.69, 122.26), (117.26, 120.79)], 160, stretch=1.325
)

TEMPLATES: Mapping[str, Template] = MappingProxyType({"arcface": ARCFACE, "dlib": DLIB, "facenet": FACENET})
"""By the names that the configuration has for them."""
