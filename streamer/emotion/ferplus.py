"""The shipped emotion net as an `EmotionClassifier`: 48 px grey crops aligned like FER's pictures, seven emotions out.

A residual net of 1.17 M parameters, trained on FER+ votes (Barsoum et al., ICMI 2016) by training.py, whose docstring
has the recipe and the figures. Batch normalisation is folded into the convolutions; stored as float16. What computes
it is ferplus_openvino or ferplus_torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from streamer import geometry, weights
from streamer.emotion.calibration import FERPLUS_PRIOR, Calibration
from streamer.errors import WeightsError
from streamer.pictures import Picture, UInt8
from streamer.types import Float32

CROP_SIZE = 48

# Where MTCNN's five landmarks lie in FER's pictures, px of 48: the mean over FER+. The crop decides more than the net:
# on web pictures accuracy falls from 55.5 % to 38.5 % when the crop grows from 0.9 to 1.35 box sides.
FER_TEMPLATE = np.array([[15.0, 19.0], [33.1, 18.5], [24.1, 29.2], [16.9, 38.2], [31.9, 38.0]], np.float32)

WIDTHS = (32, 48, 88, 136, 224)  # channels of stem and blocks

Net = Callable[[UInt8], Float32]  # (N, 48, 48) uint8 grey crops to (N, 7) logits; each for itself, to the last bit


def read(path: Path | None = None) -> dict[str, Float32]:
    """Return a net's weights, by name; None: the shipped one's. Raises WeightsError."""
    path = path if path is not None else weights.locate("emotion-ferplus")
    try:
        return {name: values.astype(np.float32) for name, values in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path} holds no emotion net of the expected form; use one that training.py wrote"
        ) from error


# The temperature has the least cross-entropy on FER+ valid (majority of votes): the expected calibration error is .010
# at tau 0 and .016 at tau .5.
CALIBRATION = Calibration(0.65, FERPLUS_PRIOR)


class FerPlusClassifier:
    """Says what faces show.

    Args:
        net: What computes it; it also sees each crop mirrored.
        tau: How far the rare emotions' rarity in training is taken back, 0..1; see calibration.py.
    """

    def __init__(self, net: Net, tau: float = 0.5) -> None:
        self._net, self._tau = net, tau

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
        logits = self._net(np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) for crop in crops]))
        return CALIBRATION.probabilities(logits, self._tau)
