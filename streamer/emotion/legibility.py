"""Whether a view of a face tells its emotion, and what it is worth: size, sharpness, and how far it is turned.

The bounds lie where about a tenth of the answers is lost. Measured with the net of 1.17 M parameters on half of FER+
valid (majority of votes, 87.8 % right; confidence falls far less than accuracy, so probabilities alone do not tell):

- Blur, by its deviation in px of the 48 px crop: .5 px 87.3 % right (median sharpness .062), 1 px 79.9 % (.022), 1.5 px
  62.5 % (.0115), 2 px 45 % (.0074). Unblurred, 1 % lie below .030. In single_face_360p and expressions_360p all crops
  lie above .095; crowd_1080p is soft, with a median of .026.
- Size: LFW's and the videos' pictures shrunk until the box's shorter side is 48, 32, 24, 20 px, and searched anew, keep
  96, 91, 89, 86 % of their full-size answers.
- Turn: of the 96 faces of FER+ valid that are turned by 38 to 57 degrees 91 % are right, as many as of frontal ones; of
  the few beyond that nothing is known, and the detector finds hardly any. Nor does looking up or down cost anything.

A look costs 30 us for its sharpness, 4 us for its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamer import geometry
from streamer.emotion.policy import EmotionPolicy
from streamer.stages import Crops
from streamer.types import Float32

# How far the tip of the nose stands out before the eyes, in distances between them: of an average head.
_NOSE_DEPTH = 0.45
# Crops of all sizes are judged at the side of FER's pictures, without what is around the face.
_SIDE = 48
_FACE = (slice(8, -4), slice(8, -8))
# From here on a crop is as sharp as FER+'s pictures, and sharper says no more.
_SHARP = 0.03


@dataclass(frozen=True, slots=True)
class View:
    """One view of a face.

    Attributes:
        is_legible: It tells an emotion.
        quality: What it is worth beside other views of the face, above 0, at most 1.
    """

    is_legible: bool = True
    quality: float = 1.0


def yaw_degrees(landmarks: Float32) -> float:
    """Return by how much a face with (5, 2) landmarks is turned to a side, 0..90."""
    return float(np.degrees(np.arctan(geometry.nose_offset(landmarks) / _NOSE_DEPTH)))


def sharpness(crop: Crops) -> float:
    """Return the share of the grey values' variance in an (S, S, 3) crop that is finer than a blur of 1 px of 48."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    if grey.shape[0] != _SIDE:
        grey = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    face = np.asarray(grey[_FACE], np.float32)
    deviation = float(cv2.meanStdDev(face)[1][0, 0])
    if deviation < 1e-3:
        return 1.0  # a plain crop may be anything but blurred
    fine = cv2.subtract(face, cv2.GaussianBlur(face, (0, 0), 1.0))
    return (float(cv2.meanStdDev(fine)[1][0, 0]) / deviation) ** 2


def is_well_placed(landmarks: Float32, face_pixels: float, policy: EmotionPolicy) -> bool:
    """Say whether a face is large enough, and not turned too far; `face_pixels`: its box's shorter side."""
    return face_pixels >= policy.min_face_pixels and yaw_degrees(landmarks) <= policy.max_yaw_degrees


def view_of(crop: Crops, quality: float, policy: EmotionPolicy, *, is_placed: bool) -> View:
    """Return what a view is worth; `quality`: by size and turn, above 0; `is_placed`: see `is_well_placed`."""
    sharp = sharpness(crop)
    return View(is_placed and sharp >= policy.least_sharpness, quality * float(np.clip(sharp / _SHARP, 0.1, 1.0)))
