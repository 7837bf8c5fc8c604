"""The small net in torch: for training, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, torch's own documentation calls it so
from torch import Tensor, nn

from streamer.recognition.cnn import SIDE, WIDTHS
from streamer.types import Float32

# One shape for every call, the last padded: a picture's result must not depend on what else is in its batch.
_BATCH = 8


class Convolutions(nn.Module):
    """The net without its last layer, normalisation folded in."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, *WIDTHS)
        for number, width in enumerate(WIDTHS):
            self.add_module(f"conv{number}", nn.Conv2d(inputs[number], width, 3, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the (N, 96) means of the last maps of (N, 1, S, S) pictures."""
        x = pictures
        for number in range(len(WIDTHS)):
            x = F.relu(self.get_submodule(f"conv{number}")(F.max_pool2d(x, 2) if number else x))
        return x.mean((2, 3))


class TorchCnn:
    """The net on one device.

    Args:
        tensors: As `cnn.shapes` says.
        device: Where it runs.
    """

    def __init__(self, tensors: Mapping[str, Float32], device: torch.device | str = "cpu") -> None:
        self._device, self._net = torch.device(device), Convolutions().eval()
        own = self._net.state_dict()
        self._net.load_state_dict({name: torch.from_numpy(np.array(tensors[name])) for name in own})
        self._net.to(self._device)

    @torch.inference_mode()
    def __call__(self, pictures: Float32) -> Float32:
        """Return (N, 96) float32 means of the last maps of (N, 1, 48, 48) float32 standardised grey."""
        features = np.empty((len(pictures), WIDTHS[-1]), np.float32)
        for start in range(0, len(pictures), _BATCH):
            some = pictures[start : start + _BATCH]
            batch = np.zeros((_BATCH, 1, SIDE, SIDE), np.float32)
            batch[: len(some)] = some
            made = self._net(torch.from_numpy(batch).to(self._device)).cpu().numpy()
            features[start : start + len(some)] = made[: len(some)]
        return features
