"""The shipped emotion net as an `EmotionClassifier`: 48 px grey crops aligned like FER's pictures, seven emotions out.

A residual net of 1.17 M parameters, trained on FER+ votes (Barsoum et al., ICMI 2016) by training.py, whose docstring
has the recipe and the figures. Batch normalisation is folded into the convolutions; stored as float16.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from streamer import geometry, weights
from streamer.errors import WeightsError
from streamer.pictures import Picture, UInt8
from streamer.types import Float32

CROP_SIZE = 48

# Where MTCNN's five landmarks lie in FER's pictures, px of 48: the mean over FER+. The crop decides more than the net:
# on web pictures accuracy falls from 55.5 % to 38.5 % when the crop grows from 0.9 to 1.35 box sides.
FER_TEMPLATE = np.array([[15.0, 19.0], [33.1, 18.5], [24.1, 29.2], [16.9, 38.2], [31.9, 38.0]], np.float32)

WIDTHS = (32, 48, 88, 136, 224)


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


class FerPlusClassifier:
    """Says what faces show.

    Args:
        device: Where the net runs.
        dtype: float32, or float16 on CUDA.
        path: Another net of the same form; None: the shipped one.

    Raises:
        WeightsError: The net is absent or not of the expected form.
    """

    # One shape for every call, the last padded: a crop's result must not depend on what else is in its batch.
    _CHUNK = 4

    def __init__(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, path: Path | None = None
    ) -> None:
        self._device, self._dtype = torch.device(device), dtype
        path = path if path is not None else weights.locate("emotion-ferplus")
        net = EmotionNet()
        try:
            net.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        except (OSError, RuntimeError, SafetensorError) as error:
            raise WeightsError(
                f"{path} holds no emotion net of the expected form; use one that training.py wrote"
            ) from error
        self._net = net.eval().to(device=self._device, dtype=dtype)
        self._net = self._net.to(memory_format=torch.channels_last)

    @property
    def crop_size(self) -> int:
        """S, the side of the crops, px."""
        return CROP_SIZE

    def crop(self, picture: Picture, landmarks: Float32) -> UInt8:
        """Cut one face, (48, 48, 3) uint8 BGR, by its (5, 2) landmarks, framed as FER's pictures are."""
        return geometry.aligned_crop(picture, landmarks, FER_TEMPLATE, CROP_SIZE)

    @torch.inference_mode()
    def classify(self, crops: UInt8) -> Float32:
        """Return (N, 7) float32 probabilities of (N, 48, 48, 3) uint8 BGR crops; each crop is also seen mirrored."""
        if not len(crops):
            return np.zeros((0, 7), np.float32)
        grey = np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) for crop in crops])
        pictures = torch.from_numpy(grey)[:, None].to(self._device).float() / 255
        padded = functional.pad(pictures, (0, 0, 0, 0, 0, 0, 0, -len(pictures) % self._CHUNK))
        logits = torch.cat([self._logits(chunk) for chunk in torch.split(padded, self._CHUNK)])[: len(crops)]
        return np.asarray(torch.softmax(logits, 1).cpu().numpy(), np.float32)

    def _logits(self, pictures: Tensor) -> Tensor:
        both = standardised(torch.cat([pictures, pictures.flip(3)])).to(self._dtype)
        logits = self._net(both.contiguous(memory_format=torch.channels_last)).float()
        return torch.as_tensor(logits[: len(pictures)] + logits[len(pictures) :]) / 2
