"""A net that a user brings as an ONNX file, computed by OpenVINO on the CPU: crops in, a row of numbers each out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from streamer import openvino_runtime as ov
from streamer.errors import WeightsError, printable
from streamer.net_files import NetFile
from streamer.onnx_file import read
from streamer.stages import Crops
from streamer.types import Float32

if TYPE_CHECKING:
    import openvino

_MOST_PIXELS = 1024  # a crop's side; what asks for more is no net for faces
_MOST_NUMBERS = 16_384  # a row's length, likewise
_DTYPES: Mapping[str, npt.DTypeLike] = MappingProxyType({"f32": np.float32, "f16": np.float16, "u8": np.uint8})

# What is subtracted from red, green and blue of 0..255, and by what the rest is divided.
_NORMALISATIONS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = MappingProxyType(
    {
        "arcface": ((127.5,) * 3, (127.5,) * 3),
        "facenet": ((127.5,) * 3, (128.0,) * 3),
        "unit": ((0.0,) * 3, (255.0,) * 3),
        "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        "raw": ((0.0,) * 3, (1.0,) * 3),
    }
)
_LEAST_DEVIATION = 0.255  # added to a picture's own, which may be 0


@dataclass(frozen=True, slots=True)
class PixelRecipe:
    """What becomes of crops; nothing in the net's file tells.

    Attributes:
        usual_side: S, the crop's side, px, where the file takes any.
        normalisation: "arcface", "facenet", "unit", "imagenet", "raw", or "standardise": each crop's mean and deviation
            become 0 and 1.
        channels: "rgb", "bgr", or "grey", which a net of three channels gets three times; None: "grey" where the file
            takes one channel, else "rgb".
        crop_size: S as somebody wants it; None: as the file has it.
    """

    usual_side: int
    normalisation: str
    channels: str | None
    crop_size: int | None = None


class OnnxNet:
    """The net itself; several threads may call it at once. Each crop goes through alone, for the sake of its bits.

    It computes in float32: what bfloat16 would do to the numbers of an unknown net is unknown, too.

    Args:
        file: The file: one input of one or any number of pictures, colours first or last, and one (N, D) output.
        recipe: How crops are made ready for it.
        last: Given the node that the file puts out, returns the one that is wanted.

    Attributes:
        side: S, of its crops, px.
        dimension: D, of its rows.
        is_grey: It does not see colours.

    Raises:
        WeightsError: The file is absent, no such net, needs other files, or takes crops of another size.
    """

    def __init__(self, file: NetFile, recipe: PixelRecipe, last: Callable[[ov.Node], ov.Node] | None = None) -> None:
        content = read(file)
        section = file.key.partition(".")[0]
        try:
            model = ov.read_onnx(content)
            input_shape = _single("input", [port.get_partial_shape() for port in model.inputs])
            layout = _layout(input_shape, recipe, section)
            self.side = layout.side
            channels = recipe.channels or ("grey" if layout.channels == 1 else "rgb")
            self.is_grey = channels == "grey"
            model.reshape(layout.shape)
            output_shape = _single("output", [port.get_partial_shape() for port in model.outputs])
            self.dimension = _dimension(output_shape)
            normalised = _normalisation(recipe.normalisation, channels, layout.channels, section)
            self._prepared = _preparation(layout, channels, _dtype(model), normalised)
            output = model.outputs[0].get_node().input_value(0)
            self._net = ov.Net(output if last is None else last(output), model.get_parameters())
            # Some faults of a file show only when it computes.
            self._net(self._prepared(np.zeros((self.side, self.side, 3), np.uint8)))
        except ValueError as error:
            raise WeightsError(f"{file} is no net that can be used here: {error}") from error
        except RuntimeError as error:
            raise WeightsError(f"{file} is refused by OpenVINO ({_reason(error)}); export again") from error

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, D) float32 rows of (N, S, S, 3) uint8 BGR crops."""
        rows = np.empty((len(crops), self.dimension), np.float32)
        for index, crop in enumerate(crops):
            rows[index] = self._net(self._prepared(crop))[0]
        return rows


@dataclass(frozen=True, slots=True)
class _Layout:
    """The input of one crop: its side, how many channels it has, and whether they come first."""

    side: int
    channels: int
    is_channels_first: bool

    @property
    def shape(self) -> list[int]:
        square = [self.side, self.side]
        return [1, self.channels, *square] if self.is_channels_first else [1, *square, self.channels]


