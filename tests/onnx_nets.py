"""Small ONNX nets of known weights, and what they give, computed by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from streamer.types import Float32

_RANDOM = np.random.default_rng(11)
KERNEL: Float32 = _RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
BIAS: Float32 = _RANDOM.normal(size=4).astype(np.float32)
LAST: Float32 = _RANDOM.normal(size=(8, 4)).astype(np.float32)

Side = int | str


@dataclass(frozen=True)
class Conv:
    """A convolution, ReLU, the mean, and a matrix: (N, 3, S, S) or (N, S, S, 3) to (N, 8)."""

    batch: Side = "N"
    side: Side = 32
    is_channels_first: bool = True
    element: int = TensorProto.FLOAT
    outputs: int = 8

    def model(self) -> ModelProto:
        s = self.side
        shape = [self.batch, 3, s, s] if self.is_channels_first else [self.batch, s, s, 3]
        nodes: list[NodeProto] = []
        name = "pixels"
        if self.element != TensorProto.FLOAT:
            nodes.append(helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT))
            name = "floats"
        if not self.is_channels_first:
            nodes.append(helper.make_node("Transpose", [name], ["turned"], perm=[0, 3, 1, 2]))
            name = "turned"
        nodes += [
            helper.make_node("Conv", [name, "kernel", "bias"], ["maps"], strides=[2, 2]),
            helper.make_node("Relu", ["maps"], ["positive"]),
            helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
            helper.make_node("Flatten", ["means"], ["flat"]),
            helper.make_node("Gemm", ["flat", "last"], ["vectors"], transB=1),
        ]
        last = LAST[: self.outputs]
        tensors = [numpy_helper.from_array(a, n) for a, n in ((KERNEL, "kernel"), (BIAS, "bias"), (last, "last"))]
        graph = helper.make_graph(
            nodes,
            "conv",
            [helper.make_tensor_value_info("pixels", self.element, shape)],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [self.batch, self.outputs])],
            tensors,
        )
        return as_model(graph)

    def content(self) -> bytes:
        return bytes(self.model().SerializeToString())


@dataclass(frozen=True)
class Classes:
    """Means of 4 × 4 parts of the picture, and a matrix: (N, C, S, S) to (N, K) logits, or to their softmax."""

    channels: int = 1
    side: int = 64
    outputs: int = 8
    last: str = "Gemm"
    is_channels_first: bool = True

    @property
    def matrix(self) -> Float32:
        """(K, 16 C) float32."""
        random = np.random.default_rng(self.outputs * 10 + self.channels)
        return np.asarray(random.normal(0, 0.01, (self.outputs, 16 * self.channels)), np.float32)

    def logits(self, pixels: Float32) -> Float32:
        """Return the (K,) logits of (C, S, S) pixels."""
        part = self.side // 4
        means = pixels.astype(np.float64).reshape(self.channels, 4, part, 4, part).mean(axis=(2, 4))
        return np.asarray(self.matrix.astype(np.float64) @ means.reshape(-1), np.float32)

    def content(self) -> bytes:
        part, square = self.side // 4, [self.side, self.side]
        shape: list[Side] = ["N", self.channels, *square] if self.is_channels_first else ["N", *square, self.channels]
        turned = [] if self.is_channels_first else [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])]
        nodes = [
            *turned,
            helper.make_node(
                "AveragePool", ["t" if turned else "x"], ["p"], kernel_shape=[part, part], strides=[part, part]
            ),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "matrix"], ["logits"], transB=1),
        ]
        if self.last != "Gemm":
            nodes.append(helper.make_node(self.last, ["logits"], ["answers"], axis=1))
        graph = helper.make_graph(
            nodes,
            "classes",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", self.outputs])],
            [numpy_helper.from_array(self.matrix, "matrix")],
        )
        return bytes(as_model(graph).SerializeToString())


def as_model(graph: GraphProto) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def conv_by_numpy(pixels: Float32) -> Float32:
    """Return the (8,) vector of (3, S, S) pixels."""
    side = (pixels.shape[1] - 3) // 2 + 1
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), axis=(1, 2))[:, ::2, ::2]
    maps = np.einsum("cyxij,kcij->kyx", windows[:, :side, :side].astype(np.float64), KERNEL.astype(np.float64))
    means = np.maximum(maps + BIAS[:, None, None], 0).mean(axis=(1, 2))
    return np.asarray(LAST.astype(np.float64) @ means, np.float32)


def odd(
    inputs: Sequence[Sequence[Side]] = ((1, 3, 32, 32),),
    output: Sequence[Side] = (1, 3),
    *,
    operation: str = "ReduceMean",
    output_count: int = 1,
) -> bytes:
    """Return a net of strange inputs or outputs: sums its inputs and averages pixels away where that is asked for."""
    names = [f"input{number}" for number in range(len(inputs))]
    nodes = [helper.make_node("Sum", names, ["sum"])] if len(names) > 1 else []
    source = "sum" if nodes else names[0]
    outputs = [f"output{number}" for number in range(output_count)]
    for name in outputs:
        if operation == "ReduceMean":
            nodes.append(helper.make_node(operation, [source], [name], axes=[2, 3], keepdims=0))
        else:
            nodes.append(helper.make_node(operation, [source], [name]))
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, inputs, strict=True)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, output) for name in outputs],
    )
    return bytes(as_model(graph).SerializeToString())
