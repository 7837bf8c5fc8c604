"""Which characters a font file has: Pillow does not tell. Reads the `cmap` table (OpenType 1.9, formats 4 and 12)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt


class FontFormatError(ValueError):
    """A file is not a font that can be read."""


def covered_characters(path: Path) -> npt.NDArray[np.uint32]:
    """Return the code points for which a font's first face has a glyph, sorted.

    Raises:
        OSError: The file cannot be read.
        FontFormatError: It is no font, or broken.
    """
    try:
        return _read(path)
    except (struct.error, ValueError, IndexError) as error:
        raise FontFormatError(f"{path} is not a TrueType or OpenType font: {error}") from error


def _read(path: Path) -> npt.NDArray[np.uint32]:
    with path.open("rb") as file:
        start = struct.unpack(">4s", file.read(4))[0]
        offset = 0
        if start == b"ttcf":
            file.seek(12)
            offset = int(struct.unpack(">I", file.read(4))[0])
        file.seek(offset + 4)
        tables = struct.unpack(">H6x", file.read(8))[0]
        directory = file.read(16 * tables)
        entries = (struct.unpack_from(">4s4xII", directory, 16 * place) for place in range(tables))
        where, length = next(((at, size) for tag, at, size in entries if tag == b"cmap"), (0, 0))
        file.seek(where)
        cmap = file.read(length)
    if not cmap or len(cmap) < length:
        raise ValueError("it has no whole cmap table")
    covered = [np.zeros(0, np.uint32)]
    for place in range(struct.unpack_from(">2xH", cmap)[0]):
        subtable = cmap[struct.unpack_from(">4xI", cmap, 4 + 8 * place)[0] :]
        covered.append(_read_subtable(subtable))
    return np.unique(np.concatenate(covered))


def _read_subtable(table: bytes) -> npt.NDArray[np.uint32]:
    kind = struct.unpack_from(">H", table)[0]
    if kind == 12:
        count = struct.unpack_from(">12xI", table)[0]
        groups = np.frombuffer(table, ">u4", 3 * count, 16).reshape(-1, 3).astype(np.int64)
        groups = groups[(groups[:, 1] >= groups[:, 0]) & (groups[:, 1] < 0x110000)]
        spans = [np.arange(first, last + 1, dtype=np.uint32) for first, last, _ in groups]
        return np.concatenate(spans) if spans else np.zeros(0, np.uint32)
    if kind != 4:
        return np.zeros(0, np.uint32)
    segments = struct.unpack_from(">6xH", table)[0] // 2
    words = np.frombuffer(table[: len(table) // 2 * 2], ">u2").astype(np.int64)
    ends, starts = words[7 : 7 + segments], words[8 + segments : 8 + 2 * segments]
    deltas, offsets = words[8 + 2 * segments : 8 + 3 * segments], words[8 + 3 * segments : 8 + 4 * segments]
    covered = []
    for place in range(segments):
        characters = np.arange(starts[place], ends[place] + 1)
        if offsets[place]:
            glyph_at = 8 + 3 * segments + place + offsets[place] // 2 + characters - starts[place]
            inside = glyph_at < words.size
            characters, glyphs = characters[inside], words[glyph_at[inside]]
        else:
            glyphs = (characters + deltas[place]) & 0xFFFF
        covered.append(characters[(glyphs != 0) & (characters < 0xFFFF)])
    return np.concatenate(covered).astype(np.uint32) if covered else np.zeros(0, np.uint32)
