"""The small net on OpenVINO, the fastest on CPUs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from streamer import openvino_runtime as ov
from streamer.recognition.cnn import SIDE, WIDTHS
from streamer.types import Float32


class OpenVinoCnn:
    """The net on the CPU; several threads may call it at once.

    Each picture goes through alone: kernels are chosen by batch size, so only this way are its bits always the same.

    Args:
        tensors: As `cnn.shapes` says.
    """

    def __init__(self, tensors: Mapping[str, Float32]) -> None:
        pictures = ov.parameter((1, 1, SIDE, SIDE), np.float32)
        x = pictures
        for number in range(len(WIDTHS)):
            if number:
                x = ov.max_pool(x, 2, 2, rounding="floor")
            x = ov.relu(ov.convolution(x, tensors[f"conv{number}.weight"], tensors[f"conv{number}.bias"], padding=1))
        self._net = ov.Net(ov.average(x), [pictures])

    def __call__(self, pictures: Float32) -> Float32:
        """Return (N, 96) float32 means of the last maps of (N, 1, 48, 48) float32 standardised grey."""
        features = np.empty((len(pictures), WIDTHS[-1]), np.float32)
        for index in range(len(pictures)):
            features[index] = self._net(pictures[index : index + 1])[0]
        return features
