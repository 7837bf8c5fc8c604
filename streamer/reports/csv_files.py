"""Tables as CSV files: UTF-8, a line of names first, commas, true and false, nothing where a cell is empty.

A text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from streamer.reports.part_files import ReportFile
from streamer.reports.tables import Cell, Row, Table

# The wide forms are formulas to Japanese spreadsheets.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_ROWS_AT_ONCE = 1000


class CsvFile:
    """One table on its way; a `TableWriter`."""

    def __init__(self, table: Table, folder: Path, mode: int) -> None:
        self._file = ReportFile(folder / f"{table.name}.csv", mode)
        self._text = io.StringIO()
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._rows.writerow([column.name for column in table.columns])
        self._waiting = 0

    def write(self, row: Row) -> None:
        """Write a row. Raises SinkError."""
        self._rows.writerow([_csv_cell(cell) for cell in row])
        self._waiting += 1
        if self._waiting >= _ROWS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Write what waits. Raises SinkError."""
        self._file.write(self._text.getvalue().encode("utf-8"))
        self._text.seek(0)
        self._text.truncate()
        self._waiting = 0

    def publish(self) -> None:
        """Give the file its name. Raises SinkError."""
        self._file.publish()

    def remove(self) -> None:
        """Delete what was written, unless it was published."""
        self._file.remove()


def _csv_cell(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return f"'{cell}"
    return cell
