"""MTCNN's nets on OpenVINO, the fastest on CPUs: P-Net takes a third of its time in torch, R- and O-Net half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer import openvino_runtime as ov
from streamer.detectors import mtcnn_weights
from streamer.detectors.cascade import Conclusion, Proposals, Verdict
from streamer.detectors.mtcnn_weights import State
from streamer.detectors.summed_area import Places, SummedAreas
from streamer.types import Float32

_STRIP_CELLS = 64  # rows of P-Net's cells that are computed together: memory stays small whatever the picture
_CHUNK = 32  # crops that are cut and go through a net together: they stay in the cache, and more gain nothing
# One crop alone takes another kernel than several, whose last bits differ; from two on a crop's result is the same
# whatever is beside it.
_LEAST = 2
_RNET_SIDE, _ONET_SIDE = 24, 48
Graph = tuple[ov.Node, list[ov.Node]]  # a net's output and its inputs


class OpenVinoCascade:
    """The cascade's nets on the CPU.

    Args:
        callers: So many threads may use it side by side.
        precision: "float32" gives the reference's boxes; "fastest" ones that overlap with those by .976 in the median.

    Raises:
        WeightsError: The nets are absent or not the expected ones.
    """

    def __init__(self, *, callers: int = 1, precision: ov.Precision = "float32") -> None:
        self.pnet = ov.Net(*_pnet(mtcnn_weights.read("pnet")), callers=callers, precision=precision)
        self.rnet = ov.Net(*_rnet(mtcnn_weights.read("rnet")), callers=callers, precision=precision)
        self.onet = ov.Net(*_onet(mtcnn_weights.read("onet")), callers=callers, precision=precision)

    def prepare(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> PreparedPictures:
        """Take (H, W, 3) uint8 BGR pictures in which the nets shall look."""
        return PreparedPictures(self, SummedAreas(pictures))


class PreparedPictures:
    """Some pictures, ready to be looked at."""

    def __init__(self, nets: OpenVinoCascade, areas: SummedAreas) -> None:
        self._nets, self._areas = nets, areas

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        return self._areas.sizes

    def propose(self, owner: int, height: int, width: int, threshold: float) -> Proposals:
        """Run P-Net on a picture resized to height × width."""
        strips = _strips(height)
        parts = [
            _above(self._nets.pnet(pixels)[0], strip.start // 2, threshold)
            for strip, pixels in zip(strips, self._areas.level(owner, height, width, strips), strict=True)
        ]
        return Proposals(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def refine(self, windows: npt.NDArray[np.int64], owners: Places) -> Verdict:
        """Run R-Net on the windows of their owners' pictures."""
        head = self._head(self._nets.rnet, windows, owners, _RNET_SIDE, 6)
        return Verdict.of(head)

    def conclude(self, windows: npt.NDArray[np.int64], owners: Places) -> Conclusion:
        """Run O-Net on the windows of their owners' pictures."""
        head = self._head(self._nets.onet, windows, owners, _ONET_SIDE, 16)
        return Conclusion.of(head)

    def _head(self, net: ov.Net, windows: npt.NDArray[np.int64], owners: Places, side: int, channels: int) -> Float32:
        """Return a net's (N, channels) output for N crops; a crop's does not depend on those beside it."""
        head = np.empty((len(windows), channels), np.float32)
        done = 0
        for crops in self._areas.crops(windows, owners, side, _CHUNK):
            several = crops if len(crops) >= _LEAST else crops.repeat(_LEAST, 0)
            head[done : done + len(crops)] = net(several)[: len(crops)]
            done += len(crops)
        return head


def _strips(height: int) -> list[slice]:
    """Cut a level's rows into strips whose cells, put together, are those of the whole."""
    cells = (height - 1) // 2 - 4  # 3 × 3 convolution, 2 × 2 pool rounded up, two more convolutions
    starts = range(0, max(cells, 1), _STRIP_CELLS)
    ends = [2 * (start + _STRIP_CELLS) + 10 for start in starts[:-1]] + [height]
    return [slice(2 * start, end) for start, end in zip(starts, ends, strict=True)]


def _above(head: Float32, first_row: int, threshold: float) -> Proposals:
    """Return the cells of a (5, h, w) head whose score reaches the threshold; `first_row`: of the strip."""
    width, cells = head.shape[2], head.reshape(len(head), -1)
    places = np.flatnonzero(cells[0] >= np.log(threshold / (1 - threshold)))
    found = cells[:, places]
    rows, columns = np.divmod(places, width)
    return Proposals(np.stack([rows + first_row, columns], 1), 1 / (1 + np.exp(-found[0])), found[1:].T)


def _layer(x: ov.Node, state: State, number: int) -> ov.Node:
    maps = ov.convolution(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"])
    return ov.prelu(maps, state[f"prelu{number}.weight"])


def _first_layer(state: State, side: int) -> tuple[ov.Node, ov.Node]:
    """Return the input, (N, 1, side, 3 · side) rows of interleaved pixels (-1: any), and the first layer's maps.

    The rows are taken as a picture of one channel, over which a three times as wide kernel moves three steps at a time:
    the same sums without turning the pixels into planes first, and back into what the convolution wants inside.
    """
    pixels = ov.parameter((-1, 1, side, max(3 * side, -1)), np.float32)
    weight = state["conv1.weight"]
    interleaved = weight.transpose(0, 2, 3, 1).reshape(len(weight), 1, weight.shape[2], -1)
    maps = ov.convolution(pixels, interleaved, state["conv1.bias"], stride=(1, 3))
    return pixels, ov.prelu(maps, state["prelu1.weight"])


def _pnet(state: State) -> Graph:
    pixels, x = _first_layer(state, -1)
    x = ov.max_pool(x, 2, 2, rounding="ceil")
    x = _layer(_layer(x, state, 2), state, 3)
    weight, bias = mtcnn_weights.fused(state, ("conv4_1", "conv4_2"))
    # Of the two class logits only the difference matters.
    weight[1], bias[1] = weight[1] - weight[0], bias[1] - bias[0]
    return ov.convolution(x, weight[1:], bias[1:]), [pixels]


def _trunk(x: ov.Node, state: State) -> ov.Node:
    """Build the two convolutions that come second and third in R-Net as well as in O-Net."""
    x = ov.max_pool(x, 3, 2, rounding="ceil")
    x = ov.max_pool(_layer(x, state, 2), 3, 2, rounding="ceil")
    return _layer(x, state, 3)


def _verdict(x: ov.Node, state: State, dense: str, prelu: str, heads: tuple[str, ...]) -> ov.Node:
    x = ov.dense(ov.flattened(x), state[f"{dense}.weight"], state[f"{dense}.bias"])
    return ov.dense(ov.prelu(x, state[f"{prelu}.weight"]), *mtcnn_weights.fused(state, heads))


def _rnet(state: State) -> Graph:
    pixels, x = _first_layer(state, _RNET_SIDE)
    x = _verdict(_trunk(x, state), state, "dense4", "prelu4", ("dense5_1", "dense5_2"))
    return x, [pixels]


def _onet(state: State) -> Graph:
    pixels, x = _first_layer(state, _ONET_SIDE)
    x = _layer(ov.max_pool(_trunk(x, state), 2, 2, rounding="ceil"), state, 4)
    x = _verdict(x, state, "dense5", "prelu5", ("dense6_1", "dense6_2", "dense6_3"))
    return x, [pixels]
