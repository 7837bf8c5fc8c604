"""MTCNN's nets on OpenVINO for thrifty searches: on the decoder's own planes, in the CPU's fastest numbers.

Nothing is converted to BGR: that conversion is linear, and so is the first layer, so that both are one. All levels of
the pyramid lie in one sheet (pyramid_sheet.py), of which P-Net looks only at what has any contrast. Faces found so
overlap with the reference's by .94 in the median (resampling is OpenCV's instead of adaptive pooling, rounded to 8
bits; numbers are bfloat16 where the CPU computes in it); a search of 1080p takes 45 to 55 ms of one core where one of
BGR pixels in the same numbers took 78.
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
from streamer.detectors.pyramid_sheet import Sheets
from streamer.detectors.yuv_parts import Places, Windows, YuvParts
from streamer.stats import RunStats
from streamer.types import Float32

# BGR from limited-range YUV by BT.601: rows blue, green, red; columns y - 16, u - 128, v - 128. Pictures in BT.709 are
# taken for it, too: skin comes out some four levels off, and the same faces are found (IoU above .93).
_BGR_OF_YUV = np.array([[1.164, 2.017, 0.0], [1.164, -0.392, -0.813], [1.164, 0.0, 1.596]])
_YUV_ZERO = np.array([16.0, 128.0, 128.0])


class OpenVinoYuvCascade:
    """The cascade's nets on the CPU, over YUV pixels.

    Args:
        callers: So many threads may use it side by side.
        stats: Where the time of making pyramids goes.

    Raises:
        WeightsError: The nets are absent or not the expected ones.
    """

    def __init__(self, *, callers: int = 1, stats: RunStats | None = None) -> None:
        self.pnet, self.rnet, self.onet = (
            ov.Net(*_graph(name, side), callers=callers, precision="fastest")
            for name, side in (("pnet", -1), ("rnet", graphs.RNET.side), ("onet", graphs.ONET.side))
        )
        self.sheets = Sheets()
        self.stats = stats if stats is not None else RunStats()

    def prepare(self, parts: Sequence[Part]) -> PreparedPlanes:
        """Take the parts of pictures in which the nets shall look."""
        return PreparedPlanes(self, YuvParts(parts))


class PreparedPlanes:
    """Some pictures, ready to be looked at."""

    def __init__(self, nets: OpenVinoYuvCascade, parts: YuvParts) -> None:
        self._nets, self._parts = nets, parts

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        return self._parts.sizes

    def propose(self, owner: int, levels: Sequence[tuple[int, int]], threshold: float) -> list[Proposals]:
        """Run P-Net on a picture resized to each (height, width), all in one sheet."""
        if not levels:
            return []
        with self._nets.sheets.lent(tuple(levels)) as sheet:
            with self._nets.stats.time("pyramid"):
                sheet.fill(self._parts.planes(owner))
            found = Proposals.joined(
                [
                    Proposals.above(head, row, column, threshold)
                    for cells, pixels in sheet.busy_pieces()
                    for (row, column), head in zip(cells, self._nets.pnet(pixels), strict=False)
                ]
            )
            return sheet.by_level(found)

    def refine(self, windows: Windows, owners: Places) -> Verdict:
        """Run R-Net on the windows of their owners' pictures."""
        return Verdict.of(self._head(self._nets.rnet, windows, owners, graphs.RNET))

    def conclude(self, windows: Windows, owners: Places) -> Conclusion:
        """Run O-Net on the windows of their owners' pictures."""
        return Conclusion.of(self._head(self._nets.onet, windows, owners, graphs.ONET))

    def _head(self, net: ov.Net, windows: Windows, owners: Places, of: graphs.CropNet) -> Float32:
        shape = (len(windows), of.channels)
        return headed(net, lambda chunk: self._parts.crops(windows, owners, of.side, chunk), shape, of.multiple)


def _graph(name: str, side: int) -> graphs.Graph:
    """Build a net over (N, 3, side, side) uint8 planes y, u, v; side -1: any."""
    state: State = mtcnn_weights.read(name)
    planes = ov.parameter((-1, 3, side, side), np.uint8)
    weight, bias = _over_yuv(state["conv1.weight"], state["conv1.bias"])
    maps = ov.prelu(ov.convolution(ov.as_float(planes), weight, bias), state["prelu1.weight"])
    build = {"pnet": graphs.pnet, "rnet": graphs.rnet, "onet": graphs.onet}[name]
    return build(maps, state), [planes]


def _over_yuv(weight: Float32, bias: Float32) -> tuple[Float32, Float32]:
    """Return the weight and bias over YUV pixels of a convolution over BGR ones that are (pixel - 127.5) / 128."""
    # bgr = matrix · yuv + shift, elementwise over a window, so both go into the sums.
    matrix = _BGR_OF_YUV / 128
    shift = -(matrix @ _YUV_ZERO) - 127.5 / 128
    turned = np.einsum("kchw,cp->kphw", weight.astype(np.float64), matrix)
    moved = bias + np.einsum("kchw,c->k", weight.astype(np.float64), shift)
    return turned.astype(np.float32), moved.astype(np.float32)
