"""The emotion net on OpenVINO, the fastest on CPUs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamer import openvino_runtime as ov
from streamer.emotion.ferplus import CROP_SIZE, WIDTHS, read
from streamer.errors import WeightsError
from streamer.pictures import UInt8
from streamer.types import Float32


class OpenVinoEmotionNet:
    """The net on the CPU; several threads may call it at once.

    Each crop goes through with its mirror image alone, in .82 ms instead of .74 in batches of eight (float32, AVX-512):
    kernels are chosen by batch size, so only this way are its bits the same on every CPU whatever is beside it.

    Args:
        precision: "fastest" moves a probability by up to .01.
        path: Another net of the same form; None: the shipped one.

    Raises:
        WeightsError: The net is absent or not of the expected form.
    """

    def __init__(self, *, precision: ov.Precision = "float32", path: Path | None = None) -> None:
        self._weights = read(path)
        pictures = ov.parameter((2, 1, CROP_SIZE, CROP_SIZE), np.float32)
        try:
            if self._weights["head.weight"].shape != (7, WIDTHS[-1]):
                raise ValueError(f"the head is of shape {self._weights['head.weight'].shape}")
            self._net = ov.Net(self._built(pictures), [pictures], precision=precision)
        except (KeyError, RuntimeError, ValueError) as error:
            raise WeightsError(
                f"{path} holds no emotion net of the expected form; use one that training.py wrote"
            ) from error
        self._weights.clear()

    def __call__(self, grey: UInt8) -> Float32:
        """Return (N, 7) logits of (N, 48, 48) uint8 grey crops, each the mean with its mirror image's."""
        logits = np.empty((len(grey), 7), np.float32)
        for index, picture in enumerate(grey):
            logits[index] = self._net(_standardised(np.stack([picture, picture[:, ::-1]]))).mean(axis=0)
        return logits

    def _built(self, x: ov.Node) -> ov.Node:
        x = ov.relu(self._convolve(x, "stem1", stride=2, padding=2))
        x = ov.max_pool(ov.relu(self._convolve(x, "stem2", padding=1)), 2, 2, rounding="floor")
        for number, stride in ((1, 1), (2, 2), (3, 2)):
            deep = ov.relu(self._convolve(x, f"block{number}.conv1", stride=stride, padding=1))
            deep = self._convolve(deep, f"block{number}.conv2", padding=1)
            shallow = ov.average_pool(x, 2) if stride == 2 else x
            x = ov.relu(ov.add(deep, self._convolve(shallow, f"block{number}.skip")))
        return ov.dense(ov.average(x), self._weights["head.weight"], self._weights["head.bias"])

    def _convolve(self, x: ov.Node, name: str, *, stride: int = 1, padding: int = 0) -> ov.Node:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return ov.convolution(x, weight, bias, stride=stride, padding=padding)


def _standardised(grey: UInt8) -> Float32:
    """Give each of (N, H, W) pictures mean 0 and deviation 1, so that exposure does not matter: (N, 1, H, W)."""
    pictures = grey[:, None].astype(np.float32) / 255
    mean = pictures.mean((2, 3), keepdims=True)
    return np.asarray((pictures - mean) / (pictures.std((2, 3), keepdims=True) + 1e-3), np.float32)
