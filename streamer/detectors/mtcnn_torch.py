"""The cascade's nets on torch, for GPUs and for CPUs that OpenVINO does not serve.

On a GPU everything from the picture's table to the scores stays there; the nets run at few shapes, so that they can be
recorded and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamer.cuda_graphs import Net, fixed_shape
from streamer.detectors import torch_nets
from streamer.detectors.cascade import Conclusion, Part, Proposals, Verdict
from streamer.detectors.torch_summed_area import SummedArea
from streamer.types import Float32

_STRIP_CELLS = 64  # rows of P-Net's cells that are computed together on a CPU
_RNET_SIDE, _ONET_SIDE = 24, 48
# A recording keeps its inputs and maps: 40 MB for the first level of a 1080p picture in half precision, half as much
# from level to level. Pictures of ever other sizes must not fill the memory.
_MOST_RECORDINGS = 64


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
        self.pnet = self._place(torch_nets.PNet(torch_nets.read("pnet")))
        self.rnet = self._place(torch_nets.build_rnet(torch_nets.read("rnet")))
        self.onet = self._place(torch_nets.build_onet(torch_nets.read("onet")))
        # A crop's result must not depend on what else is in its batch, or results would differ with the batch size:
        # kernels are chosen by shape, so every call has one shape and the last is padded. Larger chunks gain nothing on
        # a CPU, and keep a GPU busy.
        self.rnet_chunk, self.onet_chunk = (256, 32) if self.device.type == "cuda" else (32, 8)
        self._recordings: dict[tuple[nn.Module, torch.Size], Net] = {}
        self._lock = Lock()

    def _place(self, net: nn.Module) -> nn.Module:
        # channels_last: P-Net takes half the time that it takes with planes, R-Net and O-Net a quarter.
        return net.eval().to(device=self.device, dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @torch.inference_mode()
    def prepare(self, parts: Sequence[Part]) -> PreparedPictures:
        """Take the parts of pictures in which the nets shall look."""
        return PreparedPictures(self, [SummedArea(part.bgr(), self.device) for part in parts])

    def run(self, net: nn.Module, pixels: Tensor) -> Tensor:
        """Return a net's float32 output for (N, 3, H, W) float32 pixels on the device."""
        pixels = pixels.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self._of_shape(net, pixels)(pixels).float()

    def _of_shape(self, net: nn.Module, pixels: Tensor) -> Net:
        if self.device.type != "cuda":
            return net
        with self._lock:
            key = (net, pixels.shape)
            if key not in self._recordings:
                if len(self._recordings) >= _MOST_RECORDINGS:
                    self._recordings.pop(next(iter(self._recordings)))
                self._recordings[key] = fixed_shape(net, pixels)
            return self._recordings[key]


class PreparedPictures:
    """Some pictures on the device, ready to be looked at."""

    def __init__(self, nets: TorchCascade, tables: list[SummedArea]) -> None:
        self._nets, self._tables = nets, tables

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        return np.array([(table.width, table.height) for table in self._tables], np.int64).reshape(-1, 2)

    def propose(self, owner: int, levels: Sequence[tuple[int, int]], threshold: float) -> list[Proposals]:
        """Run P-Net on a picture resized to each (height, width)."""
        return [self._level(owner, *size, threshold) for size in levels]

    @torch.inference_mode()
    def _level(self, owner: int, height: int, width: int, threshold: float) -> Proposals:
        table, strips = self._tables[owner], self._strips(height)
        heads = [self._nets.run(self._nets.pnet, table.level(height, width, rows)) for rows in strips]
        head = torch.cat(heads, dim=2)[0]
        scores = torch.sigmoid(head[1] - head[0])
        rows, columns = torch.nonzero(scores >= threshold, as_tuple=True)
        # All in one array, so that the CPU waits for the device once; float32 holds such places exactly.
        found = (
            torch.cat([torch.stack([rows, columns, scores[rows, columns]]), head[2:, rows, columns]]).T.cpu().numpy()
        )
        return Proposals(found[:, :2].astype(np.intp), found[:, 2].copy(), found[:, 3:].copy())

    def refine(self, windows: npt.NDArray[np.int64], owners: npt.NDArray[np.intp]) -> Verdict:
        """Run R-Net on the windows of their owners' pictures."""
        return Verdict.of(self._head(self._nets.rnet, self._nets.rnet_chunk, windows, owners, _RNET_SIDE))

    def conclude(self, windows: npt.NDArray[np.int64], owners: npt.NDArray[np.intp]) -> Conclusion:
        """Run O-Net on the windows of their owners' pictures."""
        return Conclusion.of(self._head(self._nets.onet, self._nets.onet_chunk, windows, owners, _ONET_SIDE))

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

    @torch.inference_mode()
    def _head(
        self,
        net: nn.Module,
        chunk: int,
        windows: npt.NDArray[np.int64],
        owners: npt.NDArray[np.intp],
        side: int,
    ) -> Float32:
        """Return a net's (N, channels) output for N crops."""
        crops = self._crops(windows, owners, side)
        missing = -len(crops) % chunk if len(crops) else chunk
        padded = functional.pad(crops, (0, 0, 0, 0, 0, 0, 0, missing))
        heads = [self._nets.run(net, some) for some in torch.split(padded, chunk)]
        return np.asarray(torch.cat(heads)[: len(crops)].cpu().numpy(), np.float32)

    def _crops(self, windows: npt.NDArray[np.int64], owners: npt.NDArray[np.intp], side: int) -> Tensor:
        """Cut the windows from their owners' pictures, (N, 3, side, side), in their order."""
        shape = (len(owners), 3, side, side)
        crops = torch.empty(shape, device=self._nets.device, memory_format=torch.channels_last)
        for owner in np.unique(owners):
            rows = np.flatnonzero(owners == owner)
            places = torch.from_numpy(rows).to(self._nets.device)
            crops[places] = self._tables[owner].crops(torch.from_numpy(windows[rows]), side)
        return crops
