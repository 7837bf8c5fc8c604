"""The emotion net in torch: for training, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamer.cuda_graphs import fixed_shape, uploaded
from streamer.emotion.ferplus import CROP_SIZE, WIDTHS, read
from streamer.errors import WeightsError
from streamer.pictures import UInt8
from streamer.types import Float32


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a 1 × 1 one; at stride 2 the skip is averaged down."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1)
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, outputs, h / stride, w / stride)."""
        deep = self.conv2(functional.relu(self.conv1(maps)))
        shallow = functional.avg_pool2d(maps, 2) if self.stride == 2 else maps
        return functional.relu(deep + self.skip(shallow))


class EmotionNet(nn.Module):
    """The net with normalisation folded in: (N, 1, 48, 48) standardised grey to (N, 7) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem1 = nn.Conv2d(1, WIDTHS[0], 5, 2, 2)
        self.stem2 = nn.Conv2d(WIDTHS[0], WIDTHS[1], 3, 1, 1)
        self.block1 = Residual(WIDTHS[1], WIDTHS[2], 1)
        self.block2 = Residual(WIDTHS[2], WIDTHS[3], 2)
        self.block3 = Residual(WIDTHS[3], WIDTHS[4], 2)
        self.head = nn.Linear(WIDTHS[4], 7)

    def forward(self, grey: Tensor) -> Tensor:
        """Return (N, 7) logits in the order of EMOTIONS."""
        maps = functional.relu(self.stem2(functional.relu(self.stem1(grey))))
        maps = self.block3(self.block2(self.block1(functional.max_pool2d(maps, 2))))
        return torch.as_tensor(self.head(maps.mean((2, 3))))


def standardised(grey: Tensor) -> Tensor:
    """Give each of (N, 1, H, W) pictures in 0..1 mean 0 and deviation 1, so that exposure does not matter."""
    mean = grey.mean((1, 2, 3), keepdim=True)
    deviation = grey.std((1, 2, 3), keepdim=True, unbiased=False)
    return (grey - mean) / (deviation + 1e-3)


# One shape for every call, the last padded: a crop's result must not depend on what else is in its batch. On a CPU
# larger chunks gain nothing; a GPU is idle below 16.
_CPU_CHUNK, _GPU_CHUNK = 4, 16


class TorchEmotionNet:
    """The net on one device.

    Args:
        device: Where it runs.
        dtype: float32, or float16 on CUDA.
        path: Another net of the same form; None: the shipped one.

    Raises:
        WeightsError: The net is absent or not of the expected form.
    """

    def __init__(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, path: Path | None = None
    ) -> None:
        self._device, self._dtype = torch.device(device), dtype
        self._chunk = _CPU_CHUNK if self._device.type == "cpu" else _GPU_CHUNK
        net = EmotionNet()
        try:
            net.load_state_dict({name: torch.from_numpy(values) for name, values in read(path).items()})
        except RuntimeError as error:
            raise WeightsError(
                f"{path} holds no emotion net of the expected form; use one that training.py wrote"
            ) from error
        self._layers = net.eval().to(device=self._device, dtype=dtype).to(memory_format=torch.channels_last)
        shape = (self._chunk, CROP_SIZE, CROP_SIZE)
        self._net = fixed_shape(self._logits, torch.zeros(shape, dtype=torch.uint8, device=self._device))

    def __call__(self, grey: UInt8) -> Float32:
        """Return (N, 7) logits of (N, 48, 48) uint8 grey crops, each the mean with its mirror image's."""
        logits = np.empty((len(grey), 7), np.float32)
        for start in range(0, len(grey), self._chunk):
            some = grey[start : start + self._chunk]
            chunk = np.zeros((self._chunk, CROP_SIZE, CROP_SIZE), np.uint8)
            chunk[: len(some)] = some
            logits[start : start + len(some)] = self._net(uploaded(chunk, self._device)).cpu().numpy()[: len(some)]
        return logits

    @torch.inference_mode()
    def _logits(self, grey: Tensor) -> Tensor:
        """Return the (C, 7) float32 logits of a full (C, 48, 48) uint8 chunk."""
        pictures = grey[:, None].float() / 255
        both = standardised(torch.cat([pictures, pictures.flip(3)])).to(self._dtype)
        logits = self._layers(both.contiguous(memory_format=torch.channels_last)).float()
        return torch.as_tensor(logits[: len(pictures)] + logits[len(pictures) :]) / 2
