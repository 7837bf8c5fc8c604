"""`streamer.layers` in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812, torch's own documentation calls it so

from streamer.torch_batches import placed
from streamer.types import Float32


class TorchLayers:
    """See `streamer.layers.Layers`.

    Args:
        tensors: The weights by name.
        device: Where they go.
        dtype: What is computed in.
    """

    def __init__(self, tensors: Mapping[str, Float32], device: torch.device, dtype: torch.dtype) -> None:
        self._tensors = {name: placed(torch.from_numpy(values), device, dtype) for name, values in tensors.items()}

    def convolve(
        self, x: torch.Tensor, name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)
    ) -> torch.Tensor:
        """Convolve over all channels."""
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=stride, padding=padding)

    def convolve_each(
        self, x: torch.Tensor, name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)
    ) -> torch.Tensor:
        """Convolve each channel alone."""
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=stride, padding=padding, groups=len(weight))

    def relu(self, x: torch.Tensor, most: float | None = None) -> torch.Tensor:
        """Replace what is negative, and what is above `most`."""
        return x.clamp_(0, most)

    def add(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Add, element by element."""
        return x + y

    def join(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Put maps behind each other."""
        return torch.cat(list(maps), 1)

    def shrink(self, x: torch.Tensor, *, padding: int = 0) -> torch.Tensor:
        """Return the maxima of 3 × 3 windows, 2 apart."""
        return F.max_pool2d(x, 3, 2, padding)

    def head(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Multiply the means of maps by a matrix."""
        return F.linear(x.mean((2, 3)), self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])
