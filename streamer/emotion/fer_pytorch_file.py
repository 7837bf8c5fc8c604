"""Reads fer-pytorch's checkpoints: the tensors of one of its two nets, and nothing else that such a file may hold.

fer-pytorch (github.com/Emilien-mipt/fer-pytorch, MIT, Emin Tagiev) trains with Lightning, whose files have the net
under `state_dict`, its tensors called `model.model.…`. Nothing here imports OpenCV, so that `streamer doctor` can look.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streamer import weights
from streamer.emotion.fer_pytorch_nets import ARCHITECTURES, CLASSES, Architecture
from streamer.errors import WeightsError, printable
from streamer.net_files import NetFile
from streamer.torch_files import Array, read_checkpoint

if TYPE_CHECKING:
    from streamer.types import Float32

_PREFIX = "model.model."  # Lightning's module holds FERModel, which holds the net
_EPSILON = 1e-5  # of the batch normalisations
_FIX = "give one that fer-pytorch wrote"
_Float64 = npt.NDArray[np.float64]


def weights_name(architecture: str) -> str:
    """Return what the released checkpoint of an architecture is called here."""
    return f"fer-pytorch-{architecture}"


def checkpoint_file(path: Path) -> NetFile:
    """Return a checkpoint that a user has trained with fer-pytorch."""
    return NetFile(path, "emotion.path", "checkpoint")


@dataclass(frozen=True, slots=True, eq=False)
class FerPytorchNet:
    """A checkpoint that was read.

    Attributes:
        architecture: A name of `ARCHITECTURES`.
        tensors: NAME.weight and NAME.bias of each layer, float32, normalisations folded in.
    """

    architecture: str
    tensors: dict[str, Float32]


def read(architecture: str, file: NetFile | None = None) -> FerPytorchNet:
    """Return a net.

    Args:
        architecture: Which.
        file: The checkpoint; None: the released one, as it was fetched.

    Raises:
        WeightsError: It is absent, cut, no such checkpoint, or one of another net.
    """
    if file is not None:
        return read_from(file.path, architecture, str(file))
    path = weights.locate(weights_name(architecture))
    return read_from(path, architecture, f"the weights file {printable(path)}")


def read_from(path: Path, architecture: str, what: str) -> FerPytorchNet:
    """Return the net in a file that messages call `what`. Raises WeightsError as `read` does."""
    try:
        state = read_checkpoint(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{what} is absent; {_FIX}") from error
    except OSError as error:
        raise WeightsError(f"{what} cannot be read ({error.strerror}); give a file that can") from error
    except ValueError as error:
        reason = printable(error)
        raise WeightsError(f"{what} is no checkpoint of fer-pytorch, or it is cut ({reason}); {_FIX}") from error
    tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items() if name.startswith(_PREFIX)}
    if not tensors:
        raise WeightsError(f"{what} has no tensors called {_PREFIX}…, as checkpoints of fer-pytorch have; {_FIX}")
    wanted = ARCHITECTURES[architecture]
    problem = _difference(tensors, wanted)
    if problem is not None:
        raise WeightsError(f"{what} holds {_described(tensors)} and not the net {architecture}: {problem}")
    return FerPytorchNet(architecture, _folded(tensors, wanted))


def _described(tensors: dict[str, Array]) -> str:
    for name, other in ARCHITECTURES.items():
        if _difference(tensors, other) is None:
            return f"the net {name}"
    return "another net"


def _difference(tensors: dict[str, Array], wanted: Architecture) -> str | None:
    """Return how tensors differ from those of an architecture, and what to do; None: they do not."""
    shapes = _shapes(wanted)
    for name, other in ARCHITECTURES.items():
        if name != wanted.name and set(_shapes(other)) <= set(tensors):
            return f"use it as {name} (emotion.architecture, or models fetch {weights_name(name)}), or {_FIX}"
    missing = next((name for name in shapes if name not in tensors), None)
    if missing is not None:
        return f"{missing} is missing; {_FIX}"
    classes = len(tensors[f"{wanted.head}.bias"]) if tensors[f"{wanted.head}.bias"].ndim == 1 else 0
    if classes != CLASSES:
        return f"it tells {classes} classes apart instead of {CLASSES}; {_FIX}, for the seven emotions"
    for name, shape in shapes.items():
        if tensors[name].shape != shape or tensors[name].dtype.kind != "f":
            return f"{name} is {tensors[name].shape} {tensors[name].dtype} instead of {shape} float32; {_FIX}"
        if not np.all(np.isfinite(tensors[name])):
            return f"{name} holds what is no number; {_FIX}"
    # Counters of the batch normalisations aside.
    more = next((name for name in tensors if name not in shapes and not name.endswith("num_batches_tracked")), None)
    return None if more is None else f"{printable(more)} is too many; {_FIX}"


def _shapes(wanted: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an architecture's tensors by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in wanted.convolutions:
        shapes[f"{layer.name}.weight"] = layer.shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer.normalisation}.{part}"] = layer.shape[:1]
    return shapes | {f"{wanted.head}.weight": (CLASSES, wanted.features), f"{wanted.head}.bias": (CLASSES,)}


def _folded(state: dict[str, Array], wanted: Architecture) -> dict[str, Float32]:
    """Return the layers' weights with normalisations folded in, in float64: storing is the only rounding."""
    tensors: dict[str, Float32] = {}
    for layer in wanted.convolutions:
        gamma, beta, mean, variance = (
            state[f"{layer.normalisation}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain: _Float64 = gamma / np.sqrt(np.maximum(variance, 0) + _EPSILON)
        weight = state[f"{layer.name}.weight"].astype(np.float64) * gain[:, None, None, None]
        tensors[f"{layer.name}.weight"] = weight.astype(np.float32)
        tensors[f"{layer.name}.bias"] = (beta - mean * gain).astype(np.float32)
    for part in ("weight", "bias"):
        tensors[f"{wanted.head}.{part}"] = state[f"{wanted.head}.{part}"].astype(np.float32)
    return tensors
