"""Judges whether a photo's face tells who it is: size, sharpness, light, and how squarely it faces the camera.

The limits were found by blurring, shrinking and dimming one photo each of 60 people of LFW and comparing it with the
mean of their others: where a tenth of them would no longer be named, a limit lies well before that, and well beyond
what LFW's own 2,719 pictures show, of which it refuses the share given with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamer import geometry
from streamer.stages import Crops
from streamer.types import Float32

# The embedder's crop holds a face of about 112 px; below a third of that the vector says little of who it is.
MIN_FACE_PIXELS = 40.0
# Share of the grey values' variance that is finer than a blur of 2 px of 150: .044 sharp, .008 after a blur of 3 px,
# .003 after one of 6 px, where 30 % are lost. Refuses .04 % of LFW.
_LEAST_DETAIL = 0.006
# Mean grey value of the face: at 15 of 255 all are still named, at 7 with a camera's noise 63 % are lost; from 217 on,
# where skin is white, 7 % and more. Refuses none of LFW.
_DARKEST, _BRIGHTEST = 20.0, 225.0
# Standard deviation of the grey values: at 4 a twentieth is lost. Refuses none of LFW.
_LEAST_CONTRAST = 5.0
# How far the nose lies from the middle between the eyes, in eye distances: from .5 on a sixth is lost. Refuses .9 %.
_MOST_TURNED = 0.45
_LIGHT, _LESS_LIGHT = "turn towards the light", "turn away from the light"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a face should not be enrolled, and what the person can do about it before a camera; each in a few words."""

    reason: str
    remedy: str


def small_face(side_pixels: float) -> Fault | None:
    """Return what is wrong with a face whose box has this shorter side, px; None: it is large enough."""
    if side_pixels >= MIN_FACE_PIXELS:
        return None
    return Fault(f"the face has only {side_pixels:.0f} px (at least {MIN_FACE_PIXELS:.0f} wanted)", "come nearer")


def fault_of(crop: Crops, landmarks: Float32) -> Fault | None:
    """Return why a face should not be enrolled; None: it is fit.

    Args:
        crop: (S, S, 3) uint8 BGR, aligned.
        landmarks: (5, 2) float32, in any pixels.
    """
    side = len(crop)
    face = crop[side // 5 : -side // 8, side // 5 : -side // 5]  # without what is around it
    grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_BGR2GRAY), np.float32)
    mean, deviation = float(grey.mean()), float(grey.std())
    if mean < _DARKEST:
        return Fault(f"the face is too dark (mean {mean:.0f} of 255, at least {_DARKEST:.0f} wanted)", _LIGHT)
    if mean > _BRIGHTEST:
        return Fault(f"the face is overexposed (mean {mean:.0f} of 255, at most {_BRIGHTEST:.0f} wanted)", _LESS_LIGHT)
    if deviation < _LEAST_CONTRAST:
        measured = f"deviation {deviation:.1f}, at least {_LEAST_CONTRAST:.0f} wanted"
        return Fault(f"the face has too little contrast ({measured})", _LIGHT)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 2 * side / 150)
    if float(fine.var()) < _LEAST_DETAIL * deviation**2:
        return Fault("the face is blurred", "hold still, or come nearer")
    if geometry.nose_offset(landmarks) > _MOST_TURNED:
        return Fault("the face is turned too far to one side", "look into the camera")
    return None