def _preparation(
    layout: _Layout, channels: str, dtype: npt.DTypeLike, normalised: Callable[[Float32], Float32]
) -> Callable[[Crops], ov.Array]:
    """Return what makes the input, of a batch of one, of an (S, S, 3) uint8 BGR crop."""

    def prepared(crop: Crops) -> ov.Array:
        if channels == "grey":
            pixels = np.repeat(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)[..., None], layout.channels, axis=2)
        else:
            pixels = crop[..., ::-1] if channels == "rgb" else crop
        values = normalised(pixels.astype(np.float32))
        ordered = values.transpose(2, 0, 1) if layout.is_channels_first else values
        return np.ascontiguousarray(ordered[None], dtype)

    return prepared


def _normalisation(name: str, channels: str, count: int, section: str) -> Callable[[Float32], Float32]:
    """Return what normalises (S, S, C) pixels in the order of `channels`. Raises ValueError."""
    if name == "standardise":
        return lambda pixels: (pixels - pixels.mean()) / (pixels.std() + np.float32(_LEAST_DEVIATION))
    means, deviations = (np.array(three, np.float32) for three in _NORMALISATIONS[name])
    if count == 1 and len(set(means)) > 1:
        raise ValueError(f"it takes one channel, and {name} is for three colours ({section}.normalisation)")
    order = -1 if channels == "bgr" else 1
    means, deviations = means[::order][:count], deviations[::order][:count]
    return lambda pixels: np.asarray((pixels - means) / deviations, np.float32)


def _single(what: str, shapes: list[openvino.PartialShape]) -> openvino.PartialShape:
    if len(shapes) != 1:
        raise ValueError(f"it has {len(shapes)} {what}s instead of one")
    return shapes[0]


def _layout(shape: openvino.PartialShape, recipe: PixelRecipe, section: str) -> _Layout:
    """Return how the input lies, for one crop. Raises ValueError for what is no square picture."""
    sizes = _sizes(shape)
    allowed = (3,) if recipe.channels in ("rgb", "bgr") else (1, 3)
    if len(sizes) != 4 or not {sizes[1], sizes[3]} & set(allowed):
        wanted_shapes = " or ".join(f"(N, {count}, S, S) or (N, S, S, {count})" for count in allowed)
        raise ValueError(f"its input is {_shown(sizes)} instead of {wanted_shapes}")
    is_first = sizes[1] in allowed
    height, width = sizes[2:] if is_first else sizes[1:3]
    wanted = recipe.crop_size
    if wanted is None:
        known = height or width
        wanted = known if known is not None else recipe.usual_side
    if height not in (None, wanted) or width not in (None, wanted):
        raise ValueError(
            f"its input is {_shown(sizes)}, which takes no square crops of {wanted} px ({section}.crop_size)"
        )
    if wanted > _MOST_PIXELS:
        raise ValueError(f"its crops would have {wanted} px a side, and {_MOST_PIXELS} is the most")
    channels = sizes[1] if is_first else sizes[3]
    assert channels is not None, "it is one of those allowed"
    return _Layout(wanted, channels, is_first)


def _dimension(shape: openvino.PartialShape) -> int:
    """Return D of a (1, D) output. Raises ValueError for another one."""
    sizes = _sizes(shape)
    if len(sizes) != 2 or sizes[0] != 1 or sizes[1] is None or not 1 < sizes[1] <= _MOST_NUMBERS:
        raise ValueError(f"its output for one crop is {_shown(sizes)} instead of (1, D), a row a face")
    return sizes[1]


def _dtype(model: openvino.Model) -> npt.DTypeLike:
    """Return what the input is made of. Raises ValueError where that is nothing that pixels are turned into."""
    name = model.inputs[0].get_element_type().get_type_name()
    if name not in _DTYPES:
        raise ValueError(f"its input is of the type {name} instead of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def _sizes(shape: openvino.PartialShape) -> list[int | None]:
    """Return a shape's sides; None: of any length."""
    if shape.rank.is_dynamic:
        return []
    return [side.get_length() if side.is_static else None for side in shape]


def _shown(sizes: list[int | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in sizes)})" if sizes else "of any shape"


def _reason(error: RuntimeError) -> str:
    """Return what OpenVINO says, in a line: where in its sources it says it is left out."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return printable(" ".join(told) or "it gives no reason")[:300]
