"""The emotion net's file: which weights it holds, of what shapes, and how its logits become probabilities.

The net is the first blocks of dlib's ResNet-29 (Davis King, `dnn_face_recognition_ex.cpp`, CC0) on grey crops of 48 px:
what it has learnt of three million faces is a better start than random numbers, whatever is trained on it later. A stem
of 5 × 5 takes the place of dlib's 7 × 7 at every second pixel of a picture twice as large (`dlib_start`).
Stored as float16 in safetensors; its metadata hold the format and the calibration. Nothing here imports OpenCV, so that
`streamer doctor` can look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from streamer.emotion.calibration import Calibration
from streamer.emotion_names import EMOTIONS
from streamer.errors import WeightsError
from streamer.net_files import NetFile

if TYPE_CHECKING:
    from streamer.types import Float32

CHANNELS = (32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256)  # of the maps that each block puts out
HALVING_BLOCKS = frozenset({3, 7, 10})
STEM_CHANNELS, STEM_SIDE = 32, 5

_REMEDY = "use one that `streamer train-emotion` wrote"
_FORMAT = {"format": "streamer-emotion", "format_version": "2"}


@dataclass(frozen=True, slots=True, eq=False)
class EmotionWeights:
    """A net's weights.

    Attributes:
        tensors: float32, by name: `shapes` says which.
        calibration: Fitted on pictures that were not trained on.
    """

    tensors: Mapping[str, Float32]
    calibration: Calibration

    @property
    def blocks(self) -> int:
        """How many residual blocks the net has."""
        return _blocks(self.tensors)


def shapes(blocks: int) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of each tensor of a net of 1 to 13 blocks, by name."""
    if not 1 <= blocks <= len(CHANNELS):
        raise ValueError(f"blocks must be 1 to {len(CHANNELS)}, not {blocks}")
    found: dict[str, tuple[int, ...]] = {"stem.weight": (STEM_CHANNELS, 1, STEM_SIDE, STEM_SIDE)}
    inputs = STEM_CHANNELS
    for number, outputs in enumerate(CHANNELS[:blocks]):
        found[f"blocks.{number}.first.weight"] = (outputs, inputs, 3, 3)
        found[f"blocks.{number}.second.weight"] = (outputs, outputs, 3, 3)
        inputs = outputs
    found["head.weight"] = (len(EMOTIONS), inputs)
    biases = {name.replace("weight", "bias"): shape[:1] for name, shape in found.items()}
    return MappingProxyType(found | biases)


def read(path: Path) -> EmotionWeights:
    """Read a net's file.

    Raises:
        WeightsError: It is no safetensors file, of another architecture, or cut.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: np.asarray(file.get_tensor(name), np.float32) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is no whole safetensors file; {_REMEDY}") from error
    version = metadata.get("format_version")
    if metadata.get("format") == _FORMAT["format"] and version != _FORMAT["format_version"]:
        raise WeightsError(f"{path} is of format version {version}, which this release does not read; {_REMEDY}")
    try:
        is_known = {name: values.shape for name, values in tensors.items()} == shapes(_blocks(tensors))
    except ValueError:
        is_known = False
    if not is_known:
        raise WeightsError(f"{path} holds a net of another architecture; {_REMEDY}")
    if not all(np.isfinite(values).all() for values in tensors.values()):
        raise WeightsError(f"{path} holds numbers that are not finite; {_REMEDY}")
    try:
        calibration = Calibration(float(metadata["temperature"]), _prior(metadata["prior"]))
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} does not say how sure its net is (temperature and prior); {_REMEDY}") from error
    return EmotionWeights(tensors, calibration)


def own_file(path: Path) -> NetFile:
    """Return the file of a net that a user has trained."""
    return NetFile(path, "emotion.path", "emotion net")


def teacher_file(path: Path) -> NetFile:
    """Return the file of a net that another is to learn from."""
    return NetFile(path, "--teacher", "emotion net")


def read_own(file: NetFile) -> EmotionWeights:
    """Read the net that a user has trained. Raises WeightsError as `read` does, and where there is none."""
    file.sha256()  # says what is wrong where nothing can be read
    return read(file.path)


def encoded(weights: EmotionWeights) -> bytes:
    """Return the content of a net's file, the weights as float16."""
    metadata = _FORMAT | {"temperature": repr(weights.calibration.temperature)}
    if weights.calibration.prior is not None:
        metadata["prior"] = " ".join(f"{share:.6f}" for share in weights.calibration.prior)
    tensors = {name: np.ascontiguousarray(values, np.float16) for name, values in weights.tensors.items()}
    return save(tensors, metadata=metadata)


def _prior(text: str) -> Float32:
    return np.array([float(share) for share in text.split()], np.float32)


def _blocks(tensors: Mapping[str, Float32]) -> int:
    return sum(name.startswith("blocks.") and name.endswith(".first.weight") for name in tensors)
