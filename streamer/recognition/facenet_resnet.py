"""Embeds aligned face crops with facenet-pytorch's InceptionResnetV1 "vggface2": 512 numbers a face.

The net is David Sandberg's (github.com/davidsandberg/facenet, after Szegedy et al., AAAI 2017), as
github.com/timesler/facenet-pytorch converted it; both MIT. Its weights are fetched once, see `streamer.downloads`. What
computes it is facenet_openvino or facenet_torch: `forward` writes the net down once, in layers that either has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer.layers import Layers, Maps, Padding
from streamer.recognition.aligned import AlignedEmbedder, Net
from streamer.recognition.templates import FACENET
from streamer.torch_files import Array, read_state
from streamer.types import Float32
from streamer.weights import locate

NAME = "facenet-vggface2"
DIMENSION = 512
CROP_SIZE = FACENET.side

# facenet-pytorch's `fixed_image_standardization`.
MEAN, DIVISOR = 127.5, 128.0

_EPSILON = 1e-3  # of its batch normalisations
_SCALES = {"repeat_1": 0.17, "repeat_2": 0.10, "repeat_3": 0.20, "block8": 1.0}  # of what a block adds to its input
_BLOCKS = {"repeat_1": 5, "repeat_2": 10, "repeat_3": 5}

_Float64 = npt.NDArray[np.float64]


def forward(net: Layers[Maps], x: Maps) -> Maps:
    """Return the (N, 512) vectors, not yet of unit length, of (N, 3, 160, 160) normalised BGR pixels."""
    x = _convolved(net, x, "conv2d_1a", stride=2)
    x = _convolved(net, x, "conv2d_2a")
    x = net.shrink(_convolved(net, x, "conv2d_2b", padding=(1, 1)))
    x = _convolved(net, x, "conv2d_3b")
    x = _convolved(net, x, "conv2d_4a")
    x = _convolved(net, x, "conv2d_4b", stride=2)
    for number in range(_BLOCKS["repeat_1"]):
        x = _block(net, x, f"repeat_1.{number}", ([], [(1, 1)], [(1, 1), (1, 1)]))
    x = net.join(
        [
            _convolved(net, x, "mixed_6a.branch0", stride=2),
            _halved(net, x, "mixed_6a.branch1", deep=True),
            net.shrink(x),
        ]
    )
    for number in range(_BLOCKS["repeat_2"]):
        x = _block(net, x, f"repeat_2.{number}", ([], [(0, 3), (3, 0)]))
    branches = [_halved(net, x, f"mixed_7a.branch{number}", deep=number == 2) for number in range(3)]
    x = net.join([*branches, net.shrink(x)])
    for number in range(_BLOCKS["repeat_3"]):
        x = _block(net, x, f"repeat_3.{number}", ([], [(0, 1), (1, 0)]))
    return net.head(_sum(net, x, "block8", ([], [(0, 1), (1, 0)])), "last")


def _convolved(net: Layers[Maps], x: Maps, name: str, *, stride: int = 1, padding: Padding = (0, 0)) -> Maps:
    return net.relu(net.convolve(x, name, stride=stride, padding=padding))


def _block(net: Layers[Maps], x: Maps, name: str, branches: Sequence[Sequence[Padding]]) -> Maps:
    return net.relu(_sum(net, x, name, branches))


def _sum(net: Layers[Maps], x: Maps, name: str, branches: Sequence[Sequence[Padding]]) -> Maps:
    """Add to the input what several branches find in it: each a 1 × 1 convolution, then ones with these paddings."""
    found: list[Maps] = []
    for number, paddings in enumerate(branches):
        branch = f"{name}.branch{number}"
        y = _convolved(net, x, f"{branch}.0" if paddings else branch)
        for place, padding in enumerate(paddings, 1):
            y = _convolved(net, y, f"{branch}.{place}", padding=padding)
        found.append(y)
    return net.add(net.convolve(net.join(found), f"{name}.conv2d"), x)


def _halved(net: Layers[Maps], x: Maps, name: str, *, deep: bool) -> Maps:
    """Return half-sized maps: a 1 × 1 convolution, in deep branches a 3 × 3 one, then one with stride 2."""
    x = _convolved(net, x, f"{name}.0")
    x = _convolved(net, x, f"{name}.1", padding=(1, 1)) if deep else x
    return _convolved(net, x, f"{name}.{2 if deep else 1}", stride=2)


def read() -> dict[str, Float32]:
    """Return the net's weights for BGR input: NAME.weight and NAME.bias, normalisations and scales folded in.

    Raises:
        WeightsError: They have not been fetched, or the file is another one.
    """
    state = read_state(locate(NAME))
    tensors: dict[str, Float32] = {}
    for name in (key.removesuffix(".conv.weight") for key in state if key.endswith(".conv.weight")):
        gain, shift = _normalisation(state, f"{name}.bn")
        weight = state[f"{name}.conv.weight"].astype(np.float64) * gain[:, None, None, None]
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight.astype(np.float32), shift.astype(np.float32)
    for name in (key.removesuffix(".weight") for key in state if key.endswith(".conv2d.weight")):
        scale = _SCALES[name.partition(".")[0]]
        for part in ("weight", "bias"):
            tensors[f"{name}.{part}"] = (state[f"{name}.{part}"].astype(np.float64) * scale).astype(np.float32)
    gain, shift = _normalisation(state, "last_bn")
    tensors["last.weight"] = (state["last_linear.weight"].astype(np.float64) * gain[:, None]).astype(np.float32)
    tensors["last.bias"] = shift.astype(np.float32)
    # The net was trained on RGB; crops here are BGR, so the first layer's input channels are turned round once.
    tensors["conv2d_1a.weight"] = np.ascontiguousarray(tensors["conv2d_1a.weight"][:, ::-1])
    return tensors


def _normalisation(state: dict[str, Array], name: str) -> tuple[_Float64, _Float64]:
    """Return a batch normalisation as what it multiplies by and then adds, in float64: storing is the only rounding."""
    gamma, beta, mean, variance = (
        state[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = gamma / np.sqrt(variance + _EPSILON)
    return gain, beta - mean * gain


class FacenetEmbedder(AlignedEmbedder):
    """An `Embedder` on facenet-pytorch's net.

    Args:
        net: What computes it.
        flip: See `AlignedEmbedder`.
    """

    def __init__(self, net: Net, *, flip: bool = False) -> None:
        super().__init__(net, FACENET, DIMENSION, flip=flip)
