"""Reads files of torch weights as NumPy arrays, without torch, and without running what a file may say.

Of torch's first format: four pickles, then each storage's length and bytes (`_legacy_save` of torch/serialization.py);
and of its present one: a zip archive of a pickle and a file a storage (`_save`). Whoever calls this has compared the
file's sha256 with a known one before; even then only the few names that weights need are allowed in the pickles.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

_ZIP_MAGIC = b"PK\x03\x04"


class _Storage(NamedTuple):
    """A row of numbers: its key in the file and its dtype."""

    key: str
    dtype: str


class _View(NamedTuple):
    """Where a tensor's numbers lie in its storage, in numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _view(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _View:
    return _View(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    """Knows the names of a file of weights, and refuses all others."""

    _KNOWN: Mapping[tuple[str, str], object] = {
        ("torch._utils", "_rebuild_tensor_v2"): _view,
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): "<f4",
        ("torch", "LongStorage"): "<i8",  # BatchNorm's counters
    }

    def find_class(self, module: str, name: str) -> object:
        """Return what a name in the file stands for."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a weights file") from None

    def persistent_load(self, pid: tuple[str, str, str, str, int, object]) -> _Storage:
        """Return the storage that is meant."""
        return _Storage(key=pid[2], dtype=pid[1])


def read_state(path: Path) -> dict[str, Array]:
    """Return a checked file's tensors by name."""
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
        file.seek(0)
        return _from_zip(file) if is_zip else _from_pickles(file)


def _from_pickles(file: IO[bytes]) -> dict[str, Array]:
    for _ in ("magic number", "version", "system"):
        _Unpickler(file).load()
    views: dict[str, _View] = _Unpickler(file).load()
    dtypes = {view.storage.key: np.dtype(view.storage.dtype) for view in views.values()}
    storages: dict[str, Array] = {}
    for key in _Unpickler(file).load():
        length = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(dtypes[key].itemsize * length), dtypes[key])
    return {name: _tensor(storages[view.storage.key], view) for name, view in views.items()}


def _from_zip(file: IO[bytes]) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        folder = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
        views: dict[str, _View] = _Unpickler(io.BytesIO(archive.read(f"{folder}data.pkl"))).load()
        return {
            name: _tensor(np.frombuffer(archive.read(f"{folder}data/{view.storage.key}"), view.storage.dtype), view)
            for name, view in views.items()
        }


def _tensor(storage: Array, view: _View) -> Array:
    strides = [stride * storage.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides).copy()
