"""Nets on OpenVINO: graphs built from NumPy weights, compiled for the CPU, callable from several threads at once.

The graphs are written in OpenVINO's own operations, so neither torch nor an exported file is needed; building and
compiling one takes some 15 ms, so nothing is cached on disk. The only module that imports openvino, and only when a
net is made. OpenVINO's telemetry is never loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from streamer.types import Float32

if TYPE_CHECKING:
    import openvino
    from openvino import Node as Node
else:
    Node = object

Precision = Literal["float32", "fastest"]
Array = npt.NDArray[np.generic]

# Dynamic shapes leave a compiled kernel each in a cache that by default holds 5,000.
_MOST_KERNELS = 256


@cache
def _library() -> openvino.Core:
    """Import OpenVINO and return its entry point."""
    # Without this, `import openvino` imports a package that reports its use; OpenVINO has a stub for its absence.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


def parameter(shape: Sequence[int], dtype: type[np.generic]) -> Node:
    """Declare an input; -1: a side of any length."""
    _library()
    from openvino import opset13

    return opset13.parameter(list(shape), dtype)


def constant(values: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> Node:
    """Return weights."""
    from openvino import opset13

    return opset13.constant(np.array(values, dtype, order="C"))


def convolution(
    x: Node,
    weight: Float32,
    bias: Float32,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> Node:
    """Convolve (N, C, H, W) with a (K, C, h, w) weight and add a (K,) bias; strides: down and across, or both."""
    from openvino import opset13

    pads, strides = ([both, both] if isinstance(both, int) else list(both) for both in (padding, stride))
    maps = opset13.convolution(x, constant(weight), strides, pads, pads, [1, 1])
    return opset13.add(maps, constant(bias.reshape(1, -1, 1, 1)))


def convolution_of_each(
    x: Node, weight: Float32, bias: Float32, *, stride: int = 1, padding: tuple[int, int] = (0, 0)
) -> Node:
    """Convolve each of (N, C, H, W) channels alone, by a (C, 1, h, w) weight, and add a (C,) bias."""
    from openvino import opset13

    pads, groups = list(padding), constant(weight[:, None])
    maps = opset13.group_convolution(x, groups, [stride, stride], pads, pads, [1, 1])
    return opset13.add(maps, constant(bias.reshape(1, -1, 1, 1)))


def dense(x: Node, weight: Float32, bias: Float32 | None = None) -> Node:
    """Multiply (N, C) by a (K, C) weight and add a (K,) bias."""
    from openvino import opset13

    product = opset13.matmul(x, constant(weight), False, True)
    return product if bias is None else opset13.add(product, constant(bias))


def prelu(x: Node, slopes: Float32) -> Node:
    """Multiply what is negative by its channel's slope."""
    from openvino import opset13

    return opset13.prelu(x, constant(slopes))


def relu(x: Node) -> Node:
    """Replace what is negative by 0."""
    from openvino import opset13

    return opset13.relu(x)


def clamped(x: Node, least: float, most: float) -> Node:
    """Replace what is below or above two numbers by them."""
    from openvino import opset13

    return opset13.clamp(x, least, most)


def max_pool(x: Node, side: int, stride: int, *, rounding: str, padding: int = 0) -> Node:
    """Return maxima over side × side windows; `rounding` of the number of windows: "ceil" or "floor"."""
    from openvino import opset13

    pads = [padding, padding]
    pooled = opset13.max_pool(x, [stride, stride], [1, 1], pads, pads, [side, side], rounding)
    return pooled.output(0)  # the other holds the maxima's places


def average_pool(x: Node, side: int) -> Node:
    """Return means over side × side windows that touch."""
    from openvino import opset13

    return opset13.avg_pool(x, [side, side], [0, 0], [0, 0], [side, side], True)


def average(x: Node) -> Node:
    """Return the (N, C) means of (N, C, H, W) maps."""
    from openvino import opset13

    return opset13.reduce_mean(x, constant([2, 3], np.int64), False)


def pad_after(x: Node, *, channels: int = 0, rows: int = 0, columns: int = 0) -> Node:
    """Add zeros behind the last channel, below and to the right."""
    from openvino import opset13

    none, after = constant([0, 0, 0, 0], np.int64), constant([0, channels, rows, columns], np.int64)
    return opset13.pad(x, none, after, "constant", constant(0.0))


