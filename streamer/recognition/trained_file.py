"""The bytes of a trained matcher's file, both ways; every field is checked by hand, and nothing is ever unpickled.

A safetensors file whose metadata holds one JSON text under "matcher":
{"format": "streamer-matcher", "version": 1, "method": "knn-pixels" or "knn" or "cnn", "seed": …,
 "settings": {name: number}, "people": [{"name": …, "photos": how many}, …],
 "embedder": {"name": …, "sha256": …} or null where none is needed,
 "rejection": {"threshold": …, "slope": …, "intercept": …, "refused": …, "accepted": …, "right": …},
 "sha256": of the tensors}
The k-NN methods keep one tensor, `photos`: (N, D) float32 unit vectors, people after people; cnn its net's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamer.errors import GalleryError, printable
from streamer.recognition import cnn
from streamer.recognition.dlib_resnet import DIMENSION
from streamer.recognition.people import EmbedderId, clean_name
from streamer.recognition.pixels import SIDE
from streamer.recognition.rejection import Rejection
from streamer.types import Float32

Method = Literal["knn-pixels", "knn", "cnn"]
METHODS: tuple[Method, ...] = get_args(Method)

FORMAT, VERSION = "streamer-matcher", 1
PHOTOS = "photos"
# 100,000 people with 20 photos each; anything above is no matcher, and would fill the memory.
MAX_BYTES = 2**30
_MOST_PEOPLE = 100_000
_KEY = "matcher"
_DIMENSIONS: Mapping[Method, int] = {"knn-pixels": SIDE * SIDE, "knn": DIMENSION}
_REMEDY = "train it again with `streamer train`"


class _MalformedError(Exception):
    """Something in the file is not as it must be; says what."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedFile:
    """What a file says.

    Attributes:
        method: How people are told apart.
        names: Of the people, each once.
        photo_counts: How many photos of each were learnt from.
        embedder: The net that the vectors come from; None: the method needs none.
        rejection: Where "unknown" begins.
        seed: Of the training.
        settings: Of the training, for people to read.
        tensors: By name, float32.
    """

    method: Method
    names: tuple[str, ...]
    photo_counts: tuple[int, ...]
    embedder: EmbedderId | None
    rejection: Rejection
    seed: int
    settings: Mapping[str, float]
    tensors: Mapping[str, Float32]


