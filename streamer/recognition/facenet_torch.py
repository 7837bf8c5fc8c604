"""facenet-pytorch's InceptionResnetV1 in torch, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812, torch's own documentation calls it so

from streamer.recognition.facenet_resnet import CROP_SIZE, DIMENSION, DIVISOR, MEAN, forward, read
from streamer.recognition.torch_batches import FixedBatches, placed
from streamer.stages import Crops
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
        self._operations = _Operations(
            {name: placed(torch.from_numpy(values), device, dtype) for name, values in read().items()}
        )
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
        return forward(self._operations, pixels).float()


class _Operations:
    """See `facenet_resnet.Operations`."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def convolve(
        self, x: torch.Tensor, name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)
    ) -> torch.Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=stride, padding=padding)

    def relu(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu_()

    def add(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y

    def join(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(maps), 1)

    def shrink(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, 3, 2)

    def head(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x.mean((2, 3)), self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])
