"""`streamer.layers` on OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamer import openvino_runtime as ov
from streamer.types import Float32


class OpenVinoLayers:
    """See `streamer.layers.Layers`.

    Args:
        tensors: The weights by name.
    """

    def __init__(self, tensors: Mapping[str, Float32]) -> None:
        self._tensors = tensors

    def convolve(self, x: ov.Node, name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> ov.Node:
        """Convolve over all channels."""
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return ov.convolution(x, weight, bias, stride=stride, padding=padding)

    def convolve_each(self, x: ov.Node, name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> ov.Node:
        """Convolve each channel alone."""
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return ov.convolution_of_each(x, weight, bias, stride=stride, padding=padding)

    def relu(self, x: ov.Node, most: float | None = None) -> ov.Node:
        """Replace what is negative, and what is above `most`."""
        return ov.relu(x) if most is None else ov.clamped(x, 0.0, most)

    def add(self, x: ov.Node, y: ov.Node) -> ov.Node:
        """Add, element by element."""
        return ov.add(x, y)

    def join(self, maps: Sequence[ov.Node]) -> ov.Node:
        """Put maps behind each other."""
        return ov.joined(maps)

    def shrink(self, x: ov.Node, *, padding: int = 0) -> ov.Node:
        """Return the maxima of 3 × 3 windows, 2 apart."""
        return ov.max_pool(x, 3, 2, rounding="floor", padding=padding)

    def head(self, x: ov.Node, name: str) -> ov.Node:
        """Multiply the means of maps by a matrix."""
        return ov.dense(ov.average(x), self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])
