"""The three nets of MTCNN in torch, reading facenet-pytorch's weights, plus running them in batches of one fixed size.

Method: Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
IEEE SPL 2016.
Weights: facenet-pytorch 2.5.3 (MIT), found in its installed wheel without importing it. The layers here hold the same
numbers in an order that suits channels-last memory: BGR input, one fused head a net, dense inputs in (H, W, C) order.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamer import weights
from streamer.detectors.summed_area import SummedArea

State = dict[str, Tensor]

_STRIP_CELLS = 64  # rows of P-Net's cells that are computed together


class Verdict(NamedTuple):
    """What P-Net says of each cell, or R-Net of each crop."""

    scores: Tensor  # (…,) probability of a face
    offsets: Tensor  # (…, 4) box corrections in box sides


class Conclusion(NamedTuple):
    """What O-Net says of N crops."""

    scores: Tensor  # (N,) probability of a face
    offsets: Tensor  # (N, 4) box corrections in box sides
    points: Tensor  # (N, 10) five x then five y, in box sides


def _convolution(state: State, name: str) -> nn.Conv2d:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], (weight.shape[2], weight.shape[3]))
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _slopes(state: State, name: str) -> nn.PReLU:
    layer = nn.PReLU(len(state[f"{name}.weight"]))
    layer.load_state_dict({"weight": state[f"{name}.weight"]})
    return layer


def _dense(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _dense_from_map(state: State, name: str, channels: int, side: int) -> nn.Linear:
    """Build the layer after the last feature map: the weights expect (W, H, C) order, the map lies in (H, W, C)."""
    weight = state[f"{name}.weight"]
    reordered = weight.view(-1, side, side, channels).permute(0, 2, 1, 3).reshape(len(weight), -1)
    return _dense(reordered, state[f"{name}.bias"])


def _fused(state: State, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    return (
        torch.cat([state[f"{name}.weight"] for name in names]),
        torch.cat([state[f"{name}.bias"] for name in names]),
    )


def _widened(state: State, channels: int) -> State:
    """Give P-Net's first layer more channels, all zero, which its second layer ignores.

    With 10 channels a pixel fills no whole vector registers: PReLU takes seven times as long as with 16.
    """
    missing = channels - len(state["conv1.weight"])
    wide = dict(state)
    for name in ("conv1.weight", "conv1.bias", "prelu1.weight"):
        wide[name] = torch.cat([state[name], state[name].new_zeros(missing, *state[name].shape[1:])])
    second = state["conv2.weight"]
    wide["conv2.weight"] = torch.cat([second, second.new_zeros(len(second), missing, *second.shape[2:])], 1)
    return wide


class _HalvingPool(nn.Module):
    """A 2 × 2 maximum at a stride of 2, rounded up; of slices it takes a third of `MaxPool2d`'s time on a CPU."""

    def forward(self, maps: Tensor) -> Tensor:
        odd_rows, odd_columns = maps.shape[2] % 2, maps.shape[3] % 2
        if odd_rows or odd_columns:
            maps = functional.pad(maps, (0, odd_columns, 0, odd_rows), value=float("-inf"))
        rows = torch.maximum(maps[:, :, ::2], maps[:, :, 1::2])
        return torch.maximum(rows[:, :, :, ::2], rows[:, :, :, 1::2])


