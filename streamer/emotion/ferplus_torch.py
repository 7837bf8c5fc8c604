"""The emotion net in torch: for training, for GPUs, and for CPUs that OpenVINO does not serve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamer.cuda_graphs import fixed_shape, uploaded
from streamer.emotion.calibration import Calibration
from streamer.emotion.ferplus_file import CHANNELS, HALVING_BLOCKS, STEM_CHANNELS, STEM_SIDE, EmotionWeights
from streamer.emotion.framing import CROP_SIZE
from streamer.pictures import UInt8
from streamer.types import EMOTIONS, Float32


class _Block(nn.Module):
    """Two 3 × 3 convolutions beside the input, or beside its half-sized average."""

    def __init__(self, inputs: int, outputs: int, *, halves: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.halves = halves

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, outputs, h, w), or half of each."""
        # dlib's alignment at stride 2: the first window begins at the first pixel, and so does the average.
        deep = self.first(functional.pad(maps, (0, 1, 0, 1)) if self.halves else maps)
        deep = self.second(functional.relu(deep))
        shallow = functional.avg_pool2d(maps, 2) if self.halves else maps
        missing = deep.shape[1] - shallow.shape[1]
        return functional.relu(deep + (functional.pad(shallow, (0, 0, 0, 0, 0, missing)) if missing else shallow))


class EmotionNet(nn.Module):
    """The net: (N, 1, 48, 48) standardised grey to (N, 7) logits in the order of EMOTIONS.

    Args:
        blocks: How many, 1 to 13.
        dropout: Share of features dropped in training.
    """

    def __init__(self, blocks: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STEM_CHANNELS, STEM_SIDE, 1, STEM_SIDE // 2)
        inputs = (STEM_CHANNELS, *CHANNELS)
        self.blocks = nn.Sequential(
            *(_Block(inputs[n], CHANNELS[n], halves=n in HALVING_BLOCKS) for n in range(blocks))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(CHANNELS[blocks - 1], len(EMOTIONS))

    def forward(self, grey: Tensor) -> Tensor:
        """Return (N, 7) logits."""
        maps = functional.max_pool2d(functional.relu(self.stem(grey)), 3, 2, ceil_mode=True)
        return torch.as_tensor(self.head(self.dropout(self.blocks(maps).mean((2, 3)))))

    def load(self, tensors: Mapping[str, Float32]) -> None:
        """Take the weights of `ferplus_file.shapes`."""
        self.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in tensors.items()})

    def tensors(self) -> dict[str, Float32]:
        """Return the weights, float32, by the names of `ferplus_file.shapes`."""
        return {name: tensor.detach().float().cpu().numpy().copy() for name, tensor in self.state_dict().items()}


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
        weights: Of the net.
        device: Where it runs.
        dtype: float32, or float16 on CUDA.
    """

    def __init__(
        self, weights: EmotionWeights, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self._calibration = weights.calibration
        self._device, self._dtype = torch.device(device), dtype
        self._chunk = _CPU_CHUNK if self._device.type == "cpu" else _GPU_CHUNK
        net = EmotionNet(weights.blocks)
        net.load(weights.tensors)
        self._layers = net.eval().to(device=self._device, dtype=dtype).to(memory_format=torch.channels_last)
        shape = (self._chunk, CROP_SIZE, CROP_SIZE)
        self._net = fixed_shape(self._logits, torch.zeros(shape, dtype=torch.uint8, device=self._device))

    @property
    def calibration(self) -> Calibration:
        """How the logits become probabilities."""
        return self._calibration

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
