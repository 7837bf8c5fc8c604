"""Embeds aligned face crops with a net that a user brings as an ONNX file, computed by OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streamer import openvino_runtime as ov
from streamer.errors import WeightsError, printable
from streamer.recognition.aligned import AlignedEmbedder
from streamer.recognition.onnx_file import file_text, read, sha256_of
from streamer.recognition.people import EmbedderId
from streamer.recognition.templates import TEMPLATES
from streamer.stages import Crops
from streamer.types import Float32

if TYPE_CHECKING:
    import openvino

_MOST_PIXELS = 1024  # a crop's side; what asks for more is no embedder of faces
_MOST_NUMBERS = 16_384  # a vector's length, likewise
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


@dataclass(frozen=True, slots=True)
class OnnxRecipe:
    """How faces are made ready for the net; nothing in its file tells. The defaults are those of ArcFace nets.

    Attributes:
        crop_size: S, the crop's side, px; None: as the file has it.
        template: Where the landmarks lie, a name of `TEMPLATES`.
        normalisation: What becomes of pixels: "arcface", "facenet", "unit", "imagenet", "raw".
        channels: The order of colours, "rgb" or "bgr".
    """

    crop_size: int | None = None
    template: str = "arcface"
    normalisation: str = "arcface"
    channels: str = "rgb"


def onnx_id(path: Path, recipe: OnnxRecipe) -> EmbedderId:
    """Return what a gallery records of the net: the file's name and sha256.

    The name tells of a recipe that is not the usual one, too: the same file makes other vectors of other pixels.

    Raises:
        WeightsError: The file is absent or cannot be read.
    """
    usual = OnnxRecipe()
    other = [
        f"{value} {key}" if key != "crop_size" else f"{value} px"
        for key in ("template", "normalisation", "channels", "crop_size")
        if (value := getattr(recipe, key)) != getattr(usual, key)
    ]
    name = printable(path.name) + (f" ({', '.join(other)})" if other else "")
    return EmbedderId(name, sha256_of(path))


class OnnxEmbedder(AlignedEmbedder):
    """An `Embedder` on an ONNX file.

    Args:
        path: The file: one input of one or any number of pictures, colours first or last, and one (N, D) output.
        recipe: How faces are made ready for it.
        flip: See `AlignedEmbedder`.

    Raises:
        WeightsError: The file is absent, no such net, needs other files, or takes crops of another size.
    """

    def __init__(self, path: Path, recipe: OnnxRecipe | None = None, *, flip: bool = False) -> None:
        recipe = recipe or OnnxRecipe()
        net = OnnxNet(path, recipe)
        super().__init__(net, TEMPLATES[recipe.template].scaled(net.side), net.dimension, flip=flip)


class OnnxNet:
    """The net itself; several threads may call it at once. Each crop goes through alone, for the sake of its bits.

    It computes in float32: what bfloat16 would do to the vectors of an unknown net is unknown, too.

    Attributes:
        side: S, of its crops, px.
        dimension: D, of its vectors.
    """

    def __init__(self, path: Path, recipe: OnnxRecipe) -> None:
        content = read(path)
        try:
            model = ov.read_onnx(content)
            input_shape = _single("input", [port.get_partial_shape() for port in model.inputs])
            self._is_channels_first, self.side = _layout(input_shape, recipe)
            one_crop = [1, 3, self.side, self.side] if self._is_channels_first else [1, self.side, self.side, 3]
            model.reshape(one_crop)
            output_shape = _single("output", [port.get_partial_shape() for port in model.outputs])
            self.dimension = _dimension(output_shape)
            self._dtype = _dtype(model)
            output = model.outputs[0].get_node().input_value(0)
            self._net = ov.Net(output, model.get_parameters())
            # Some faults of a file show only when it computes.
            self._net(np.zeros(one_crop, self._dtype))
        except ValueError as error:
            raise WeightsError(f"{file_text(path)} is no net that can be used here: {error}") from error
        except RuntimeError as error:
            raise WeightsError(f"{file_text(path)} is refused by OpenVINO ({_reason(error)}); export again") from error
        means, deviations = _NORMALISATIONS[recipe.normalisation]
        order = -1 if recipe.channels == "bgr" else 1
        self._is_reversed = recipe.channels == "rgb"  # crops are BGR
        self._means = np.array(means[::order], np.float32)
        self._deviations = np.array(deviations[::order], np.float32)

    def __call__(self, crops: Crops) -> Float32:
        """Return (N, D) float32 vectors of (N, S, S, 3) uint8 BGR crops."""
        vectors = np.empty((len(crops), self.dimension), np.float32)
        for index, crop in enumerate(crops):
            vectors[index] = self._net(self._prepared(crop))[0]
        return vectors

    def _prepared(self, crop: Crops) -> ov.Array:
        """Return the input for one crop, of a batch of one."""
        colours = crop[..., ::-1] if self._is_reversed else crop
        pixels = (colours.astype(np.float32) - self._means) / self._deviations
        ordered = pixels.transpose(2, 0, 1) if self._is_channels_first else pixels
        return np.ascontiguousarray(ordered[None], self._dtype)


def _single(what: str, shapes: list[openvino.PartialShape]) -> openvino.PartialShape:
    if len(shapes) != 1:
        raise ValueError(f"it has {len(shapes)} {what}s instead of one")
    return shapes[0]


def _layout(shape: openvino.PartialShape, recipe: OnnxRecipe) -> tuple[bool, int]:
    """Return whether colours come first, and the crop's side. Raises ValueError for what is no square picture."""
    sizes = _sizes(shape)
    if len(sizes) != 4 or 3 not in (sizes[1], sizes[3]):
        raise ValueError(f"its input is {_shown(sizes)} instead of (N, 3, S, S) or (N, S, S, 3)")
    is_first = sizes[1] == 3
    height, width = sizes[2:] if is_first else sizes[1:3]
    wanted = recipe.crop_size
    if wanted is None:
        known = height or width
        wanted = known if known is not None else TEMPLATES[recipe.template].side
    if height not in (None, wanted) or width not in (None, wanted):
        raise ValueError(
            f"its input is {_shown(sizes)}, which takes no square crops of {wanted} px (embedder.crop_size)"
        )
    if wanted > _MOST_PIXELS:
        raise ValueError(f"its crops would have {wanted} px a side, and {_MOST_PIXELS} is the most")
    return is_first, wanted


def _dimension(shape: openvino.PartialShape) -> int:
    """Return D of a (1, D) output. Raises ValueError for another one."""
    sizes = _sizes(shape)
    if len(sizes) != 2 or sizes[0] != 1 or sizes[1] is None or not 1 < sizes[1] <= _MOST_NUMBERS:
        raise ValueError(f"its output for one crop is {_shown(sizes)} instead of (1, D), a vector a face")
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
