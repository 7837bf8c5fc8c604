"""Converts dlib's face recognition network from its own file format to the safetensors file that the package ships.

Run as `python -m streamer.recognition.dlib_convert IN.dat OUT.safetensors`. It is needed once, to make or audit the
shipped file: the same input gives the same bytes, and both ends are checked by sha256. The input is
`dlib_face_recognition_resnet_model_v1.dat` (Davis King, CC0) of github.com/davisking/dlib-models; the layers' order is
that of dlib's example `dnn_face_recognition_ex.cpp`. The landmark models beside it are not needed and not read.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamer.errors import StreamerError, UsageError, WeightsError
from streamer.types import Float32
from streamer.weights import WEIGHTS, Weights, check

SOURCE = "dlib_face_recognition_resnet_model_v1.dat"
SOURCE_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
SOURCE_BYTES = 22_466_066

METADATA = {
    "format": "streamer dlib-resnet",
    "format_version": "1",
    "licence": "CC0-1.0",
    "source": f"{SOURCE} by Davis King, github.com/davisking/dlib-models",
    "source_sha256": SOURCE_SHA256,
}
"""What the header of the converted file says of it."""

Float16 = npt.NDArray[np.float16]

# (inputs, outputs) of the residual blocks in forward order.
_BLOCKS = (
    *[(32, 32)] * 3,
    *[(32, 64)],
    *[(64, 64)] * 3,
    *[(64, 128)],
    *[(128, 128)] * 2,
    *[(128, 256)],
    *[(256, 256)] * 3,
)
_TAG = re.compile(rb"\x01(?:\x05con_4|\x07affine_|\x04fc_2)")
_TENSOR_VERSION = 2


def convolution_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Return the (outputs, inputs, kernel, kernel) of the 29 convolutions by name, in forward order."""
    shapes = {"stem": (32, 3, 7, 7)}
    for number, (inputs, outputs) in enumerate(_BLOCKS):
        shapes[f"blocks.{number}.first"] = (outputs, inputs, 3, 3)
        shapes[f"blocks.{number}.second"] = (outputs, outputs, 3, 3)
    return shapes


def parse(content: bytes) -> dict[str, Float32]:
    """Return the net's tensors from dlib's file, each affine layer folded into the convolution before it.

    Args:
        content: All bytes of the file.

    Returns:
        NAME.weight (outputs, inputs, K, K) and NAME.bias (outputs,) of 29 convolutions and head.weight (128, 256),
        all float32, by name.

    Raises:
        ValueError: The content does not hold this net.
    """
    layers = list(_read_layers(content))
    shapes = convolution_shapes()
    if len(layers) != 2 * len(shapes) + 1:
        raise ValueError(f"the file holds {len(layers)} layers with parameters instead of {2 * len(shapes) + 1}")
    tensors: dict[str, Float32] = {}
    for (name, shape), flat, affine in zip(shapes.items(), layers[:-1:2], layers[1:-1:2], strict=True):
        outputs = shape[0]
        # gamma · (W x + b) + beta, in float64 so that storing the result is the only rounding.
        gamma, beta = affine.astype(np.float64).reshape(2, outputs)
        weight = flat[:-outputs].astype(np.float64).reshape(shape) * gamma[:, None, None, None]
        tensors[f"{name}.weight"] = weight.astype(np.float32)
        tensors[f"{name}.bias"] = (flat[-outputs:].astype(np.float64) * gamma + beta).astype(np.float32)
    tensors["head.weight"] = np.ascontiguousarray(layers[-1].reshape(256, 128).T)
    return tensors


def serialise(tensors: Mapping[str, Float32]) -> bytes:
    """Return the content of a safetensors file with the tensors rounded to float16; equal input gives equal bytes.

    The header is written here because safetensors' own writer puts the metadata in a random order.
    """
    header: dict[str, object] = {"__metadata__": METADATA}
    parts: list[bytes] = []
    start = 0
    for name in sorted(tensors):
        part = tensors[name].astype("<f2").tobytes()
        header[name] = {"dtype": "F16", "shape": tensors[name].shape, "data_offsets": [start, start + len(part)]}
        parts.append(part)
        start += len(part)
    text = json.dumps(header, separators=(",", ":"))
    text += " " * (-len(text) % 8)  # the tensors start at a multiple of 8
    return len(text).to_bytes(8, "little") + text.encode() + b"".join(parts)


def convert(source: Path, target: Path) -> None:
    """Write the package's weights file from dlib's.

    Args:
        source: dlib's file.
        target: The new file; it must not exist.

    Raises:
        WeightsError: The source is absent, cut or another file, or the result is not the file that the package expects.
        UsageError: The target exists or cannot be written. Nothing is left under its name.
    """
    if target.exists():
        raise UsageError(f"the output {target} exists already; name another file or remove it")
    check(_expected_source(source))
    content = serialise(parse(source.read_bytes()))
    sha256 = hashlib.sha256(content).hexdigest()
    expected = str(WEIGHTS["dlib-resnet"].sha256)
    if sha256 != expected:
        raise WeightsError(
            f"the conversion of {source} gave a file whose sha256 starts {sha256[:12]} instead of {expected[:12]}; "
            "use the converter and the registry of the same version of streamer"
        )
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):  # its folder may be what is wrong
            part.unlink(missing_ok=True)
        raise UsageError(f"the output {target} cannot be written ({error.strerror}); name another place") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the converter and return its exit code; a known error is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m streamer.recognition.dlib_convert", description=METADATA["source"])
    parser.add_argument("source", type=Path, metavar="IN.dat", help=f"dlib's file, {SOURCE}")
    parser.add_argument("target", type=Path, metavar="OUT.safetensors", help="the file to write; it must not exist")
    options = parser.parse_args(arguments)
    try:
        convert(options.source, options.target)
    except StreamerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _expected_source(path: Path) -> Weights:
    return Weights(
        name="dlib's original",
        role="the input of the conversion",
        path=path,
        sha256=SOURCE_SHA256,
        size_bytes=SOURCE_BYTES,
        licence="CC0-1.0",
        source=METADATA["source"],
        remedy=f"give the file {SOURCE} of github.com/davisking/dlib-models, unpacked",
    )


def _read_int(content: bytes, offset: int) -> tuple[int, int]:
    """Return a dlib integer (a byte with sign and length, then the magnitude, low byte first) and where it ends."""
    length = content[offset] & 0x0F
    magnitude = int.from_bytes(content[offset + 1 : offset + 1 + length], "little")
    return (-magnitude if content[offset] & 0x80 else magnitude), offset + 1 + length


def _read_tensor(content: bytes, offset: int) -> Float32:
    """Return the flat values of the dlib tensor at `offset`: a version, four sides, then the values."""
    version, offset = _read_int(content, offset)
    if version != _TENSOR_VERSION:
        raise ValueError(f"a tensor has version {version} instead of {_TENSOR_VERSION}")
    count = 1
    for _ in range(4):
        side, offset = _read_int(content, offset)
        count *= side
    return np.frombuffer(content, "<f4", count, offset).astype(np.float32)


def _read_layers(content: bytes) -> Iterator[Float32]:
    """Yield the flat parameters of every layer that has some, in forward order."""
    for tag in _TAG.finditer(content):
        offset = tag.end()
        if tag.group().endswith(b"fc_2"):
            for _ in range(2):  # its numbers of outputs and inputs
                _, offset = _read_int(content, offset)
        yield _read_tensor(content, offset)


if __name__ == "__main__":
    raise SystemExit(main())
