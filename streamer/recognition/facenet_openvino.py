"""facenet-pytorch's InceptionResnetV1 on OpenVINO, the fastest on CPUs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer import openvino_runtime as ov
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
        self._net = ov.Net(forward(_Operations(read()), ov.multiply(pixels, ov.constant(1 / DIVISOR))), [crops])

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, 512) float32 vectors of (N, 160, 160, 3) uint8 BGR crops; each does not depend on the others."""
        vectors = np.empty((len(crops), DIMENSION), np.float32)
        for index in range(len(crops)):
            vectors[index] = self._net(crops[index : index + 1])[0]
        return vectors


class _Operations:
    """See `facenet_resnet.Operations`."""

    def __init__(self, tensors: dict[str, Float32]) -> None:
        self._tensors = tensors

    def convolve(self, x: ov.Node, name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> ov.Node:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return ov.convolution(x, weight, bias, stride=stride, padding=padding)

    def relu(self, x: ov.Node) -> ov.Node:
        return ov.relu(x)

    def add(self, x: ov.Node, y: ov.Node) -> ov.Node:
        return ov.add(x, y)

    def join(self, maps: Sequence[ov.Node]) -> ov.Node:
        return ov.joined(maps)

    def shrink(self, x: ov.Node) -> ov.Node:
        return ov.max_pool(x, 3, 2, rounding="floor")

    def head(self, x: ov.Node, name: str) -> ov.Node:
        return ov.dense(ov.average(x), self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])
