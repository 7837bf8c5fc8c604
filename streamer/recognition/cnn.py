"""A small convolutional net, trained from scratch on a few people's photos, as an `Embedder`.

Four 3 × 3 convolutions with halving between them see the face in grey, each picture with its own exposure taken out;
their last maps' means, at length 1, are the vector. The last layer compares it with a unit vector a person (Wang et
al., "NormFace", 2017) and belongs to the matcher. cnn_training.py trains it; cnn_openvino or cnn_torch computes it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamer.pictures import UInt8
from streamer.recognition.pixels import AlignedCrops, inner_grey
from streamer.stages import Crops
from streamer.types import Float32

SIDE = 48
INNER = 110  # px of dlib's 150 px crop
WIDTHS = (16, 32, 64, 96)
HEAD = "head.weight"  # (P, 96) float32, rows of length 1

# (N, 1, 48, 48) float32 standardised grey to (N, 96) maps' means; each for itself, to the last bit
FeatureNet = Callable[[Float32], Float32]


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of the convolutions' tensors, by name."""
    inputs = (1, *WIDTHS)
    named: dict[str, tuple[int, ...]] = {}
    for number, width in enumerate(WIDTHS):
        named[f"conv{number}.weight"] = (width, inputs[number], 3, 3)
        named[f"conv{number}.bias"] = (width,)
    return named


def small_grey(crops: Crops) -> UInt8:
    """Return (N, 48, 48) uint8 grey of (N, 150, 150, 3) uint8 BGR crops."""
    return inner_grey(crops, INNER, SIDE)


def standardised(grey: UInt8) -> Float32:
    """Give each of (N, 48, 48) pictures mean 0 and deviation 1, so that exposure does not matter: (N, 1, 48, 48)."""
    pictures = grey[:, None].astype(np.float32) / 255
    mean, deviation = pictures.mean((2, 3), keepdims=True), pictures.std((2, 3), keepdims=True)
    return np.asarray((pictures - mean) / (deviation + 1e-2), np.float32)


def unit(vectors: Float32) -> Float32:
    """Return (N, D) vectors at length 1; one of zeros, which resembles nobody, stays as it is."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), np.float32)


class CnnEmbedder(AlignedCrops):
    """An `Embedder` on a trained net.

    Args:
        net: What computes it; it also sees each crop mirrored.
    """

    def __init__(self, net: FeatureNet) -> None:
        self._net = net

    @property
    def dimension(self) -> int:
        """D, 96."""
        return WIDTHS[-1]

    def embed(self, crops: Crops) -> Float32:
        """Return (N, 96) float32 unit vectors of (N, 150, 150, 3) uint8 BGR crops."""
        if not len(crops):
            return np.zeros((0, WIDTHS[-1]), np.float32)
        pictures = standardised(small_grey(crops))
        return unit(unit(self._net(pictures)) + unit(self._net(np.ascontiguousarray(pictures[..., ::-1]))))
