"""dlib's ResNet-29 in torch, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812, torch's own documentation calls it so

from streamer.recognition.dlib_resnet import BLOCKS, CROP_SIZE, DIMENSION, DIVISOR, HALVING_BLOCKS, MEAN_BGR, read
from streamer.stages import Crops
from streamer.torch_batches import FixedBatches, placed
from streamer.types import Float32

# One thread, ms a face in full batches of 1, 2, 4, 8: 5.3, 3.4, 2.8, 2.5; on average over 1 to 8
# faces a call 2 and 4 cost the same, and one face alone is the commonest call. A GPU is idle below 16.
_CPU_BATCH = 2
_GPU_BATCH = 16


class TorchResNet:
    """The net on one device.

    Args:
        device: Where it runs.
        dtype: What it computes in: float32 on a CPU, float16 on a GPU.

    Raises:
        WeightsError: The weights file is absent or not the expected one.
    """

    def __init__(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        device, self._dtype = torch.device(device), dtype
        self._tensors = {name: placed(torch.from_numpy(values), device, dtype) for name, values in read().items()}
        self._mean = torch.tensor(MEAN_BGR, device=device).reshape(1, 3, 1, 1)
        self._batches = FixedBatches(
            self._forward,
            side=CROP_SIZE,
            dimension=DIMENSION,
            batch=_CPU_BATCH if device.type == "cpu" else _GPU_BATCH,
            device=device,
        )

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, 128) float32 vectors of (N, 150, 150, 3) uint8 BGR crops."""
        return self._batches(crops)

    @torch.inference_mode()
    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the (B, 128) float32 vectors of a full (B, 150, 150, 3) uint8 batch."""
        # Pixels come channels last, so this permutation moves no memory and the net keeps their layout.
        x = ((batch.permute(0, 3, 1, 2) - self._mean) / DIVISOR).to(self._dtype)
        x = F.max_pool2d(self._convolve(x, "stem", stride=2, padding=0).relu_(), 3, 2)
        for number in range(BLOCKS):
            x = self._block(x, number)
        return F.linear(x.mean((2, 3)), self._tensors["head.weight"]).float()

    def _block(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Run one residual block: two convolutions beside the input, or beside its half-sized average."""
        first, second = f"blocks.{number}.first", f"blocks.{number}.second"
        padding = self._tensors[f"{second}.weight"].shape[-1] // 2
        if number not in HALVING_BLOCKS:
            y = self._convolve(x, first, stride=1, padding=1).relu_()
            return self._convolve(y, second, stride=1, padding=padding).add_(x).relu_()
        y = self._convolve(x, first, stride=2, padding=0).relu_()
        y = self._convolve(y, second, stride=1, padding=padding)
        skip = F.avg_pool2d(x, 2)
        # dlib adds tensors of different sizes as if zeros stood on the right, at the bottom and in further channels.
        skip = F.pad(skip, (0, 0, 0, 0, 0, y.shape[1] - skip.shape[1]))
        y = F.pad(y, (0, skip.shape[3] - y.shape[3], 0, skip.shape[2] - y.shape[2]))
        return (y + skip).relu_()

    def _convolve(self, x: torch.Tensor, name: str, *, stride: int, padding: int) -> torch.Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=stride, padding=padding)
