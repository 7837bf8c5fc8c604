"""Tables of pictures with the emotion, or the votes on emotions, of each; labelled_pictures.py reads the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.emotion.votes import CONTEMPT, VOTES, emotion_of, votes_for, votes_in
from streamer.errors import SourceOpenError, UsageError, printable
from streamer.tables import TableRow, read_table
from streamer.types import EMOTIONS, Float32

LABELS_NAME, VOTES_NAME = "labels.csv", "votes.csv"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One picture's file, and what it shows.

    Attributes:
        path: Of the picture.
        votes: (10,) float32 in the order of `VOTES`.
        place: The table and line in which it stands, as an error's message begins; empty: it is in no table.
    """

    path: Path
    votes: Float32
    place: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What a table or folder holds.

    Attributes:
        entries: The pictures of the seven emotions, or with votes, in order.
        contempt: How many more are labelled contempt, which is none of the seven.
        skipped: How many other files lie beside them.
    """

    entries: Sequence[Entry]
    contempt: int = 0
    skipped: int = 0


def list_table(path: Path) -> Listing:
    """Read a table of columns image and emotion, or image and votes for each of the seven emotions or more.

    Where both are there, the emotions count, except in a file called votes.csv.

    Raises:
        SourceOpenError: The table cannot be read, or a picture is absent.
        UsageError: A column is missing, or a cell is not as it should be; names the line.
    """
    rows = read_table(path, ("image",), ("emotion", *VOTES))
    columns = rows[0].cells
    missing = [name for name in EMOTIONS if name not in columns]
    has_labels = "emotion" in columns
    if not missing and (path.name.lower() == VOTES_NAME or not has_labels):
        return Listing(list(_each_once(_entry(path, row, votes_in(path, row)) for row in rows)))
    if not has_labels:
        are_votes = len(missing) < len(EMOTIONS)
        wanted = f"of votes for {', '.join(missing)}" if are_votes else "emotion"
        raise UsageError(f"{printable(path)} lacks the column {wanted}; add it, and name it in the first row")
    told = [(row, _emotion(path, row)) for row in rows]
    kept = [_entry(path, row, votes_for(emotion)) for row, emotion in told if emotion != CONTEMPT]
    return Listing(list(_each_once(kept)), contempt=len(told) - len(kept))


def _place(path: Path, row: TableRow) -> str:
    return f"{printable(path)}, line {row.line}: "


def _entry(path: Path, row: TableRow, votes: Float32) -> Entry:
    name = row.cells["image"]
    if not name:
        raise UsageError(f"{_place(path, row)}column image is empty; name a picture")
    picture = path.parent / name
    if not _is_file(picture):
        raise SourceOpenError(
            f"{_place(path, row)}there is no picture {printable(picture)}; correct the name or take the row out"
        )
    return Entry(picture, votes, _place(path, row))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no system has files of such names
        return False


def _emotion(path: Path, row: TableRow) -> str:
    word = row.cells["emotion"]
    emotion = emotion_of(word)
    if emotion is None:
        raise UsageError(f"{_place(path, row)}{printable(word)!r} is no emotion; choose from {', '.join(EMOTIONS)}")
    return emotion


def _each_once(entries: Iterator[Entry] | Sequence[Entry]) -> Iterator[Entry]:
    """Pass entries on. Raises UsageError where a picture stands twice: one of its labels would be wrong."""
    places: dict[Path, str] = {}
    for entry in entries:
        before = places.setdefault(entry.path, entry.place)
        if before != entry.place:
            line = before.rpartition("line ")[2].removesuffix(": ")
            raise UsageError(f"{entry.place}{printable(entry.path)} stands in line {line}, too; take one of them out")
        yield entry
