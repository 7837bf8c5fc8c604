"""Evaluates pairs of faces: a table of pictures of the same or of different people, each picture embedded once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import SourceOpenError, UsageError, printable
from streamer.evaluation.faces import FaceNets, OnPicture, embed_pictures
from streamer.evaluation.verification import FOLDS, Folds, Mask, Verification, draw_folds, verify
from streamer.tables import TableRow, read_table

_WORDS = {"1": True, "true": True, "0": False, "false": False}
# Below every cosine: a face that was not found is never taken for anybody's.
_NO_FACE = -2.0


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """A table of N pairs.

    Attributes:
        pictures: M of them, each once, in order.
        rows: (N, 2) which pictures are a pair.
        is_same: (N,) they show one person.
        folds: (N,) the fold of each.
    """

    pictures: tuple[Path, ...]
    rows: Folds
    is_same: Mask
    folds: Folds


@dataclass(frozen=True, slots=True)
class PairFigures:
    """What became of a table of pairs.

    Attributes:
        verification: A pair with a picture in which no face was found counts: it is judged different at any threshold,
            as the product would, so it is an error where it shows one person.
        pairs: How many.
        same: How many of them show one person.
        folds: How many.
        pictures: How many different ones.
        undetected: In how many of them no face was found.
        undetected_pairs: How many pairs have such a picture.
    """

    verification: Verification
    pairs: int
    same: int
    folds: int
    pictures: int
    undetected: int
    undetected_pairs: int


def read_pairs(path: Path, images: Path, seed: int) -> Pairs:
    """Read a table of pairs: columns a and b, paths of pictures, and same, 1 or 0 (true or false).

    A column fold, if there is one, numbers the folds; otherwise pairs are dealt into ten at random, or into as many as
    the rarer kind has pairs.

    Args:
        path: The CSV file.
        images: What the pictures' paths start from.
        seed: Of the dealing.

    Raises:
        SourceOpenError: The table, or a picture, is not there.
        UsageError: The table is not as it should be, or has fewer than two pairs of either kind.
    """
    table = read_table(path, ("a", "b", "same"), ("fold",))
    is_same = np.array([_is_same(path, row) for row in table], bool)
    fewest = int(min(is_same.sum(), (~is_same).sum()))
    if fewest < 2:
        raise UsageError(
            f"{printable(path)} has {is_same.sum()} pairs of one person and {(~is_same).sum()} of two; "
            "give at least two of each"
        )
    numbers: dict[Path, int] = {}
    rows = np.array(
        [[numbers.setdefault(images / row.cells[column], len(numbers)) for column in "ab"] for row in table], np.intp
    )
    _check_pictures(tuple(numbers))
    folds = _given_folds(path, table) if "fold" in table[0].cells else draw_folds(is_same, min(FOLDS, fewest), seed)
    return Pairs(tuple(numbers), rows, is_same, folds)


def _is_same(path: Path, row: TableRow) -> bool:
    for column in "ab":
        if not row.cells[column]:
            raise UsageError(f"{printable(path)}, line {row.line}: column {column} is empty; name a picture")
    word = row.cells["same"].lower()
    if word not in _WORDS:
        raise UsageError(
            f"{printable(path)}, line {row.line}: same is {printable(word)!r}; write 1 or true, 0 or false"
        )
    return _WORDS[word]


def _check_pictures(paths: tuple[Path, ...]) -> None:
    """Raise SourceOpenError for pictures that are not there, before the nets are loaded."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise SourceOpenError(f"the picture {printable(missing[0])}{others} is not there; check --images")


def _given_folds(path: Path, table: list[TableRow]) -> Folds:
    _, folds = np.unique([row.cells["fold"] for row in table], return_inverse=True)
    if folds.max() < 1:
        raise UsageError(f"{printable(path)}: all pairs are in one fold; give at least two, or leave the column out")
    return np.asarray(folds, np.intp)


def evaluate_pairs(pairs: Pairs, nets: FaceNets, *, on_picture: OnPicture = lambda: None) -> PairFigures:
    """Embed all pictures and judge all pairs. Raises SourceOpenError where a picture cannot be read."""
    faces = embed_pictures(pairs.pictures, nets, on_picture=on_picture)
    first, second = pairs.rows[:, 0], pairs.rows[:, 1]
    similarities = np.einsum("nd,nd->n", faces.vectors[first], faces.vectors[second], dtype=np.float64)
    is_blind = ~(faces.is_found[first] & faces.is_found[second])
    similarities[is_blind] = _NO_FACE
    return PairFigures(
        verification=verify(similarities, pairs.is_same, pairs.folds),
        pairs=len(pairs.rows),
        same=int(pairs.is_same.sum()),
        folds=len(np.unique(pairs.folds)),
        pictures=len(pairs.pictures),
        undetected=int((~faces.is_found).sum()),
        undetected_pairs=int(is_blind.sum()),
    )
