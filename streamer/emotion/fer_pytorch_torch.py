"""fer-pytorch's nets in torch, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from streamer.emotion.fer_pytorch import CROP_SIZE, DEVIATIONS, MEANS
from streamer.emotion.fer_pytorch_file import FerPytorchNet
from streamer.emotion.fer_pytorch_nets import CLASSES, forward
from streamer.layers_torch import TorchLayers
from streamer.pictures import UInt8
from streamer.torch_batches import FixedBatches
from streamer.types import Float32

_CPU_BATCH = 1  # one face alone is the commonest call, and these nets are large enough to keep a core busy with it
_GPU_BATCH = 16


class TorchFerPytorch:
    """A net on one device.

    Args:
        net: The checkpoint.
        device: Where it runs.
        dtype: What it computes in: float32 on a CPU, float16 on a GPU.
    """

    def __init__(
        self, net: FerPytorchNet, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        device, self._dtype, self._architecture = torch.device(device), dtype, net.architecture
        self._layers = TorchLayers(net.tensors, device, dtype)
        self._means, self._deviations = (
            torch.tensor(three, device=device).reshape(1, 3, 1, 1) for three in (MEANS, DEVIATIONS)
        )
        self._batches = FixedBatches(
            self._forward,
            side=CROP_SIZE,
            dimension=CLASSES,
            batch=_CPU_BATCH if device.type == "cpu" else _GPU_BATCH,
            device=device,
        )

    def __call__(self, crops: UInt8) -> Float32:
        """Return (N, 7) float32 logits of (N, 224, 224, 3) uint8 BGR crops."""
        grey = np.stack([cv2.cvtColor(cv2.cvtColor(c, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for c in crops])
        return self._batches(np.asarray(grey, np.uint8))

    @torch.inference_mode()
    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the (B, 7) float32 logits of a full (B, 224, 224, 3) uint8 batch of grey crops."""
        pixels = (batch.permute(0, 3, 1, 2) - self._means) / self._deviations
        return forward(self._architecture, self._layers, pixels.to(self._dtype)).float()
