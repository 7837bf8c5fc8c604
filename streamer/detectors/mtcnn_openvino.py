"""MTCNN's nets on OpenVINO for exact searches: BGR pixels, resized as the reference does, in float32.

P-Net takes a third of its time in torch, R- and O-Net half. Searches that need not be exact are `mtcnn_yuv`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer import openvino_runtime as ov
from streamer.detectors import mtcnn_graphs as graphs
from streamer.detectors import mtcnn_weights
from streamer.detectors.cascade import Conclusion, Part, Proposals, Verdict, headed
from streamer.detectors.mtcnn_weights import State
from streamer.detectors.summed_area import Places, SummedAreas
from streamer.types import Float32

_STRIP_CELLS = 64  # rows of P-Net's cells that are computed together: memory stays small whatever the picture


class OpenVinoCascade:
    """The cascade's nets on the CPU.

    Args:
        callers: So many threads may use it side by side.

    Raises:
        WeightsError: The nets are absent or not the expected ones.
    """

    def __init__(self, *, callers: int = 1) -> None:
        self.pnet = ov.Net(*_graph("pnet", -1), callers=callers)
        self.rnet = ov.Net(*_graph("rnet", graphs.RNET.side), callers=callers)
        self.onet = ov.Net(*_graph("onet", graphs.ONET.side), callers=callers)

    def prepare(self, parts: Sequence[Part]) -> PreparedPictures:
        """Take the parts of pictures in which the nets shall look."""
        return PreparedPictures(self, SummedAreas([part.bgr() for part in parts]))


class PreparedPictures:
    """Some pictures, ready to be looked at."""

    def __init__(self, nets: OpenVinoCascade, areas: SummedAreas) -> None:
        self._nets, self._areas = nets, areas

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        return self._areas.sizes

    def propose(self, owner: int, levels: Sequence[tuple[int, int]], threshold: float) -> list[Proposals]:
        """Run P-Net on a picture resized to each (height, width)."""
        return [self._level(owner, *size, threshold) for size in levels]

    def _level(self, owner: int, height: int, width: int, threshold: float) -> Proposals:
        strips = _strips(height)
        return Proposals.joined(
            [
                Proposals.above(self._nets.pnet(pixels)[0], strip.start // 2, 0, threshold)
                for strip, pixels in zip(strips, self._areas.level(owner, height, width, strips), strict=True)
            ]
        )

    def refine(self, windows: npt.NDArray[np.int64], owners: Places) -> Verdict:
        """Run R-Net on the windows of their owners' pictures."""
        return Verdict.of(self._head(self._nets.rnet, windows, owners, graphs.RNET))

    def conclude(self, windows: npt.NDArray[np.int64], owners: Places) -> Conclusion:
        """Run O-Net on the windows of their owners' pictures."""
        return Conclusion.of(self._head(self._nets.onet, windows, owners, graphs.ONET))

    def _head(self, net: ov.Net, windows: npt.NDArray[np.int64], owners: Places, of: graphs.CropNet) -> Float32:
        shape = (len(windows), of.channels)
        return headed(net, lambda chunk: self._areas.crops(windows, owners, of.side, chunk), shape, of.multiple)


def _strips(height: int) -> list[slice]:
    """Cut a level's rows into strips whose cells, put together, are those of the whole."""
    cells = (height - 1) // 2 - 4  # 3 × 3 convolution, 2 × 2 pool rounded up, two more convolutions
    starts = range(0, max(cells, 1), _STRIP_CELLS)
    ends = [2 * (start + _STRIP_CELLS) + 10 for start in starts[:-1]] + [height]
    return [slice(2 * start, end) for start, end in zip(starts, ends, strict=True)]


def _graph(name: str, side: int) -> graphs.Graph:
    """Build a net over (N, 1, side, 3 · side) rows of interleaved pixels; side -1: any.

    The rows are taken as a picture of one channel, over which a three times as wide kernel moves three steps at a time:
    the same sums without turning the pixels into planes first, and back into what the convolution wants inside.
    """
    state: State = mtcnn_weights.read(name)
    pixels = ov.parameter((-1, 1, side, max(3 * side, -1)), np.float32)
    weight = state["conv1.weight"]
    interleaved = weight.transpose(0, 2, 3, 1).reshape(len(weight), 1, weight.shape[2], -1)
    maps = ov.convolution(pixels, interleaved, state["conv1.bias"], stride=(1, 3))
    build = {"pnet": graphs.pnet, "rnet": graphs.rnet, "onet": graphs.onet}[name]
    return build(ov.prelu(maps, state["prelu1.weight"]), state), [pixels]
