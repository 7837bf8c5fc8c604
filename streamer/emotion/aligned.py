"""An `EmotionClassifier` of a net and a framing: cuts faces by the one, and turns crops into probabilities by both."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from streamer import geometry
from streamer.emotion.calibration import Calibration
from streamer.emotion.ferplus import CROP_SIZE, FER_TEMPLATE
from streamer.pictures import Picture, UInt8
from streamer.types import EMOTIONS, Float32

Net = Callable[[UInt8], Float32]
"""(N, S, S, 3) uint8 BGR crops to (N, 7) float32 logits in the order of EMOTIONS; each for itself, to the last bit."""
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


class AlignedClassifier:
    """An `EmotionClassifier`. A crop's answer is the same to the last bit whatever crops are beside it.

    Args:
        net: What computes logits.
        side: S, of the crops, px.
        cut: How faces are cut.
        calibration: How logits become probabilities.
        tau: How far the rare emotions' rarity in training is taken back, 0..1; see calibration.py.
    """

    def __init__(self, net: Net, side: int, cut: Cut, calibration: Calibration, tau: float) -> None:
        self._net, self._side, self._cut = net, side, cut
        self._calibration, self._tau = calibration, tau

    @property
    def crop_size(self) -> int:
        """S, the side of the crops, px."""
        return self._side

    def crop(self, picture: Picture, landmarks: Float32) -> UInt8:
        """Cut one face, (S, S, 3) uint8 BGR, by its (5, 2) landmarks."""
        return self._cut(picture, landmarks)

    def classify(self, crops: UInt8) -> Float32:
        """Return (N, 7) float32 probabilities of (N, S, S, 3) uint8 BGR crops.

        Raises:
            ValueError: The crops are of another shape or dtype.
        """
        if crops.dtype != np.uint8 or crops.shape[1:] != (self._side, self._side, 3):
            wanted = f"(N, {self._side}, {self._side}, 3) uint8"
            raise ValueError(f"crops must be {wanted}, not {crops.shape} {crops.dtype}")
        if not len(crops):
            return np.zeros((0, len(EMOTIONS)), np.float32)
        return self._calibration.probabilities(self._net(np.ascontiguousarray(crops)), self._tau)
