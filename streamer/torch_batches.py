"""Runs a net in torch on batches of one size: kernels are chosen by batch size, which moves a vector's last bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from streamer.cuda_graphs import fixed_shape, uploaded
from streamer.stages import Crops
from streamer.types import Float32


class FixedBatches:
    """Turns any number of crops into vectors, in batches of one size whose rest is filled with black.

    Args:
        net: (B, S, S, 3) uint8 BGR crops to (B, D) float32 vectors.
        side: S, px.
        dimension: D.
        batch: B.
        device: Where the net's weights are.
    """

    def __init__(
        self,
        net: Callable[[torch.Tensor], torch.Tensor],
        *,
        side: int,
        dimension: int,
        batch: int,
        device: torch.device,
    ) -> None:
        self._shape, self._dimension, self._device = (batch, side, side, 3), dimension, device
        self._net = fixed_shape(net, torch.zeros(self._shape, dtype=torch.uint8, device=device))

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, D) float32 vectors of (N, S, S, 3) uint8 BGR crops."""
        vectors = np.empty((len(crops), self._dimension), np.float32)
        size = self._shape[0]
        for start in range(0, len(crops), size):
            some = crops[start : start + size]
            batch = np.zeros(self._shape, np.uint8)
            batch[: len(some)] = some
            vectors[start : start + len(some)] = self._net(uploaded(batch, self._device)).cpu().numpy()[: len(some)]
        return vectors


def placed(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return a weight on a device in the computing dtype, convolutions with their channels last."""
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.to(device, dtype).contiguous(memory_format=layout)
