"""MTCNN's nets as torch modules.

The layers hold facenet-pytorch's weights in an order that suits channels-last memory: one fused head a net, dense
inputs in (H, W, C) order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamer.detectors import mtcnn_weights

State = dict[str, Tensor]


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


def read(net: str) -> State:
    """Return the weights of "pnet", "rnet" or "onet" as tensors. Raises WeightsError as `mtcnn_weights.read` does."""
    return {name: torch.from_numpy(values) for name, values in mtcnn_weights.read(net).items()}
