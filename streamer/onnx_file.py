"""An ONNX file as a user brings it: read whole, and refused where it points to other files.

Only as much of the format (protocol buffers, onnx/onnx.proto) is read as that takes; what computes the net is onnx_net.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from streamer.errors import WeightsError
from streamer.net_files import NetFile

_MOST_BYTES = 2**31 - 1  # what a file of protocol buffers may have

# For each kind of message the fields that hold others, and of what kind: every way to a tensor.
_INSIDE: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "model": {7: "graph", 20: "training", 25: "function"},
        "training": {1: "graph", 2: "graph"},
        "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
        "function": {7: "node", 11: "attribute"},
        "node": {5: "attribute"},
        "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
        "sparse tensor": {1: "tensor", 2: "tensor"},
        "tensor": {},
    }
)
_EXTERNAL_FIELDS = (13, 14)  # of a tensor: where its numbers lie, and that they lie elsewhere
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def onnx_file(path: Path, key: str) -> NetFile:
    """Return the file at `path`, which the configuration's `section.key` names."""
    return NetFile(path, key, "ONNX file")


def read(file: NetFile) -> bytes:
    """Return a file's content once it is seen to be one model that needs no other file.

    Raises:
        WeightsError: It is absent, unreadable, no ONNX file, or keeps numbers in other files.
    """
    content = file.content(_MOST_BYTES)
    try:
        is_external = _points_elsewhere(content)
    except ValueError as error:
        raise WeightsError(f"{file} is no ONNX file, or it is cut; export or copy the net again") from error
    if is_external:
        raise WeightsError(
            f"{file} keeps weights in other files, of which its sha256 says nothing; save the net as one "
            "file: onnx.save(onnx.load(FILE), NEW_FILE)"
        )
    return content


def _points_elsewhere(content: bytes) -> bool:
    """Say whether a model has a tensor whose numbers lie in another file. Raises ValueError where it is no model."""
    has_graph = False
    waiting = [("model", 0, len(content))]
    while waiting:
        kind, start, end = waiting.pop()
        for number, inner_start, inner_end in _fields(content, start, end):
            if kind == "tensor" and number in _EXTERNAL_FIELDS:
                # "location: here" is said by some writers, too.
                if number == 13 or content[inner_start:inner_end] != b"\x00":
                    return True
            elif (inner := _INSIDE[kind].get(number)) is not None:
                has_graph = has_graph or inner == "graph"
                waiting.append((inner, inner_start, inner_end))
    if not has_graph:
        raise ValueError("there is no graph")
    return False


def _fields(content: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each field of a message: its number, and where its value starts and ends."""
    while position < end:
        key, position = _varint(content, position, end)
        wire, start = key & 7, position
        if wire == _VARINT:
            _, position = _varint(content, position, end)
        elif wire == _LENGTH:
            length, start = _varint(content, position, end)
            position = start + length
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            position += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"no field has the type {wire}")
        if position > end:
            raise ValueError("a field ends behind its message")
        yield key >> 3, start, position


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, low ones first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number has no end")
