"""The tables that a results file becomes: their columns, and the rows of each; csv_files.py and parquet_files.py write.

Every table is tidy: one thing a row, one value a cell. An empty cell (null) stands for what is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from streamer.recorded import Record, RecordedEvent, RecordedFrame, RecordedHeader
from streamer.reports.tallies import Tally
from streamer.reports.texts import page_text
from streamer.reports.values import Gathered
from streamer.types import EMOTIONS

Cell: TypeAlias = str | int | float | bool | None
Row: TypeAlias = tuple[Cell, ...]

_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `kind`: the type of its cells that are not empty."""

    name: str
    kind: type[str] | type[int] | type[float] | type[bool]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `name`: of its file, without the ending."""

    name: str
    columns: tuple[Column, ...]


class TableWriter(Protocol):
    """Writes one table: csv_files.CsvFile, parquet_files.ParquetFile."""

    def write(self, row: Row) -> None:
        """Write a row. Raises SinkError."""
        ...

    def finish(self) -> None:
        """Write what waits; the file is whole, but has not its name yet. Raises SinkError."""
        ...

    def publish(self) -> None:
        """Give the file its name. Raises SinkError."""
        ...

    def remove(self) -> None:
        """Delete what was written, unless it was published; may be called more than once."""
        ...


def _columns(kind: type[str] | type[int] | type[float] | type[bool], *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


_FILE = _columns(str, "results", "source")
_TIMES = (
    *_columns(float, "first_seconds", "last_seconds", "seconds"),
    *_columns(int, "frames"),
    *_columns(float, "assessed_seconds", *EMOTIONS, "not_sure"),
)
FACES = Table(
    "faces",
    (
        *_FILE,
        *_columns(int, "frame_index"),
        *_columns(float, "pts_seconds"),
        *_columns(int, "track_id"),
        *_columns(str, "name"),
        *_columns(float, "similarity", "probability", "x1", "y1", "x2", "y2", "score"),
        *_columns(bool, "detected"),
        *_columns(str, "emotion"),
        *_columns(float, *EMOTIONS),
    ),
)
TRACKS = Table("tracks", (*_FILE, *_columns(int, "track_id"), *_columns(str, "name"), *_TIMES))
EVENTS = Table(
    "events",
    (
        *_FILE,
        *_columns(float, "pts_seconds"),
        *_columns(str, "kind"),
        *_columns(int, "track_id"),
        *_columns(str, "name"),
    ),
)
PEOPLE = Table(
    "people",
    (*_FILE, *_columns(str, "name"), *_columns(int, "track_id", "tracks"), *_columns(float, "share"), *_TIMES),
)
TABLES = (FACES, TRACKS, EVENTS, PEOPLE)


class TableSet:
    """Turns the records of results files into the rows of all tables."""

    def __init__(self, writers: dict[str, list[TableWriter]]) -> None:
        self._writers = writers  # by the table's name; the files of each
        self._file: Row = ("", "")

    def begin(self, results: Path, header: RecordedHeader) -> None:
        """Start with a results file."""
        self._file = (page_text(results), page_text(header.source))

    def add(self, record: Record) -> None:
        """Write the rows of a line. Raises SinkError."""
        if isinstance(record, RecordedFrame):
            self._write(FACES, _face_rows(record))
        elif isinstance(record, RecordedEvent):
            self._write(EVENTS, [(record.pts_seconds, page_text(record.kind), record.track_id, _text(record.name))])

    def end(self, gathered: Gathered) -> None:
        """Write the rows of what the file came to. Raises SinkError."""
        self._write(TRACKS, ((one.track_id, _text(one.name), *_times(one.tally)) for one in gathered.tracks))
        self._write(PEOPLE, _people_rows(gathered))

    def _write(self, table: Table, rows: Iterator[Row] | list[Row]) -> None:
        writers = self._writers[table.name]
        for row in rows:
            for writer in writers:
                writer.write(self._file + row)


def _text(name: str | None) -> str | None:
    return None if name is None else page_text(name)


def _face_rows(frame: RecordedFrame) -> Iterator[Row]:
    for face in frame.faces:
        identity, emotion = face.identity, face.emotion
        yield (
            frame.index,
            frame.pts_seconds,
            face.track_id,
            _text(face.name),
            None if identity is None else identity.similarity,
            None if identity is None else identity.probability,
            *face.box,
            face.score,
            face.is_detected,
            None if emotion is None else emotion.label,
            *((None,) * len(EMOTIONS) if emotion is None else emotion.probabilities),
        )


def _people_rows(gathered: Gathered) -> Iterator[Row]:
    for person in gathered.people:
        share = person.tally.seconds / gathered.seconds if gathered.seconds > 0 else None
        yield (
            _text(person.name),
            person.track_ids[0] if person.name is None else None,
            len(person.track_ids),
            None if share is None else round(share, _DECIMALS),
            *_times(person.tally),
        )


def _times(tally: Tally) -> Row:
    first, last = tally.span
    shares = tally.shares()
    return (
        round(first, _DECIMALS),
        round(last, _DECIMALS),
        round(tally.seconds, _DECIMALS),
        tally.frames,
        round(tally.assessed_seconds, _DECIMALS),
        *((None,) * len(tally.label_seconds) if shares is None else (round(share, _DECIMALS) for share in shares)),
    )