def flattened(x: Node) -> Node:
    """Turn (N, C, H, W) maps into (N, W · H · C) rows, the order in which MTCNN's dense layers expect them."""
    from openvino import opset13

    turned = opset13.transpose(x, constant([0, 3, 2, 1], np.int64))
    return opset13.reshape(turned, constant([0, -1], np.int64), True)


def as_float(x: Node) -> Node:
    """Convert whole numbers to float32."""
    from openvino import opset13

    return opset13.convert(x, "f32")


def channels_first(x: Node) -> Node:
    """Turn (N, H, W, C) into (N, C, H, W)."""
    from openvino import opset13

    return opset13.transpose(x, constant([0, 3, 1, 2], np.int64))


def add(x: Node, y: Node) -> Node:
    """Add, element by element."""
    from openvino import opset13

    return opset13.add(x, y)


def multiply(x: Node, y: Node) -> Node:
    """Multiply, element by element."""
    from openvino import opset13

    return opset13.multiply(x, y)


def joined(maps: Sequence[Node]) -> Node:
    """Put (N, C, H, W) maps behind each other, channel by channel."""
    from openvino import opset13

    return opset13.concat(list(maps), 1)


def read_onnx(content: bytes) -> openvino.Model:
    """Read an ONNX model; raises RuntimeError, of several lines, where OpenVINO cannot.

    What a model refers to in other files would be looked for in the current folder: see that there is nothing first.
    """
    return _library().read_model(content)


def number_format(precision: Precision, capabilities: Sequence[str]) -> str:
    """Return OpenVINO's name of what a net computes in, on a CPU of these capabilities.

    Never float16, which OpenVINO would take by itself on ARM: pixels' sums exceed its largest number, 65,504.
    """
    return "bf16" if precision == "fastest" and "BF16" in capabilities else "f32"


class Net:
    """A graph with one output, compiled for the CPU once for each thread that calls it at a time.

    A compiled graph of one stream computes in the thread that calls it. One of several streams, for several callers,
    would hand each call to a thread of its own: beside a decoder and an encoder that keep all cores busy, waiting for
    that thread to be woken takes longer than a small net itself.

    Args:
        output: Its last operation.
        inputs: Its parameters, in the order of the arguments of a call.
        callers: So many threads may call it side by side; for each more that does, it is compiled when it does, which
            takes some 25 ms.
        precision: "float32", or "fastest": bfloat16 where the CPU computes in it, which takes half the time.
    """

    def __init__(
        self, output: Node, inputs: Sequence[Node], *, callers: int = 1, precision: Precision = "float32"
    ) -> None:
        import openvino

        self._model = openvino.Model([output], list(inputs))
        self._settings: dict[str, str | int | bool] = {
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": 1,
            # Pinned, all nets would share the first core.
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": _MOST_KERNELS,
            "INFERENCE_PRECISION_HINT": number_format(
                precision, _library().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            ),
        }
        self._idle: list[openvino.InferRequest] = [self._request() for _ in range(callers)]
        self._lock = Lock()

    def _request(self) -> openvino.InferRequest:
        return _library().compile_model(self._model, "CPU", self._settings).create_infer_request()

    def __call__(self, *arrays: Array) -> Float32:
        """Return the output for the inputs; it belongs to the caller."""
        with self._taken() as request:
            outputs = request.infer(arrays, share_inputs=True, share_outputs=True)
            return np.array(outputs[0], np.float32)

    def by_twos(self, arrays: Sequence[Array]) -> list[Float32]:
        """Return the output of a net of one input for each of many inputs, the same as one call each.

        Every second is computed by a thread of OpenVINO's own meanwhile: worth it for many, where cores are idle.
        """
        outputs: list[Float32] = []
        with self._taken() as request:
            for first, second in zip(arrays[::2], arrays[1::2], strict=False):
                request.start_async([second], share_inputs=True)
                try:
                    outputs.append(self(first))
                finally:
                    request.wait()
                outputs.append(np.array(request.get_output_tensor(0).data, np.float32))
        return outputs + [self(last) for last in arrays[len(outputs) :]]

    @contextmanager
    def _taken(self) -> Iterator[openvino.InferRequest]:
        with self._lock:
            request = self._idle.pop() if self._idle else None
        if request is None:
            request = self._request()
        try:
            yield request
        finally:
            with self._lock:
                self._idle.append(request)
