"""Configuration to the net that reads emotions: the net itself, and what a results file records of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from streamer import weights
from streamer.config import Config
from streamer.devices import Device, placement
from streamer.emotion import ferplus_file
from streamer.emotion.aligned import ONE_LOOK, Looks
from streamer.emotion.fer_pytorch import FerPytorchClassifier
from streamer.emotion.fer_pytorch_file import checkpoint_file, read, read_from, weights_name
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.onnx_openvino import OnnxEmotionClassifier, OnnxEmotionRecipe, classifier_file, place_of
from streamer.errors import UsageError, printable
from streamer.net_files import NetFile
from streamer.settings import EmotionSettings
from streamer.stages import EmotionClassifier
from streamer.types import EMOTIONS

CLASSIFIER_WEIGHTS = ("emotion-ferplus", "fer-pytorch-resnet34", "fer-pytorch-mobilenetv2_140")
"""The registered weights that are emotion nets': a run uses one of them, or none."""

_ARCHITECTURE_OF = {weights_name(name): name for name in ("resnet34", "mobilenetv2_140")}


@dataclass(frozen=True, slots=True)
class ClassifierId:
    """What a results file records of the net.

    Attributes:
        name: The weights' name, or the file's.
        sha256: Of the file, lower-case hexadecimal.
    """

    name: str
    sha256: str


def classifier_id(config: Config) -> ClassifierId | None:
    """Return what a results file records of the net; None: the configuration switches emotions off.

    Raises:
        WeightsError: The net is a file that is absent or cannot be read, or weights that were not fetched.
    """
    settings = config.emotion
    if not settings.enabled:
        return None
    if settings.path is None:
        name = _weights_of(settings)
        return ClassifierId(name, weights.sha256_of(name))
    return ClassifierId(printable(settings.path.name), _own_file(settings, settings.path).sha256())


def _own_file(settings: EmotionSettings, path: Path) -> NetFile:
    if settings.kind == "onnx":
        return classifier_file(path)
    return checkpoint_file(path) if settings.kind == "fer-pytorch" else ferplus_file.own_file(path)


def _weights_of(settings: EmotionSettings) -> str:
    return "emotion-ferplus" if settings.kind == "ferplus" else weights_name(_architecture(settings))


def _architecture(settings: EmotionSettings) -> str:
    return settings.architecture or "resnet34"


def build_classifier(config: Config, device: Device, looks: Looks = ONE_LOOK) -> EmotionClassifier:
    """Return the configured net on a device; an ONNX file is computed by OpenVINO, on the CPU, whatever the device.

    Args:
        config: Which.
        device: Where it runs.
        looks: How each crop is looked at, by kind ferplus.

    Raises:
        UsageError: The classes of an ONNX file are named in a way that cannot be meant.
        WeightsError: Its weights are absent, damaged, or no such net.
    """
    settings = config.emotion
    if settings.kind == "onnx":
        assert settings.path is not None, "the configuration sees to it"
        return OnnxEmotionClassifier(settings.path, _recipe(settings), settings.tau)
    if settings.kind == "fer-pytorch":
        return _fer_pytorch(settings, device)
    return _ferplus(settings, device, looks)


# Backends are imported where they are chosen: torch alone takes a second and 0.6 GB.


def _ferplus(settings: EmotionSettings, device: Device, looks: Looks) -> FerPlusClassifier:
    own = None if settings.path is None else ferplus_file.own_file(settings.path)
    net = ferplus_file.read(weights.locate("emotion-ferplus")) if own is None else ferplus_file.read_own(own)
    if device.backend == "openvino":
        from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet

        return FerPlusClassifier(OpenVinoEmotionNet(net, precision="fastest"), settings.tau, looks)
    from streamer.emotion.ferplus_torch import TorchEmotionNet

    return FerPlusClassifier(TorchEmotionNet(net, *placement(device)), settings.tau, looks)


def _fer_pytorch(settings: EmotionSettings, device: Device) -> FerPytorchClassifier:
    net = read(_architecture(settings), None if settings.path is None else checkpoint_file(settings.path))
    temperature = settings.temperature or 1.0
    if device.backend == "openvino":
        from streamer.emotion.fer_pytorch_openvino import OpenVinoFerPytorch

        return FerPytorchClassifier(OpenVinoFerPytorch(net), settings.tau, temperature)
    from streamer.emotion.fer_pytorch_torch import TorchFerPytorch

    return FerPytorchClassifier(TorchFerPytorch(net, *placement(device)), settings.tau, temperature)


def _recipe(settings: EmotionSettings) -> OnnxEmotionRecipe:
    classes = settings.classes or ()
    _check_classes(classes)
    usual = OnnxEmotionRecipe(classes)
    return OnnxEmotionRecipe(
        classes=classes,
        crop_size=settings.crop_size,
        crop_scale=settings.crop_scale or usual.crop_scale,
        normalisation=settings.normalisation or usual.normalisation,
        channels=settings.channels,
        prior=settings.prior,
        temperature=settings.temperature or usual.temperature,
    )


def _check_classes(classes: tuple[str, ...]) -> None:
    places = [place_of(name) for name in classes]
    known = [place for place in places if place is not None]
    twice = next((EMOTIONS[place] for place in known if known.count(place) > 1), None)
    if twice is not None:
        raise UsageError(f"emotion.classes: {twice} is named twice; each output stands for an emotion of its own")
    missing = [emotion for place, emotion in enumerate(EMOTIONS) if place not in known]
    for name, place in zip(classes, places, strict=True):
        near = difflib.get_close_matches(name.casefold(), missing, 1, 0.75)
        if place is None and near:
            raise UsageError(f"emotion.classes: {printable(name)} is no emotion here; did you mean {near[0]}?")
    if len(known) < 2:
        raise UsageError(
            f"emotion.classes: names fewer than two of the emotions {', '.join(EMOTIONS)}; name what each output "
            "stands for, in order"
        )


def check_brought(name: str, path: Path) -> None:
    """See that a file brought for weights of which no sha256 is known is a net of theirs. Raises WeightsError."""
    read_from(path, _ARCHITECTURE_OF[name], f"the file {printable(path)}")
