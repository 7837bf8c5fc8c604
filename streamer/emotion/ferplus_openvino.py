"""The emotion net on OpenVINO, the fastest on CPUs."""

from __future__ import annotations

import numpy as np

from streamer import openvino_runtime as ov
from streamer.emotion.calibration import Calibration
from streamer.emotion.ferplus_file import CHANNELS, HALVING_BLOCKS, STEM_CHANNELS, STEM_SIDE, EmotionWeights
from streamer.emotion.framing import CROP_SIZE
from streamer.pictures import UInt8
from streamer.types import Float32

_MANY = 8  # crops from which a second core helps


class OpenVinoEmotionNet:
    """The net on the CPU; several threads may call it at once.

    Each crop goes through with its mirror image alone: kernels are chosen by batch size, so only this way are its bits
    the same on every CPU whatever is beside it.

    Args:
        weights: Of the net.
        precision: "fastest" moves a probability by up to .02.
    """

    def __init__(self, weights: EmotionWeights, *, precision: ov.Precision = "float32") -> None:
        self._calibration = weights.calibration
        pictures = ov.parameter((2, 1, CROP_SIZE, CROP_SIZE), np.float32)
        self._net = ov.Net(_built(pictures, weights), [pictures], precision=precision)

    @property
    def calibration(self) -> Calibration:
        """How the logits become probabilities."""
        return self._calibration

    def __call__(self, grey: UInt8) -> Float32:
        """Return (N, 7) logits of (N, 48, 48) uint8 grey crops, each the mean with its mirror image's."""
        pairs = [_standardised(np.stack([picture, picture[:, ::-1]])) for picture in grey]
        answers = self._net.by_twos(pairs) if len(pairs) >= _MANY else [self._net(pair) for pair in pairs]
        return np.array([answer.mean(axis=0) for answer in answers], np.float32).reshape(-1, 7)


def _built(x: ov.Node, weights: EmotionWeights) -> ov.Node:
    tensors = weights.tensors

    def convolve(x: ov.Node, name: str, *, stride: int = 1, padding: int = 1) -> ov.Node:
        return ov.convolution(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride=stride, padding=padding)

    x = ov.max_pool(ov.relu(convolve(x, "stem", padding=STEM_SIDE // 2)), 3, 2, rounding="ceil")
    inputs = (STEM_CHANNELS, *CHANNELS)
    for number in range(weights.blocks):
        first, second = f"blocks.{number}.first", f"blocks.{number}.second"
        if number not in HALVING_BLOCKS:
            x = ov.relu(ov.add(convolve(ov.relu(convolve(x, first)), second), x))
            continue
        deep = convolve(ov.relu(convolve(ov.pad_after(x, rows=1, columns=1), first, stride=2, padding=0)), second)
        shallow = ov.pad_after(ov.average_pool(x, 2), channels=inputs[number + 1] - inputs[number])
        x = ov.relu(ov.add(deep, shallow))
    return ov.dense(ov.average(x), tensors["head.weight"], tensors["head.bias"])


def _standardised(grey: UInt8) -> Float32:
    """Give each of (N, H, W) pictures mean 0 and deviation 1, so that exposure does not matter: (N, 1, H, W)."""
    pictures = grey[:, None].astype(np.float32) / 255
    mean = pictures.mean((2, 3), keepdims=True)
    return np.asarray((pictures - mean) / (pictures.std((2, 3), keepdims=True) + 1e-3), np.float32)
