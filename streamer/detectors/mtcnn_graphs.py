"""MTCNN's nets as OpenVINO graphs, from the first layer's maps on: what the exact and the thrifty cascade share."""

from __future__ import annotations

from typing import NamedTuple

from streamer import openvino_runtime as ov
from streamer.detectors import mtcnn_weights
from streamer.detectors.mtcnn_weights import State

Graph = tuple[ov.Node, list[ov.Node]]  # a net's output and its inputs


class CropNet(NamedTuple):
    """What a net that looks at crops takes and gives.

    Attributes:
        side: S, of the crops, px.
        channels: Of the output.
        multiple: The net sees so many crops, or a multiple, the last of them repeated; at least 2. One crop alone would
            take another kernel than several, whose last bits differ, and each number that is new costs milliseconds.
    """

    side: int
    channels: int
    multiple: int


RNET, ONET = CropNet(24, 6, 8), CropNet(48, 16, 2)


def pnet(maps: ov.Node, state: State) -> ov.Node:
    """Return P-Net's (N, 5, h, w) output: the difference of the two class logits, and four box corrections."""
    x = ov.max_pool(maps, 2, 2, rounding="ceil")
    x = _layer(_layer(x, state, 2), state, 3)
    weight, bias = mtcnn_weights.fused(state, ("conv4_1", "conv4_2"))
    # Of the two class logits only the difference matters.
    weight[1], bias[1] = weight[1] - weight[0], bias[1] - bias[0]
    return ov.convolution(x, weight[1:], bias[1:])


def rnet(maps: ov.Node, state: State) -> ov.Node:
    """Return R-Net's (N, 6) output: two class logits, four box corrections."""
    return _verdict(_trunk(maps, state), state, "dense4", "prelu4", ("dense5_1", "dense5_2"))


def onet(maps: ov.Node, state: State) -> ov.Node:
    """Return O-Net's (N, 16) output: two class logits, four box corrections, five x and five y of landmarks."""
    x = _layer(ov.max_pool(_trunk(maps, state), 2, 2, rounding="ceil"), state, 4)
    return _verdict(x, state, "dense5", "prelu5", ("dense6_1", "dense6_2", "dense6_3"))


def _layer(x: ov.Node, state: State, number: int) -> ov.Node:
    maps = ov.convolution(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"])
    return ov.prelu(maps, state[f"prelu{number}.weight"])


def _trunk(x: ov.Node, state: State) -> ov.Node:
    """Build the two convolutions that come second and third in R-Net as well as in O-Net."""
    x = ov.max_pool(x, 3, 2, rounding="ceil")
    x = ov.max_pool(_layer(x, state, 2), 3, 2, rounding="ceil")
    return _layer(x, state, 3)


def _verdict(x: ov.Node, state: State, dense: str, prelu: str, heads: tuple[str, ...]) -> ov.Node:
    x = ov.dense(ov.flattened(x), state[f"{dense}.weight"], state[f"{dense}.bias"])
    return ov.dense(ov.prelu(x, state[f"{prelu}.weight"]), *mtcnn_weights.fused(state, heads))
