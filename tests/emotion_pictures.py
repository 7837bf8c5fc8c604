"""Data sets of drawn pictures, as they come: folders a class, tables of labels or votes, mosaics of FER+."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from streamer.emotion.votes import VOTES
from streamer.pictures import UInt8
from streamer.types import EMOTIONS


def shade(level: int, side: int = 48) -> UInt8:
    """Return a grey picture, (side, side, 3), by whose level it is known again."""
    return np.full((side, side, 3), level, np.uint8)


def save(path: Path, pixels: UInt8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def class_folders(folder: Path, levels: Mapping[str, Iterable[int]]) -> Path:
    """Write DIR/CLASS/NN.png, grey of each level."""
    for name, own in levels.items():
        for number, level in enumerate(own):
            save(folder / name / f"{number:02}.png", shade(level))
    return folder


def write_table(path: Path, *lines: str, ends: str = "\n", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((ends.join(lines) + ends).encode(encoding))
    return path


def mosaic_folder(folder: Path, split: str, votes: Iterable[Mapping[str, int]]) -> Path:
    """Write SPLIT_votes.csv and a mosaic of two tiles across, each tile as grey as its row's number × 10."""
    rows = list(votes)
    folder.mkdir(parents=True, exist_ok=True)
    table = [f"{n},fer{n}.png," + ",".join(str(row.get(name, 0)) for name in VOTES) for n, row in enumerate(rows)]
    write_table(folder / f"{split}_votes.csv", ",".join(["index", "name", *VOTES]), *table)
    tiles = [np.full((48, 48), 10 * number, np.uint8) for number in range(2 * -(-len(rows) // 2))]
    mosaic = np.vstack([np.hstack(tiles[start : start + 2]) for start in range(0, len(tiles), 2)])
    assert cv2.imwrite(str(folder / f"{split}_00.webp"), mosaic, [cv2.IMWRITE_WEBP_QUALITY, 101])
    return folder


def cut_file(path: Path) -> Path:
    """Leave only the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def class_of(emotion: str) -> int:
    return EMOTIONS.index(emotion)
