"""Reads facenet-pytorch's weights of MTCNN's nets as NumPy arrays, without torch.

The files are of torch's first format: four pickles, then each storage's length and bytes. They are read only after
their sha256 has been checked against the one known here, and even then only the few names that they need are allowed.
Format: `_legacy_save` of torch/serialization.py.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, NamedTuple

import numpy as np

from streamer import weights
from streamer.types import Float32

State = dict[str, Float32]


class _View(NamedTuple):
    """Where a tensor's numbers lie in its storage, in numbers."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _view(storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _View:
    return _View(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    """Knows the names of a file of float tensors, and refuses all others."""

    _KNOWN: Mapping[tuple[str, str], object] = {
        ("torch._utils", "_rebuild_tensor_v2"): _view,
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): "float32",
    }

    def find_class(self, module: str, name: str) -> object:
        """Return what a name in the file stands for."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a weights file") from None

    def persistent_load(self, pid: tuple[str, object, str, str, int, object]) -> str:
        """Return the key of the storage that is meant."""
        return pid[2]


def read(net: str) -> State:
    """Return the weights of "pnet", "rnet" or "onet", by name, for BGR input.

    Raises:
        WeightsError: They are absent or not the expected ones.
    """
    with weights.locate(f"mtcnn-{net}").open("rb") as file:
        for _ in ("magic number", "version", "system"):
            _Unpickler(file).load()
        views: dict[str, _View] = _Unpickler(file).load()
        storages = {key: _storage(file) for key in _Unpickler(file).load()}
    state = {name: _tensor(storages[view.storage], view) for name, view in views.items()}
    # The reference takes RGB; crops here are BGR, so the first layer's input channels are turned round once.
    state["conv1.weight"] = np.ascontiguousarray(state["conv1.weight"][:, ::-1])
    return state


def _storage(file: IO[bytes]) -> Float32:
    length = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(4 * length), "<f4")


def _tensor(storage: Float32, view: _View) -> Float32:
    strides = [stride * storage.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides).astype(np.float32)


def fused(state: State, names: tuple[str, ...]) -> tuple[Float32, Float32]:
    """Return weight and bias of several layers over one input as those of one."""
    return (
        np.concatenate([state[f"{name}.weight"] for name in names]),
        np.concatenate([state[f"{name}.bias"] for name in names]),
    )
