"""An `EmotionClassifier` of a net and a framing: cuts faces by the one, and turns crops into probabilities by both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamer.emotion.calibration import Calibration
from streamer.emotion.framing import Cut
from streamer.pictures import Picture, UInt8
from streamer.types import EMOTIONS, Float32

Net = Callable[[UInt8], Float32]
"""(N, S, S, 3) uint8 BGR crops to (N, 7) float32 logits in the order of EMOTIONS; each for itself, to the last bit."""
Looks = tuple[tuple[int, int], ...]
"""By how many px, right and down, a crop is shifted for each look at it."""
ONE_LOOK: Looks = ((0, 0),)


class AlignedClassifier:
    """An `EmotionClassifier`. A crop's answer is the same to the last bit whatever crops are beside it.

    Args:
        net: What computes logits.
        side: S, of the crops, px.
        cut: How faces are cut.
        calibration: How logits become probabilities.
        tau: How far the rare emotions' rarity in training is taken back, 0..1; see calibration.py.
        looks: How each crop is looked at; what the looks say is averaged.
    """

    def __init__(
        self, net: Net, side: int, cut: Cut, calibration: Calibration, tau: float, looks: Looks = ONE_LOOK
    ) -> None:
        self._net, self._side, self._cut = net, side, cut
        self._calibration, self._tau, self._looks = calibration, tau, looks

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
        logits = np.mean([self._net(_shifted(crops, *look)) for look in self._looks], axis=0)
        return self._calibration.probabilities(np.asarray(logits, np.float32), self._tau)


def _shifted(crops: UInt8, right: int, down: int) -> UInt8:
    """Return crops with their content moved; what comes in is a repetition of the edge."""
    places = np.arange(crops.shape[1])
    rows, columns = (np.clip(places - shift, 0, places[-1]) for shift in (down, right))
    return np.ascontiguousarray(crops[:, rows][:, :, columns])
