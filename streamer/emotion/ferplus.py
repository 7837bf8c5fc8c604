"""The shipped emotion net as an `EmotionClassifier`: 48 px grey crops framed as FER's pictures, seven emotions out.

A residual net trained on FER+ votes (Barsoum et al., ICMI 2016) by `streamer train-emotion`; training.py has the recipe
and the figures, ferplus_file.py the architecture. What computes it is ferplus_openvino or ferplus_torch.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from streamer.emotion.aligned import ONE_LOOK, AlignedClassifier, Looks
from streamer.emotion.calibration import Calibration
from streamer.emotion.framing import CROP_SIZE, FER_TEMPLATE, grey_cut
from streamer.pictures import UInt8
from streamer.types import Float32

# In a video the next look at a face comes soon. Of a picture there is no other, so it is looked at in four places: on
# FER+ valid that brings 88.6 % right to 89.1.
PICTURE_LOOKS: Looks = ((0, 0), (2, 0), (0, 2), (0, -2))


class GreyNet(Protocol):
    """Computes the net's logits. Implementations: ferplus_openvino, ferplus_torch."""

    @property
    def calibration(self) -> Calibration:
        """How the logits become probabilities."""
        ...

    def __call__(self, grey: UInt8) -> Float32:
        """Return (N, 7) logits of (N, 48, 48) uint8 grey crops, each the mean with its mirror image's.

        Each is computed for itself, to the last bit.
        """
        ...


class FerPlusClassifier(AlignedClassifier):
    """An `EmotionClassifier` on the shipped net, or on another of its kind.

    Args:
        net: What computes it; it also sees each crop mirrored.
        tau: How far the rare emotions' rarity in training is taken back, 0..1; see calibration.py.
        looks: How each crop is looked at.
    """

    def __init__(self, net: GreyNet, tau: float = 0.5, looks: Looks = ONE_LOOK) -> None:
        cut = grey_cut(CROP_SIZE, FER_TEMPLATE)
        super().__init__(lambda crops: net(_grey(crops)), CROP_SIZE, cut, net.calibration, tau, looks)


def _grey(crops: UInt8) -> UInt8:
    return np.stack([np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8) for crop in crops])
