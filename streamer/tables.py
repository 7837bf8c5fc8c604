"""Tables that users write: CSV files with named columns, read as text and checked, each fault with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SourceOpenError, UsageError, printable


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table.

    Attributes:
        line: Of the file, from 1; where a cell runs over several lines, the last of them.
        cells: What stands in each wanted column, without space around it; columns that the table lacks are absent.
    """

    line: int
    cells: Mapping[str, str]


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> list[TableRow]:
    """Read a CSV file whose first row names its columns, in any order and case; other columns are passed over.

    Rows of nothing but empty cells are left out.

    Raises:
        SourceOpenError: It cannot be read.
        UsageError: It is not UTF-8, no CSV, lacks a column or a cell, or has no row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(path, csv.reader(file, strict=True), required, optional)
    except OSError as error:
        raise SourceOpenError(f"{printable(path)} cannot be read: {error.strerror}; check the name") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{printable(path)} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from error
    except csv.Error as error:
        raise UsageError(f"{printable(path)} is no CSV table: {error}; save it as CSV with commas") from error


def _rows(path: Path, lines: Iterator[list[str]], required: Sequence[str], optional: Sequence[str]) -> list[TableRow]:
    titles = [title.strip().lower() for title in next(lines, [])]
    missing = [name for name in required if name not in titles]
    if missing:
        raise UsageError(
            f"{printable(path)} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"its first row must name {', '.join(required)}"
        )
    places = {name: titles.index(name) for name in (*required, *optional) if name in titles}
    rows = []
    for line, cells in _numbered(lines):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(titles):
            raise UsageError(
                f"{printable(path)}, line {line}: {len(cells)} cells under {len(titles)} titles; check the commas"
            )
        rows.append(TableRow(line, {name: cells[place].strip() for name, place in places.items()}))
    if not rows:
        raise UsageError(f"{printable(path)} has no row under its titles; add some")
    return rows


def _numbered(lines: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line of the file on which it ends."""
    for cells in lines:
        yield lines.line_num, cells  # type: ignore[attr-defined]  # csv's reader has it, Iterator does not say so
