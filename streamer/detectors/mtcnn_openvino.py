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

_MEAN, _SCALE = 127.5, 128.0  # pixel p enters the nets as (p - 127.5) / 128


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
        parts = [
            _above(self._nets.pnet(*self._areas.level(owner, height, width, rows))[0], rows.start // 2, threshold)
            for rows in _strips(height)
        ]
        return Proposals(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def refine(self, windows: npt.NDArray[np.int64], owners: Places) -> Verdict:
        """Run R-Net on the windows of their owners' pictures."""
        head = self._head(self._nets.rnet, windows, owners, _RNET_SIDE, 6)
        return Verdict(_face_scores(head), head[:, 2:6])

    def conclude(self, windows: npt.NDArray[np.int64], owners: Places) -> Conclusion:
        """Run O-Net on the windows of their owners' pictures."""
        head = self._head(self._nets.onet, windows, owners, _ONET_SIDE, 16)
        return Conclusion(_face_scores(head), head[:, 2:6], head[:, 6:])

    def _head(self, net: ov.Net, windows: npt.NDArray[np.int64], owners: Places, side: int, channels: int) -> Float32:
        """Return a net's (N, channels) output for N crops; a crop's does not depend on those beside it."""
        head = np.empty((len(windows), channels), np.float32)
        for start in range(0, len(windows), _CHUNK):
            some = slice(start, min(start + _CHUNK, len(windows)))
            rows = np.arange(some.start, max(some.stop, some.start + _LEAST)).clip(max=some.stop - 1)
            head[some] = net(*self._areas.crops(windows[rows], owners[rows], side))[: some.stop - start]
        return head


def _strips(height: int) -> list[slice]:
    """Cut a level's rows into strips whose cells, put together, are those of the whole."""
    cells = (height - 1) // 2 - 4  # 3 × 3 convolution, 2 × 2 pool rounded up, two more convolutions
    starts = range(0, max(cells, 1), _STRIP_CELLS)
    ends = [2 * (start + _STRIP_CELLS) + 10 for start in starts[:-1]] + [height]
    return [slice(2 * start, end) for start, end in zip(starts, ends, strict=True)]


def _above(head: Float32, first_row: int, threshold: float) -> Proposals:
    """Return the cells of a (6, h, w) head whose score reaches the threshold; `first_row`: of the strip."""
    logits = head[1] - head[0]
    rows, columns = np.nonzero(logits >= np.log(threshold / (1 - threshold)))
    scores = 1 / (1 + np.exp(-logits[rows, columns]))
    return Proposals(np.stack([rows + first_row, columns], 1), scores, head[2:, rows, columns].T)


def _face_scores(head: Float32) -> Float32:
    return np.asarray(1 / (1 + np.exp(head[:, 0] - head[:, 1])), np.float32)


def _pixels(side: int) -> tuple[list[ov.Node], ov.Node]:
    """Return the two inputs that are `Sums`, side × side (-1: any), and the (N, 3, h, w) pixels made of them."""
    sums, shares = ov.parameter((-1, side, side, 3), np.int32), ov.parameter((-1, 1, side, side), np.float32)
    means = ov.multiply(ov.as_float(ov.channels_first(sums)), shares)
    normalised = ov.add(ov.multiply(means, ov.constant(1 / _SCALE)), ov.constant(-_MEAN / _SCALE))
    return [sums, shares], normalised


def _layer(x: ov.Node, state: State, number: int) -> ov.Node:
    maps = ov.convolution(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"])
    return ov.prelu(maps, state[f"prelu{number}.weight"])


def _pnet(state: State) -> Graph:
    inputs, x = _pixels(-1)
    x = ov.max_pool(_layer(x, state, 1), 2, 2, rounding="ceil")
    x = _layer(_layer(x, state, 2), state, 3)
    return ov.convolution(x, *mtcnn_weights.fused(state, ("conv4_1", "conv4_2"))), inputs


def _trunk(x: ov.Node, state: State) -> ov.Node:
    """Build the three convolutions that R-Net and O-Net both begin with."""
    x = ov.max_pool(_layer(x, state, 1), 3, 2, rounding="ceil")
    x = ov.max_pool(_layer(x, state, 2), 3, 2, rounding="ceil")
    return _layer(x, state, 3)


def _verdict(x: ov.Node, state: State, dense: str, prelu: str, heads: tuple[str, ...]) -> ov.Node:
    x = ov.dense(ov.flattened(x), state[f"{dense}.weight"], state[f"{dense}.bias"])
    return ov.dense(ov.prelu(x, state[f"{prelu}.weight"]), *mtcnn_weights.fused(state, heads))


def _rnet(state: State) -> Graph:
    inputs, x = _pixels(_RNET_SIDE)
    x = _verdict(_trunk(x, state), state, "dense4", "prelu4", ("dense5_1", "dense5_2"))
    return x, inputs


def _onet(state: State) -> Graph:
    inputs, x = _pixels(_ONET_SIDE)
    x = _layer(ov.max_pool(_trunk(x, state), 2, 2, rounding="ceil"), state, 4)
    x = _verdict(x, state, "dense5", "prelu5", ("dense6_1", "dense6_2", "dense6_3"))
    return x, inputs
