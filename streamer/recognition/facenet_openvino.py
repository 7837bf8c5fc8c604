"""facenet-pytorch's InceptionResnetV1 on OpenVINO, the fastest on CPUs."""

from __future__ import annotations

import numpy as np

from streamer import openvino_runtime as ov
from streamer.layers_openvino import OpenVinoLayers
from streamer.recognition.facenet_resnet import CROP_SIZE, DIMENSION, DIVISOR, MEAN, forward, read
from streamer.stages import Crops
from streamer.types import Float32


class OpenVinoFacenet:
    """The net on the CPU; several threads may call it at once. Each crop goes through alone, for the sake of its bits.

    It computes in float32: what bfloat16 would do to its vectors could not be measured without its weights.

    Raises:
        WeightsError: The weights have not been fetched, or the file is another one.
    """

    def __init__(self) -> None:
        crops = ov.parameter((1, CROP_SIZE, CROP_SIZE, 3), np.uint8)
        pixels = ov.add(ov.as_float(ov.channels_first(crops)), ov.constant(-MEAN))
        self._net = ov.Net(forward(OpenVinoLayers(read()), ov.multiply(pixels, ov.constant(1 / DIVISOR))), [crops])

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, 512) float32 vectors of (N, 160, 160, 3) uint8 BGR crops; each does not depend on the others."""
        vectors = np.empty((len(crops), DIMENSION), np.float32)
        for index in range(len(crops)):
            vectors[index] = self._net(crops[index : index + 1])[0]
        return vectors
