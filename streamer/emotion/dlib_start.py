"""The emotion net's weights before training: those of dlib's net for faces, made to fit grey crops of 48 px."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from streamer.emotion.ferplus_file import shapes
from streamer.types import Float32

# dlib's net takes pixels of 0..1 less their mean; ours takes pixels divided by their deviation, which is about this.
_USUAL_DEVIATION = 0.22


def from_dlib(dlib: Mapping[str, Float32], blocks: int) -> dict[str, Float32]:
    """Return the tensors of `ferplus_file.shapes` to start from; the head is zero.

    Args:
        dlib: The weights of dlib's ResNet-29, by the names that `recognition.dlib_resnet.read` gives.
        blocks: How many of its blocks to take, 1 to 13.
    """
    expected = shapes(blocks)
    tensors = {name: _three_by_three(dlib[name]) for name in expected if name.startswith("blocks.")}
    tensors["stem.weight"] = _stem(dlib["stem.weight"])
    tensors["stem.bias"] = dlib["stem.bias"]
    tensors |= {name: np.zeros(expected[name], np.float32) for name in ("head.weight", "head.bias")}
    return tensors


def random_start(blocks: int, seed: int) -> dict[str, Float32]:
    """Return random tensors to start from (He et al., ICCV 2015); the head and all biases are zero."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(blocks).items():
        deviation = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.0
        tensors[name] = (random.standard_normal(shape) * deviation).astype(np.float32)
    return tensors


def _three_by_three(values: Float32) -> Float32:
    """Return a convolution's weight; where idle taps have been left out, as in dlib's last block, they are back."""
    if values.ndim == 4 and values.shape[-1] == 1:
        return np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return values


def _stem(weight: Float32) -> Float32:
    """Fold dlib's (32, 3, 7, 7) stem of stride 2 over a bilinear doubling of the picture: (32, 1, 5, 5) of stride 1.

    The doubled picture's pixel 2i is a quarter of pixel i - 1 and three of pixel i, pixel 2i + 1 three of i and one of
    i + 1; so seven of its pixels from 2i on see five pixels, from i - 1 on.
    """
    doubling = np.zeros((7, 5))
    for tap in range(7):
        at = tap // 2
        if tap % 2 == 0:
            doubling[tap, at : at + 2] = 0.25, 0.75
        else:
            doubling[tap, at + 1 : at + 3] = 0.75, 0.25
    grey = weight.astype(np.float64).sum(axis=1, keepdims=True)
    folded = np.einsum("oikl,kx,ly->oixy", grey, doubling, doubling) * _USUAL_DEVIATION
    return np.asarray(folded, np.float32)
