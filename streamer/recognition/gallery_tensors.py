"""What stands in a gallery's vectors file, a safetensors file, both ways.

`embeddings` (N, D) float32, photo after photo; where there are such, `look_alikes` (M, D) float32; `thumbnails` (B,)
uint8, JPEG after JPEG, and `thumbnail_ends` (N,) int64, where each ends; and the parameters of population.py, each
with `population.` before its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamer.recognition.people import Gallery
from streamer.recognition.population import Population
from streamer.types import Float32

MAX_DIMENSION = 4096
_POPULATION = "population."
_NAMES = {"embeddings", "look_alikes", "thumbnails", "thumbnail_ends"}
_NAMES |= {_POPULATION + name for name in Population.__slots__}

Tensor = npt.NDArray[np.generic]


class MalformedError(Exception):
    """Something in a gallery's files is not as it must be; says what."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a vectors file.

    Attributes:
        embeddings: (N, D) float32.
        look_alikes: (M, D) float32.
        thumbnails: N JPEG pictures; b"" where there is none.
        population: None: there is none.
    """

    embeddings: Float32
    look_alikes: Float32
    thumbnails: tuple[bytes, ...]
    population: Population | None = None

    @classmethod
    def empty(cls) -> Table:
        """Return a table without rows."""
        return cls(np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32), ())


def serialise(gallery: Gallery) -> bytes | None:
    """Return the vectors file of a gallery, people after people; None where there is nothing to be kept in it."""
    tensors: dict[str, Tensor] = {}
    if gallery.people:
        tensors["embeddings"] = np.concatenate([person.embeddings for person in gallery.people])
        look_alikes = np.concatenate([person.look_alikes for person in gallery.people])
        if len(look_alikes):
            tensors["look_alikes"] = look_alikes
        thumbnails = [thumbnail for person in gallery.people for thumbnail in person.thumbnails]
        if any(thumbnails):
            tensors["thumbnails"] = np.frombuffer(b"".join(thumbnails), np.uint8)
            tensors["thumbnail_ends"] = np.cumsum([len(thumbnail) for thumbnail in thumbnails], dtype=np.int64)
    if gallery.strangers is not None and gallery.strangers.population is not None:
        population = gallery.strangers.population
        tensors |= {_POPULATION + name: getattr(population, name) for name in Population.__slots__}
    return bytes(save(tensors)) if tensors else None


def parse(content: bytes, photos: int, look_alikes: int) -> Table:
    """Return what a vectors file holds.

    Args:
        content: The file's.
        photos: N, how many there must be.
        look_alikes: M, the same.

    Raises:
        MalformedError: It is not such a file.
    """
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # not the format; a type that numpy lacks
        raise MalformedError("it is not a safetensors file of vectors") from error
    if not tensors.keys() <= _NAMES:
        raise MalformedError("it holds other tables than those of a gallery")
    vectors = _vectors(tensors, "embeddings", photos, None)
    return Table(
        vectors,
        _vectors(tensors, "look_alikes", look_alikes, vectors.shape[1]),
        _thumbnails(tensors, photos),
        _population(tensors),
    )


def _vectors(tensors: Mapping[str, Tensor], name: str, count: int, dimension: int | None) -> Float32:
    rows = tensors.get(name)
    if rows is None and not count:
        return np.zeros((0, dimension or 1), np.float32)
    if rows is None or rows.dtype != np.float32 or rows.ndim != 2:
        raise MalformedError(f"it does not hold one table of float32 {name}")
    if len(rows) != count or not 1 <= rows.shape[1] <= MAX_DIMENSION or rows.shape[1] != (dimension or rows.shape[1]):
        raise MalformedError(f"it holds {name} of shape {rows.shape} where {count} are named")
    return np.asarray(rows, np.float32)


def _thumbnails(tensors: Mapping[str, Tensor], count: int) -> tuple[bytes, ...]:
    pixels, ends = tensors.get("thumbnails"), tensors.get("thumbnail_ends")
    if pixels is None and ends is None:
        return (b"",) * count
    if pixels is None or ends is None or pixels.dtype != np.uint8 or ends.dtype != np.int64:
        raise MalformedError("its thumbnails are not bytes with their ends")
    places = np.concatenate([[0], ends.ravel()])
    if pixels.ndim != 1 or ends.shape != (count,) or (np.diff(places) < 0).any() or places[-1] != len(pixels):
        raise MalformedError(f"its thumbnails' ends do not fit {count} photos")
    content = pixels.tobytes()
    return tuple(content[start:end] for start, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True))


def _population(tensors: Mapping[str, Tensor]) -> Population | None:
    parts = {name: tensors.get(_POPULATION + name) for name in Population.__slots__}
    if all(part is None for part in parts.values()):
        return None
    arrays = {name: part for name, part in parts.items() if part is not None and part.dtype == np.float32}
    if len(arrays) < len(parts) or arrays["centres"].ndim != 2:
        raise MalformedError("its population is not whole")
    try:
        return Population(**{name: np.asarray(part, np.float32) for name, part in arrays.items()})
    except (ValueError, TypeError) as error:
        raise MalformedError(f"its population is damaged: {error}") from error
