"""Reads files of torch weights as NumPy arrays, without torch, and without running what a file may say.

Of torch's first format: four pickles, then each storage's length and bytes (`_legacy_save` of torch/serialization.py);
and of its present one: a zip archive of a pickle and a file a storage (`_save`). A pickle may only name what weights
need. `read_state` refuses all else. `read_checkpoint` is for the checkpoints of training programs, which hold settings,
callbacks and optimizers besides: whatever else they name becomes an object that does nothing, and is dropped.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

_ZIP_MAGIC = b"PK\x03\x04"
# What may come of a file that was cut, damaged or made to do harm.
_FAULTS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,  # a damaged archive points to where no file has a place
    RuntimeError,  # an encrypted archive; also a pickle that is too deep, and what zipfile does not know
    StopIteration,
    TypeError,
    ValueError,
)


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


class _Rebuild:
    """Stands for torch's function; not a function itself, for a pickle may set attributes of what it has named."""

    __slots__ = ()

    def __call__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
    ) -> _View:
        return _View(storage, offset, shape, strides)


class _Unwrap:
    """Stands for what makes a parameter of a tensor."""

    __slots__ = ()

    def __call__(self, view: _View, *_: object) -> _View:
        return view


class _Unpickler(pickle.Unpickler):
    """Knows the names of a file of weights, and refuses all others.

    Attributes:
        dtypes: Of the storages that were met, by key.
    """

    _KNOWN: Mapping[tuple[str, str], object] = {
        ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
        ("torch._utils", "_rebuild_parameter"): _Unwrap(),
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): "<f4",
        ("torch", "HalfStorage"): "<f2",
        ("torch", "DoubleStorage"): "<f8",
        ("torch", "LongStorage"): "<i8",  # BatchNorm's counters
        ("torch", "IntStorage"): "<i4",
        ("torch.cuda", "FloatStorage"): "<f4",  # what older versions write for tensors that lay on a GPU
        ("torch.cuda", "LongStorage"): "<i8",
    }

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.dtypes: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> object:
        """Return what a name in the file stands for."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            self._unknown(module, name)

    def _unknown(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a weights file")

    def persistent_load(self, pid: tuple[str, str, str, str, int, object]) -> _Storage:
        """Return the storage that is meant."""
        self.dtypes[pid[2]] = pid[1]
        return _Storage(key=pid[2], dtype=pid[1])


class _Nothing:
    """What stands for all that a checkpoint names and weights do not need: takes whatever it is told, keeps nothing."""

    def __new__(cls, *_: object, **__: object) -> _Nothing:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass

    def append(self, _: object) -> None:
        """Forget an element."""

    def extend(self, _: object) -> None:
        """Forget elements."""

    def add(self, _: object) -> None:
        """Forget an element."""


class _CheckpointUnpickler(_Unpickler):
    """Knows the same names; all others stand for nothing. What is not looked up cannot be called."""

    def find_class(self, module: str, name: str) -> object:
        """Return what a name in the file stands for."""
        return self._KNOWN.get((module, name), _Nothing)


def read_state(path: Path) -> dict[str, Array]:
    """Return the tensors by name of a file that holds them alone, and whose sha256 is known to be right."""
    with path.open("rb") as file:
        views, storages = _opened(file, _Unpickler)
        return {name: _tensor(storages(view.storage), view) for name, view in _views(views).items()}


def read_checkpoint(path: Path) -> dict[str, Array]:
    """Return the tensors under a checkpoint's key `state_dict`, by name; the file may come from anybody.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no such checkpoint, or it is cut; says why in a few words.
    """
    with path.open("rb") as file:
        try:
            root, storages = _opened(file, _CheckpointUnpickler)
            if not isinstance(root, dict) or not isinstance(root.get("state_dict"), dict):
                raise ValueError("it has no state_dict")
            views = _views(root["state_dict"])
            return {name: _tensor(storages(view.storage), view) for name, view in views.items()}
        except _FAULTS as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(reason or f"it ends in a {type(error).__name__}") from error


def _views(state: object) -> dict[str, _View]:
    """Return the tensors among what a state holds. Unbound, because a pickle may set attributes of its own dict."""
    assert isinstance(state, dict)
    return {name: view for name, view in dict.items(state) if isinstance(name, str) and isinstance(view, _View)}


def _opened(file: IO[bytes], kind: type[_Unpickler]) -> tuple[object, Callable[[_Storage], Array]]:
    """Return what a file holds, and what gives a storage's numbers while the file is open."""
    is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    file.seek(0)
    return _from_zip(file, kind) if is_zip else _from_pickles(file, kind)


def _from_pickles(file: IO[bytes], kind: type[_Unpickler]) -> tuple[object, Callable[[_Storage], Array]]:
    for _ in ("magic number", "version", "system"):
        kind(file).load()
    unpickler = kind(file)
    root = unpickler.load()
    storages: dict[str, Array] = {}
    for key in kind(file).load():
        length = int.from_bytes(file.read(8), "little")
        dtype = _dtype(unpickler.dtypes[key])
        storages[key] = np.frombuffer(file.read(dtype.itemsize * length), dtype)
    return root, lambda storage: storages[storage.key]


def _from_zip(file: IO[bytes], kind: type[_Unpickler]) -> tuple[object, Callable[[_Storage], Array]]:
    archive = zipfile.ZipFile(file)
    folder = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
    root = kind(io.BytesIO(_member(archive, f"{folder}data.pkl"))).load()

    def numbers(storage: _Storage) -> Array:
        return np.frombuffer(_member(archive, f"{folder}data/{storage.key}"), _dtype(storage.dtype))

    return root, numbers


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of the archive. Raises ValueError where it is compressed, for torch does not and it could swell."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its archive is compressed")
    if info.flag_bits & 1:
        raise ValueError("its archive is encrypted")
    return archive.read(name)


def _dtype(name: object) -> np.dtype[np.generic]:
    """Return a storage's dtype. Raises ValueError where the file names one that weights do not have."""
    if not isinstance(name, str):
        raise ValueError("it holds numbers of a type that is not read here; save it in float32")
    return np.dtype(name)


def _tensor(storage: Array, view: _View) -> Array:
    """Return a tensor of its own memory. Raises ValueError where it would reach beyond its storage, or is repeated."""
    shape, strides, offset = view.shape, view.strides, view.offset
    if len(shape) != len(strides) or any(not isinstance(one, int) or one < 0 for one in (*shape, *strides, offset)):
        raise ValueError("a tensor has no proper shape")
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    count = 1
    for side in shape:
        count *= side
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError("a tensor reaches beyond its numbers")
    in_bytes = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, in_bytes).copy()
