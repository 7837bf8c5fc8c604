"""Embeds aligned face crops with a net that a user brings as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.errors import printable
from streamer.net_files import NetFile
from streamer.onnx_file import onnx_file
from streamer.onnx_net import OnnxNet, PixelRecipe
from streamer.recognition.aligned import AlignedEmbedder
from streamer.recognition.people import EmbedderId
from streamer.recognition.templates import TEMPLATES


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


def embedder_file(path: Path) -> NetFile:
    """Return the file of an embedder."""
    return onnx_file(path, "embedder.path")


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
    return EmbedderId(name, embedder_file(path).sha256())


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
        template = TEMPLATES[recipe.template]
        pixels = PixelRecipe(template.side, recipe.normalisation, recipe.channels, recipe.crop_size)
        net = OnnxNet(embedder_file(path), pixels)
        super().__init__(net, template.scaled(net.side), net.dimension, flip=flip)
