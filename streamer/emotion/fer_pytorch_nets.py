"""The two nets of which fer-pytorch has checkpoints, written down once for all that computes them (`streamer.layers`).

ResNet-34 (He et al., CVPR 2016) as torchvision and timm both have it, and MobileNetV2 (Sandler et al., CVPR 2018) 1.4
times as wide, timm's `mobilenetv2_140`. Layers are called as those two packages call them, and so are they in
checkpoints. Batch normalisations are folded into the convolutions before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streamer.layers import Layers, Maps

CLASSES = 7

_RESNET_STAGES = ((1, 64, 3, 1), (2, 128, 4, 2), (3, 256, 6, 2), (4, 512, 3, 2))  # number, channels, blocks, stride
# The same with MobileNetV2's table: outputs are rounded to multiples of eight after they were made 1.4 times as many.
_MOBILENET_STEM, _MOBILENET_FEATURES, _MOBILENET_EXPANSION = 48, 1792, 6
_MOBILENET_STAGES = (
    (1, 32, 2, 2),
    (2, 48, 3, 2),
    (3, 88, 4, 2),
    (4, 136, 3, 1),
    (5, 224, 3, 2),
    (6, 448, 1, 1),
)
_MOBILENET_FIRST = 24
_RELU6 = 6.0


@dataclass(frozen=True, slots=True)
class Convolution:
    """One layer of a net.

    Attributes:
        name: As checkpoints call it.
        normalisation: The same of its batch normalisation.
        shape: Of its weight: outputs, inputs (1: each channel alone), height, width.
    """

    name: str
    normalisation: str
    shape: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a checkpoint of a net holds.

    Attributes:
        name: As fer-pytorch calls it.
        convolutions: All, in order.
        head: The name of the last, dense layer.
        features: How many numbers that takes.
    """

    name: str
    convolutions: tuple[Convolution, ...]
    head: str
    features: int


def _resnet34_layers() -> Iterator[Convolution]:
    yield Convolution("conv1", "bn1", (64, 3, 7, 7))
    inputs = 64
    for number, outputs, blocks, _ in _RESNET_STAGES:
        for block in range(blocks):
            name = f"layer{number}.{block}"
            yield Convolution(f"{name}.conv1", f"{name}.bn1", (outputs, inputs, 3, 3))
            yield Convolution(f"{name}.conv2", f"{name}.bn2", (outputs, outputs, 3, 3))
            if inputs != outputs:
                yield Convolution(f"{name}.downsample.0", f"{name}.downsample.1", (outputs, inputs, 1, 1))
            inputs = outputs


def _resnet34(net: Layers[Maps], x: Maps) -> Maps:
    x = net.relu(net.convolve(x, "conv1", stride=2, padding=(3, 3)))
    x = net.shrink(x, padding=1)
    for number, _, blocks, first_stride in _RESNET_STAGES:
        for block in range(blocks):
            name, stride = f"layer{number}.{block}", first_stride if block == 0 else 1
            deep = net.relu(net.convolve(x, f"{name}.conv1", stride=stride, padding=(1, 1)))
            deep = net.convolve(deep, f"{name}.conv2", padding=(1, 1))
            shallow = net.convolve(x, f"{name}.downsample.0", stride=stride) if stride > 1 else x
            x = net.relu(net.add(deep, shallow))
    return net.head(x, "fc")


def _mobilenetv2_140_layers() -> Iterator[Convolution]:
    yield Convolution("conv_stem", "bn1", (_MOBILENET_STEM, 3, 3, 3))
    yield Convolution("blocks.0.0.conv_dw", "blocks.0.0.bn1", (_MOBILENET_STEM, 1, 3, 3))
    yield Convolution("blocks.0.0.conv_pw", "blocks.0.0.bn2", (_MOBILENET_FIRST, _MOBILENET_STEM, 1, 1))
    inputs = _MOBILENET_FIRST
    for number, outputs, blocks, _ in _MOBILENET_STAGES:
        for block in range(blocks):
            name, wide = f"blocks.{number}.{block}", _MOBILENET_EXPANSION * inputs
            yield Convolution(f"{name}.conv_pw", f"{name}.bn1", (wide, inputs, 1, 1))
            yield Convolution(f"{name}.conv_dw", f"{name}.bn2", (wide, 1, 3, 3))
            yield Convolution(f"{name}.conv_pwl", f"{name}.bn3", (outputs, wide, 1, 1))
            inputs = outputs
    yield Convolution("conv_head", "bn2", (_MOBILENET_FEATURES, inputs, 1, 1))


def _mobilenetv2_140(net: Layers[Maps], x: Maps) -> Maps:
    x = net.relu(net.convolve(x, "conv_stem", stride=2, padding=(1, 1)), _RELU6)
    x = net.relu(net.convolve_each(x, "blocks.0.0.conv_dw", padding=(1, 1)), _RELU6)
    x = net.convolve(x, "blocks.0.0.conv_pw")
    for number, _, blocks, first_stride in _MOBILENET_STAGES:
        for block in range(blocks):
            name, stride = f"blocks.{number}.{block}", first_stride if block == 0 else 1
            wide = net.relu(net.convolve(x, f"{name}.conv_pw"), _RELU6)
            wide = net.relu(net.convolve_each(wide, f"{name}.conv_dw", stride=stride, padding=(1, 1)), _RELU6)
            narrow = net.convolve(wide, f"{name}.conv_pwl")
            # The first block of each stage changes the number of channels.
            x = narrow if block == 0 else net.add(narrow, x)
    return net.head(net.relu(net.convolve(x, "conv_head"), _RELU6), "classifier")


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "resnet34": Architecture("resnet34", tuple(_resnet34_layers()), "fc", 512),
        "mobilenetv2_140": Architecture(
            "mobilenetv2_140", tuple(_mobilenetv2_140_layers()), "classifier", _MOBILENET_FEATURES
        ),
    }
)
"""By the names that fer-pytorch and the configuration have for them."""


def forward(architecture: str, net: Layers[Maps], x: Maps) -> Maps:
    """Return the (N, 7) logits of (N, 3, 224, 224) normalised pixels."""
    return {"resnet34": _resnet34, "mobilenetv2_140": _mobilenetv2_140}[architecture](net, x)
