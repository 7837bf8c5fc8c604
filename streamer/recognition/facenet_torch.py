"""facenet-pytorch's InceptionResnetV1 in torch, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

import torch

from streamer.layers_torch import TorchLayers
from streamer.recognition.facenet_resnet import CROP_SIZE, DIMENSION, DIVISOR, MEAN, forward, read
from streamer.stages import Crops
from streamer.torch_batches import FixedBatches
from streamer.types import Float32

_CPU_BATCH = 1  # one face alone is the commonest call, and this net is large enough to keep a core busy with it
_GPU_BATCH = 16


class TorchFacenet:
    """The net on one device.

    Args:
        device: Where it runs.
        dtype: What it computes in: float32 on a CPU, float16 on a GPU.

    Raises:
        WeightsError: The weights have not been fetched, or the file is another one.
    """

    def __init__(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        device, self._dtype = torch.device(device), dtype
        self._layers = TorchLayers(read(), device, dtype)
        self._batches = FixedBatches(
            self._forward,
            side=CROP_SIZE,
            dimension=DIMENSION,
            batch=_CPU_BATCH if device.type == "cpu" else _GPU_BATCH,
            device=device,
        )

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, 512) float32 vectors of (N, 160, 160, 3) uint8 BGR crops."""
        return self._batches(crops)

    @torch.inference_mode()
    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the (B, 512) float32 vectors of a full (B, 160, 160, 3) uint8 batch."""
        pixels = ((batch.permute(0, 3, 1, 2) - MEAN) / DIVISOR).to(self._dtype)
        return forward(self._layers, pixels).float()
