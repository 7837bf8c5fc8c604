"""The shipped emotion net as an `EmotionClassifier`: 48 px grey crops aligned like FER's pictures, seven emotions out.

A residual net trained on FER+ votes (Barsoum et al., ICMI 2016) by `streamer train-emotion`; training.py has the recipe
and the figures, ferplus_file.py the architecture. What computes it is ferplus_openvino or ferplus_torch.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from streamer import geometry
from streamer.emotion.calibration import Calibration
from streamer.pictures import Picture, UInt8
from streamer.types import Float32

CROP_SIZE = 48

# Where MTCNN's five landmarks lie in FER's pictures, px of 48: the mean over FER+. The crop decides more than the net:
# on web pictures accuracy falls from 55.5 % to 38.5 % when the crop grows from 0.9 to 1.35 box sides.
FER_TEMPLATE = np.array([[15.0, 19.0], [33.1, 18.5], [24.1, 29.2], [16.9, 38.2], [31.9, 38.0]], np.float32)


# By how many px, to the right and down, a crop is shifted for each look at it. In a video the next look comes soon; of
# a picture there is no other, so it is looked at in four places:
# on FER+ valid that brings 88.6 % right to 89.1.
Looks = tuple[tuple[int, int], ...]
ONE_LOOK: Looks = ((0, 0),)
PICTURE_LOOKS: Looks = ((0, 0), (2, 0), (0, 2), (0, -2))


class Net(Protocol):
    """Computes a net's logits. Implementations: ferplus_openvino, ferplus_torch."""

    @property
    def calibration(self) -> Calibration:
        """How the logits become probabilities."""
        ...

    def __call__(self, grey: UInt8) -> Float32:
        """Return (N, 7) logits of (N, 48, 48) uint8 grey crops, each the mean with its mirror image's.

        Each is computed for itself, to the last bit.
        """
        ...


class FerPlusClassifier:
    """Says what faces show.

    Args:
        net: What computes it.
        tau: How far the rare emotions' rarity in training is taken back, 0..1; see calibration.py.
        looks: By how many px right and down each crop is shifted for each look; what they say is averaged.
    """

    def __init__(self, net: Net, tau: float = 0.5, looks: Looks = ONE_LOOK) -> None:
        self._net, self._tau, self._looks = net, tau, looks

    @property
    def crop_size(self) -> int:
        """S, the side of the crops, px."""
        return CROP_SIZE

    def crop(self, picture: Picture, landmarks: Float32) -> UInt8:
        """Cut one face, (48, 48, 3) uint8 BGR without colour, by its (5, 2) landmarks, framed as FER's pictures are."""
        grey = geometry.aligned_grey_crop(picture, landmarks, FER_TEMPLATE, CROP_SIZE)
        return np.asarray(cv2.merge([grey, grey, grey]), np.uint8)

    def classify(self, crops: UInt8) -> Float32:
        """Return (N, 7) float32 probabilities of (N, 48, 48, 3) uint8 BGR crops; each crop is also seen mirrored."""
        if not len(crops):
            return np.zeros((0, 7), np.float32)
        grey = np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) for crop in crops])
        logits = np.mean([self._net(_shifted(grey, *look)) for look in self._looks], axis=0)
        return self._net.calibration.probabilities(np.asarray(logits, np.float32), self._tau)


def _shifted(grey: UInt8, right: int, down: int) -> UInt8:
    """Return (N, S, S) crops with their content moved; what comes in is a repetition of the edge."""
    side = grey.shape[1]
    rows, columns = (np.clip(np.arange(side) - shift, 0, side - 1) for shift in (down, right))
    return np.ascontiguousarray(grey[:, rows][:, :, columns])
