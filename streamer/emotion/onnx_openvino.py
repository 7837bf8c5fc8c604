"""Reads emotions with a net that a user brings as an ONNX file, such as the public emotion-ferplus-8.onnx."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer import openvino_runtime as ov
from streamer.emotion.aligned import AlignedClassifier
from streamer.emotion.calibration import Calibration
from streamer.emotion.framing import colour_cut, fer_template, grey_cut
from streamer.emotion.votes import emotion_of
from streamer.errors import WeightsError, printable
from streamer.net_files import NetFile
from streamer.onnx_file import onnx_file
from streamer.onnx_net import OnnxNet, PixelRecipe
from streamer.pictures import UInt8
from streamer.types import EMOTIONS, Float32

_LOG = logging.getLogger(__name__)

_USUAL_SIDE = 64


@dataclass(frozen=True, slots=True)
class OnnxEmotionRecipe:
    """How faces are made ready for the net, and what it says; nothing in its file tells.

    Attributes:
        classes: What each output stands for, in order; those that are none of the seven emotions are left out.
        crop_size: S, the crop's side, px; None: as the file has it.
        crop_scale: How large a part of the picture a crop shows, as a multiple of what FER's pictures show.
        normalisation: See `PixelRecipe`.
        channels: See `PixelRecipe`.
        prior: Each class's share of what the net was trained on, in the order of `classes`; None: not known.
        temperature: What logits are divided by.
    """

    classes: tuple[str, ...]
    crop_size: int | None = None
    crop_scale: float = 1.0
    normalisation: str = "raw"
    channels: str | None = None
    prior: tuple[float, ...] | None = None
    temperature: float = 1.0

    def calibration(self) -> Calibration:
        """Return how logits become probabilities; emotions that the net does not know have no share to take back."""
        if self.prior is None:
            return Calibration(self.temperature)
        shares = np.ones(len(EMOTIONS), np.float32)
        for name, share in zip(self.classes, self.prior, strict=True):
            if (place := place_of(name)) is not None:
                shares[place] = share
        return Calibration(self.temperature, shares)


def place_of(name: str) -> int | None:
    """Return the place in EMOTIONS of a class as somebody calls it; None: it is none of them."""
    emotion = emotion_of(name)
    return EMOTIONS.index(emotion) if emotion in EMOTIONS else None


def classifier_file(path: Path) -> NetFile:
    """Return the file of an emotion classifier."""
    return onnx_file(path, "emotion.path")


class OnnxEmotionClassifier(AlignedClassifier):
    """An `EmotionClassifier` on an ONNX file; faces are cut by their landmarks, framed as FER's pictures are.

    Args:
        path: The file: one input of one or any number of pictures, in grey or colour, colours first or last, and one
            (N, K) output of logits, or of probabilities that come of a softmax.
        recipe: How faces are made ready for it, and what its outputs are.
        tau: How far the rare emotions' rarity in training is taken back, 0..1, where the recipe has a prior.

    Raises:
        WeightsError: The file is absent, no such net, needs other files, takes crops of another size, or has another
            number of outputs.
    """

    def __init__(self, path: Path, recipe: OnnxEmotionRecipe, tau: float = 0.5) -> None:
        net = _Classes(classifier_file(path), recipe)
        template = fer_template(net.side, recipe.crop_scale)
        cut = grey_cut(net.side, template) if net.is_grey else colour_cut(net.side, template)
        super().__init__(net, net.side, cut, recipe.calibration(), tau)


class _Classes:
    """A net's outputs brought into the order of EMOTIONS."""

    def __init__(self, file: NetFile, recipe: OnnxEmotionRecipe) -> None:
        pixels = PixelRecipe(_USUAL_SIDE, recipe.normalisation, recipe.channels, recipe.crop_size)
        self._net = OnnxNet(file, pixels, _before_softmax)
        if self._net.dimension != len(recipe.classes):
            raise WeightsError(
                f"{file} has {self._net.dimension} outputs, and emotion.classes names {len(recipe.classes)}; "
                "name what each output stands for, in order"
            )
        places = [place_of(name) for name in recipe.classes]
        self._columns = [column for column, place in enumerate(places) if place is not None]
        self._places = [place for place in places if place is not None]
        _tell(file, recipe.classes, places)

    @property
    def side(self) -> int:
        """S, of its crops, px."""
        return self._net.side

    @property
    def is_grey(self) -> bool:
        """It does not see colours."""
        return self._net.is_grey

    def __call__(self, crops: UInt8) -> Float32:
        """Return (N, 7) float32 logits of (N, S, S, 3) uint8 BGR crops; an emotion that it does not know has -inf."""
        rows = self._net(crops)
        if not np.all(np.isfinite(rows)):
            raise WeightsError(
                "the emotion net gave what is no number; its file, or the normalisation set for it "
                "(emotion.normalisation), is not what the net was made for"
            )
        logits = np.full((len(crops), len(EMOTIONS)), -np.inf, np.float32)
        logits[:, self._places] = rows[:, self._columns]
        return logits


def _tell(file: NetFile, classes: Sequence[str], places: Sequence[int | None]) -> None:
    dropped = [printable(name) for name, place in zip(classes, places, strict=True) if place is None]
    if dropped:
        _LOG.info("%s: left out, because they are none of the seven emotions: %s", file, ", ".join(dropped))
    absent = [name for place, name in enumerate(EMOTIONS) if place not in places]
    if absent:
        _LOG.info("%s: not told by this net: %s", file, ", ".join(absent))


def _before_softmax(output: ov.Node) -> ov.Node:
    """Return what goes into a last softmax, for classes are left out, and answers calibrated, before it."""
    node = output.get_node()
    return node.input_value(0) if node.get_type_name() in ("Softmax", "LogSoftmax") else output