def read(path: Path) -> bytes:
    """Return the bytes of a file. Raises GalleryError where it is absent, cannot be read, or is too large."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise GalleryError(f"{printable(path)} is larger than {MAX_BYTES >> 20} MiB, which no matcher is")
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise GalleryError(f"there is no matcher at {printable(path)}; make one with `streamer train`") from error
    except OSError as error:
        raise GalleryError(f"the matcher {printable(path)} cannot be read ({error.strerror})") from error


def file_sha256(path: Path) -> str:
    """Return the sha256 of a whole file. Raises GalleryError as `read` does."""
    return hashlib.sha256(read(path)).hexdigest()


def serialise(content: TrainedFile) -> bytes:
    """Return the bytes of a file."""
    description = {
        "format": FORMAT,
        "version": VERSION,
        "method": content.method,
        "seed": content.seed,
        "settings": dict(content.settings),
        "people": [
            {"name": name, "photos": count} for name, count in zip(content.names, content.photo_counts, strict=True)
        ],
        "embedder": asdict(content.embedder) if content.embedder is not None else None,
        "rejection": asdict(content.rejection),
        "sha256": _digest(content.tensors),
    }
    return bytes(save(dict(content.tensors), {_KEY: json.dumps(description, ensure_ascii=False, allow_nan=False)}))


def parse(content: bytes, path: Path) -> TrainedFile:
    """Return what the bytes of a file say.

    Raises:
        GalleryError: They are cut, damaged, of another version or no matcher's; names `path`.
    """
    try:
        return _parsed(content)
    except (_MalformedError, GalleryError, ValueError) as error:
        raise GalleryError(
            f"{printable(path)} is no matcher that can be used: {printable(error)}; {_REMEDY}"
        ) from error


def _parsed(content: bytes) -> TrainedFile:
    try:
        tensors = load(content)
        # Its length and form have just been checked.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        description = json.loads(header["__metadata__"][_KEY])
    except SafetensorError as error:
        raise _MalformedError("it is cut, damaged, or not a safetensors file") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _MalformedError("it is a safetensors file, but says nothing of a matcher") from error
    fields = _fields(description, "its description", None)
    if fields.get("format") != FORMAT:
        raise _MalformedError("it is a safetensors file of another kind")
    if _whole(fields.get("version"), "version") != VERSION:
        raise _MalformedError(f"its version is {str(fields['version'])[:20]} and this program reads version {VERSION}")
    wanted = {"format", "version", "method", "seed", "settings", "people", "embedder", "rejection", "sha256"}
    return _checked(_fields(description, "its description", wanted), tensors)


def _checked(fields: Mapping[str, object], tensors: Mapping[str, Float32]) -> TrainedFile:
    method = next((name for name in METHODS if name == fields["method"]), None)
    if method is None:
        raise _MalformedError(f"its method is none of {', '.join(METHODS)}")
    names, counts = _people(fields["people"])
    _check_tensors(method, len(names), sum(counts), tensors)
    if fields["sha256"] != _digest(tensors):
        raise _MalformedError("its numbers are not those that were saved")
    embedder = _embedder(fields["embedder"])
    if (embedder is None) != (method != "knn"):
        raise _MalformedError("its method and its embedder do not belong together")
    settings = _fields(fields["settings"], "settings", None)
    return TrainedFile(
        method=method,
        names=names,
        photo_counts=counts,
        embedder=embedder,
        rejection=_rejection(fields["rejection"]),
        seed=_whole(fields["seed"], "seed"),
        settings={printable(name): _number(value, "a setting", -1e9, 1e9) for name, value in settings.items()},
        tensors=tensors,
    )


def _people(value: object) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_PEOPLE:
        raise _MalformedError("its people are not a list of at least one")
    names, counts = [], []
    for entry in value:
        person = _fields(entry, "a person", {"name", "photos"})
        name = person["name"]
        if not isinstance(name, str) or clean_name(name) != name:
            raise _MalformedError("a person's name is no name")
        names.append(name)
        counts.append(_whole(person["photos"], "a person's number of photos"))
    if len(set(names)) != len(names) or min(counts) < 1:
        raise _MalformedError("a name occurs twice, or somebody has no photo")
    return tuple(names), tuple(counts)


def _embedder(value: object) -> EmbedderId | None:
    if value is None:
        return None
    fields = _fields(value, "embedder", {"name", "sha256"})
    name, sha256 = fields["name"], fields["sha256"]
    if not isinstance(name, str) or not isinstance(sha256, str):
        raise _MalformedError("its embedder's name and sha256 are not texts")
    return EmbedderId(name, sha256)


def _rejection(value: object) -> Rejection:
    fields = _fields(value, "rejection", {"threshold", "slope", "intercept", "refused", "accepted", "right"})
    return Rejection(
        threshold=_number(fields["threshold"], "threshold", -1, 1),
        slope=_number(fields["slope"], "slope", 0, 1e9),
        intercept=_number(fields["intercept"], "intercept", -1e9, 1e9),
        refused=_number(fields["refused"], "refused", 0, 1),
        accepted=_number(fields["accepted"], "accepted", 0, 1),
        right=_number(fields["right"], "right", 0, 1),
    )


def _check_tensors(method: Method, people: int, photos: int, tensors: Mapping[str, Float32]) -> None:
    if method == "cnn":
        shapes = {**cnn.shapes(), cnn.HEAD: (people, cnn.WIDTHS[-1])}
        rows = tensors.get(cnn.HEAD)
    else:
        shapes = {PHOTOS: (photos, _DIMENSIONS[method])}
        rows = tensors.get(PHOTOS)
    if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
        raise _MalformedError(f"its tensors are not those of {method} for {people} people with {photos} photos")
    # Written so that NaN fails, too. A trained net's numbers are far smaller; much larger ones would overflow in it.
    if not all(tensor.dtype == np.float32 and bool((np.abs(tensor) <= 1e4).all()) for tensor in tensors.values()):
        raise _MalformedError("its tensors are not float32 numbers of a trained matcher's size")
    if rows is None or not np.all(np.abs(np.linalg.norm(rows, axis=1) - 1) < 1e-3):
        raise _MalformedError("its vectors are not of length 1")


def _digest(tensors: Mapping[str, Float32]) -> str:
    """Return the sha256 of all tensors' names and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape} ".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def _fields(value: object, what: str, keys: set[str] | None) -> dict[str, object]:
    """Return an object's fields; `keys`: exactly these; None: any."""
    if not isinstance(value, dict) or (keys is not None and value.keys() != keys):
        raise _MalformedError(f"{what} does not have the fields {', '.join(sorted(keys or ()))}")
    return value


def _whole(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise _MalformedError(f"its {what} is not a whole number")
    return value


def _number(value: object, what: str, low: float, high: float) -> float:
    # Written so that NaN fails, too, and a whole number of a thousand digits does not overflow.
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise _MalformedError(f"its {what} is not a number between {low:g} and {high:g}")
    return float(value)
