"""MTCNN's nets in torch, for GPUs, and for CPUs that OpenVINO does not serve; all stays on the device up to the scores.

The layers hold facenet-pytorch's weights in an order that suits channels-last memory: one fused head a net, dense
inputs in (H, W, C) order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamer.detectors import mtcnn_weights
from streamer.detectors.cascade import Conclusion, Proposals, Verdict
from streamer.detectors.torch_summed_area import SummedArea
from streamer.types import Float32

State = dict[str, Tensor]

_STRIP_CELLS = 64  # rows of P-Net's cells that are computed together


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


def _read(net: str) -> State:
    return {name: torch.from_numpy(values) for name, values in mtcnn_weights.read(net).items()}


class TorchCascade:
    """The cascade's nets on one device.

    Args:
        device: Where they run.
        dtype: float32, or float16 on CUDA.

    Raises:
        WeightsError: The nets are absent or not the expected ones.
    """

    def __init__(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.pnet = self._place(PNet(_read("pnet")))
        self.rnet = self._place(build_rnet(_read("rnet")))
        self.onet = self._place(build_onet(_read("onet")))

    def _place(self, net: nn.Module) -> nn.Module:
        # channels_last: P-Net takes half the time that it takes with planes, R-Net and O-Net a quarter.
        return net.eval().to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @torch.inference_mode()
    def prepare(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> PreparedPictures:
        """Take (H, W, 3) uint8 BGR pictures in which the nets shall look."""
        return PreparedPictures(self, [SummedArea(picture, self.device) for picture in pictures])


class PreparedPictures:
    """Some pictures on the device, ready to be looked at."""

    # A crop's result must not depend on what else is in its batch, or results would differ with the batch size: kernels
    # are chosen by shape, so every call has one shape and the last is padded. Larger chunks gain nothing on a CPU.
    _RNET_CHUNK, _ONET_CHUNK = 32, 8
    _RNET_SIDE, _ONET_SIDE = 24, 48

    def __init__(self, nets: TorchCascade, tables: list[SummedArea]) -> None:
        self._nets, self._tables = nets, tables

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        return np.array([(table.width, table.height) for table in self._tables], np.int64).reshape(-1, 2)

    @torch.inference_mode()
    def propose(self, owner: int, height: int, width: int, threshold: float) -> Proposals:
        """Run P-Net on a picture resized to height × width."""
        table = self._tables[owner]
        strips = [
            self._nets.pnet(table.level(height, width, rows).to(self._nets.dtype)) for rows in self._strips(height)
        ]
        head = torch.cat(strips, dim=2)[0].float()
        scores = torch.sigmoid(head[1] - head[0])
        cells = torch.nonzero(scores >= threshold)
        rows, columns = cells[:, 0], cells[:, 1]
        offsets = head[2:, rows, columns].T
        return Proposals(cells.cpu().numpy(), _numpy(scores[rows, columns]), _numpy(offsets))

    @torch.inference_mode()
    def refine(self, windows: npt.NDArray[np.int64], owners: npt.NDArray[np.intp]) -> Verdict:
        """Run R-Net on the windows of their owners' pictures."""
        head = self._head(self._nets.rnet, self._crops(windows, owners, self._RNET_SIDE), self._RNET_CHUNK)
        return Verdict(_numpy(torch.sigmoid(head[:, 1] - head[:, 0])), _numpy(head[:, 2:6]))

    @torch.inference_mode()
    def conclude(self, windows: npt.NDArray[np.int64], owners: npt.NDArray[np.intp]) -> Conclusion:
        """Run O-Net on the windows of their owners' pictures."""
        head = self._head(self._nets.onet, self._crops(windows, owners, self._ONET_SIDE), self._ONET_CHUNK)
        return Conclusion(_numpy(torch.sigmoid(head[:, 1] - head[:, 0])), _numpy(head[:, 2:6]), _numpy(head[:, 6:]))

    def _strips(self, height: int) -> list[slice]:
        """Cut a level's rows into strips whose cells, put together, are those of the whole, bit for bit.

        On a CPU a strip and its maps stay in the cache, from resizing to the last layer, and memory is a tenth.
        """
        cells = (height - 1) // 2 - 4  # 3 × 3 convolution, 2 × 2 pool rounded up, two more convolutions
        if self._nets.device.type != "cpu" or cells <= _STRIP_CELLS:
            return [slice(0, height)]
        starts = range(0, cells, _STRIP_CELLS)
        ends = [2 * (start + _STRIP_CELLS) + 10 for start in starts[:-1]] + [height]
        return [slice(2 * start, end) for start, end in zip(starts, ends, strict=True)]

    def _crops(self, windows: npt.NDArray[np.int64], owners: npt.NDArray[np.intp], side: int) -> Tensor:
        """Cut the windows from their owners' pictures, (N, 3, side, side), in their order."""
        shape = (len(owners), 3, side, side)
        crops = torch.empty(shape, device=self._nets.device, memory_format=torch.channels_last)
        for owner in np.unique(owners):
            rows = np.flatnonzero(owners == owner)
            crops[torch.from_numpy(rows)] = self._tables[owner].crops(torch.from_numpy(windows[rows]), side)
        return crops

    def _head(self, net: nn.Module, crops: Tensor, size: int) -> Tensor:
        """Return a net's (N, channels) output for N crops."""
        missing = -len(crops) % size if len(crops) else size
        padded = functional.pad(crops.to(self._nets.dtype), (0, 0, 0, 0, 0, 0, 0, missing))
        padded = padded.contiguous(memory_format=torch.channels_last)
        return torch.cat([net(chunk) for chunk in torch.split(padded, size)])[: len(crops)].float()


def _numpy(tensor: Tensor) -> Float32:
    return np.asarray(tensor.cpu().numpy(), np.float32)
