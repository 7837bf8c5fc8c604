"""fer-pytorch's nets on OpenVINO, the fastest on CPUs."""

from __future__ import annotations

import cv2
import numpy as np

from streamer import openvino_runtime as ov
from streamer.emotion.fer_pytorch import CROP_SIZE, DEVIATIONS, MEANS
from streamer.emotion.fer_pytorch_file import FerPytorchNet
from streamer.emotion.fer_pytorch_nets import CLASSES, forward
from streamer.layers_openvino import OpenVinoLayers
from streamer.pictures import UInt8
from streamer.types import Float32


class OpenVinoFerPytorch:
    """A net on the CPU; several threads may call it at once. Each crop goes through alone, for the sake of its bits.

    It computes in float32: what bfloat16 would do to its answers could not be measured without its weights.

    Args:
        net: The checkpoint.
    """

    def __init__(self, net: FerPytorchNet) -> None:
        grey = ov.parameter((1, 1, CROP_SIZE, CROP_SIZE), np.uint8)
        # One channel less a mean for each of three colours makes three.
        pixels = ov.add(ov.as_float(grey), ov.constant(-np.array(MEANS).reshape(1, 3, 1, 1)))
        pixels = ov.multiply(pixels, ov.constant(1 / np.array(DEVIATIONS).reshape(1, 3, 1, 1)))
        self._net = ov.Net(forward(net.architecture, OpenVinoLayers(net.tensors), pixels), [grey])

    def __call__(self, crops: UInt8) -> Float32:
        """Return (N, 7) float32 logits of (N, 224, 224, 3) uint8 BGR crops."""
        logits = np.empty((len(crops), CLASSES), np.float32)
        for index, crop in enumerate(crops):
            logits[index] = self._net(np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)[None, None])[0]
        return logits