class PNet(nn.Module):
    """The proposal net: fully convolutional, 12 px windows at a stride of 2."""

    def __init__(self, state: State) -> None:
        super().__init__()
        state = _widened(state, 16)
        self.features = nn.Sequential(
            _convolution(state, "conv1"),
            _slopes(state, "prelu1"),
            _HalvingPool(),
            _convolution(state, "conv2"),
            _slopes(state, "prelu2"),
            _convolution(state, "conv3"),
            _slopes(state, "prelu3"),
        )
        weight, bias = _fused(state, ("conv4_1", "conv4_2"))
        self.head = nn.Conv2d(32, 6, 1)
        self.head.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the (B, 6, h, w) head: two class logits and four box corrections a cell."""
        return torch.as_tensor(self.head(self.features(pictures)))


class CropNet(nn.Module):
    """R-Net or O-Net: a crop in, a face score, box corrections and, from O-Net, five landmarks out."""

    def __init__(self, features: nn.Sequential, dense: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.dense, self.head = features, dense, head

    def forward(self, crops: Tensor) -> Tensor:
        """Return (N, 6) or (N, 16): two class logits, four box corrections, ten landmark coordinates."""
        maps = self.features(crops).permute(0, 2, 3, 1)
        return torch.as_tensor(self.head(self.dense(maps.flatten(1))))


def _crop_features(state: State) -> list[nn.Module]:
    """Build the three convolutions that R-Net and O-Net both begin with."""
    return [
        _convolution(state, "conv1"),
        _slopes(state, "prelu1"),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        _convolution(state, "conv2"),
        _slopes(state, "prelu2"),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        _convolution(state, "conv3"),
        _slopes(state, "prelu3"),
    ]


def build_rnet(state: State) -> CropNet:
    """Build the refinement net, 24 px crops."""
    features = nn.Sequential(*_crop_features(state))
    dense = nn.Sequential(_dense_from_map(state, "dense4", 64, 3), _slopes(state, "prelu4"))
    return CropNet(features, dense, _dense(*_fused(state, ("dense5_1", "dense5_2"))))


def build_onet(state: State) -> CropNet:
    """Build the output net, 48 px crops."""
    features = nn.Sequential(
        *_crop_features(state),
        nn.MaxPool2d(2, 2, ceil_mode=True),
        _convolution(state, "conv4"),
        _slopes(state, "prelu4"),
    )
    dense = nn.Sequential(_dense_from_map(state, "dense5", 128, 3), _slopes(state, "prelu5"))
    return CropNet(features, dense, _dense(*_fused(state, ("dense6_1", "dense6_2", "dense6_3"))))


def _read(path: Path) -> State:
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    # The reference takes RGB; crops here are BGR, so the first layer's input channels are turned round once.
    state["conv1.weight"] = state["conv1.weight"].flip(1)
    return state


class MtcnnNets:
    """The cascade's nets on one device.

    Args:
        device: Where they run.
        dtype: float32, or float16 on CUDA.
    """

    # A crop's result must not depend on what else is in its batch, or results would differ with the batch size: kernels
    # are chosen by shape, so every call has one shape and the last is padded. Larger chunks gain nothing on a CPU.
    _RNET_CHUNK = 32
    _ONET_CHUNK = 8

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._pnet = self._place(PNet(_read(weights.locate("mtcnn-pnet"))))
        self._rnet = self._place(build_rnet(_read(weights.locate("mtcnn-rnet"))))
        self._onet = self._place(build_onet(_read(weights.locate("mtcnn-onet"))))

    def _place(self, net: nn.Module) -> nn.Module:
        # channels_last: P-Net takes half the time that it takes with planes, R-Net and O-Net a quarter.
        return net.eval().to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def propose(self, table: SummedArea, height: int, width: int) -> Verdict:
        """Run P-Net on a picture resized to height × width.

        Returns:
            (cells_y, cells_x) scores and (cells_y, cells_x, 4) offsets.
        """
        strips = [self._pnet(table.level(height, width, rows).to(self.dtype)) for rows in self._strips(height)]
        head = torch.cat(strips, dim=2)[0].float()
        return Verdict(torch.sigmoid(head[1] - head[0]), head[2:].permute(1, 2, 0))

    def _strips(self, height: int) -> list[slice]:
        """Cut a level's rows into strips whose cells, put together, are those of the whole, bit for bit.

        On a CPU a strip and its maps stay in the cache, from resizing to the last layer, and memory is a tenth.
        """
        cells = (height - 1) // 2 - 4  # 3 × 3 convolution, 2 × 2 pool rounded up, two more convolutions
        if self.device.type != "cpu" or cells <= _STRIP_CELLS:
            return [slice(0, height)]
        starts = range(0, cells, _STRIP_CELLS)
        ends = [2 * (start + _STRIP_CELLS) + 10 for start in starts[:-1]] + [height]
        return [slice(2 * start, end) for start, end in zip(starts, ends, strict=True)]

    def refine(self, crops: Tensor) -> Verdict:
        """Run R-Net on (N, 3, 24, 24) crops."""
        head = self._in_chunks(self._rnet, crops, self._RNET_CHUNK)
        return Verdict(torch.sigmoid(head[:, 1] - head[:, 0]), head[:, 2:6])

    def conclude(self, crops: Tensor) -> Conclusion:
        """Run O-Net on (N, 3, 48, 48) crops."""
        head = self._in_chunks(self._onet, crops, self._ONET_CHUNK)
        return Conclusion(torch.sigmoid(head[:, 1] - head[:, 0]), head[:, 2:6], head[:, 6:])

    def _in_chunks(self, net: nn.Module, crops: Tensor, size: int) -> Tensor:
        missing = -len(crops) % size
        padded = functional.pad(crops.to(self.dtype), (0, 0, 0, 0, 0, 0, 0, missing))
        padded = padded.contiguous(memory_format=torch.channels_last)
        return torch.cat([net(chunk) for chunk in torch.split(padded, size)])[: len(crops)].float()
