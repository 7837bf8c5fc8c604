"""How faces are cut for emotion nets: as the pictures of FER are, by the five landmarks, at any size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from streamer import geometry
from streamer.pictures import Picture, UInt8
from streamer.types import Float32

CROP_SIZE = 48  # px, of FER's pictures, and of the crops of the shipped net

# Where MTCNN's five landmarks lie in FER's pictures, px of 48: the mean over FER+. The crop decides more than the net:
# on web pictures accuracy falls from 55.5 % to 38.5 % when the crop grows from 0.9 to 1.35 box sides.
FER_TEMPLATE: Float32 = np.array([[15.0, 19.0], [33.1, 18.5], [24.1, 29.2], [16.9, 38.2], [31.9, 38.0]], np.float32)
FER_TEMPLATE.flags.writeable = False

Cut = Callable[[Picture, Float32], UInt8]
"""A picture and one face's (5, 2) landmarks to its (S, S, 3) uint8 BGR crop."""


def fer_template(side: int, scale: float = 1.0) -> Float32:
    """Return where the landmarks lie, (5, 2) px, in a crop of `side` px framed as FER's pictures are.

    With a `scale` of 1.2 the crop shows a part of the picture 1.2 times as wide and high, with the same middle.
    """
    middle = CROP_SIZE / 2
    return np.asarray((middle + (FER_TEMPLATE - middle) / scale) * (side / CROP_SIZE), np.float32)


def colour_cut(side: int, template: Float32) -> Cut:
    """Return what cuts a face by a template."""
    return lambda picture, landmarks: geometry.aligned_crop(picture, landmarks, template, side)


def grey_cut(side: int, template: Float32) -> Cut:
    """Return what cuts a face without its colours, which takes a third of the time."""

    def cut(picture: Picture, landmarks: Float32) -> UInt8:
        grey = geometry.aligned_grey_crop(picture, landmarks, template, side)
        return np.asarray(cv2.merge([grey, grey, grey]), np.uint8)

    return cut
