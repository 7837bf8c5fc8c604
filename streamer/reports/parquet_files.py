"""Tables as Parquet files, by pyarrow where it is installed; a group of rows is held in memory, never all."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.errors import SinkError, UsageError
from streamer.reports.part_files import ReportFile
from streamer.reports.tables import Row, Table

if TYPE_CHECKING:
    import pyarrow

_ROWS_A_GROUP = 50_000
_TYPE_NAMES = {str: "string", int: "int64", float: "float64", bool: "bool_"}


def check_parquet() -> None:
    """Raise UsageError where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError('--parquet needs pyarrow: pip install "streamer[parquet]", or pip install pyarrow')


class ParquetFile:
    """One table on its way; a `TableWriter`."""

    def __init__(self, table: Table, folder: Path, mode: int) -> None:
        import pyarrow
        from pyarrow import parquet

        self._schema = pyarrow.schema(
            [(column.name, getattr(pyarrow, _TYPE_NAMES[column.kind])()) for column in table.columns]
        )
        self._file = ReportFile(folder / f"{table.name}.parquet", mode)
        self._stream = _Stream(self._file)
        self._writer = parquet.ParquetWriter(self._stream, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        """Write a row. Raises SinkError."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._write_group()

    def finish(self) -> None:
        """Write what waits, and the end of the file. Raises SinkError."""
        if self._rows:
            self._write_group()
        self._writer.close()
        self._stream.check()

    def publish(self) -> None:
        """Give the file its name. Raises SinkError."""
        self._file.publish()

    def remove(self) -> None:
        """Delete what was written, unless it was published."""
        self._rows.clear()
        self._writer.close()
        self._file.remove()

    def _write_group(self) -> None:
        import pyarrow

        columns = zip(*self._rows, strict=True)
        arrays: list[pyarrow.Array] = [
            pyarrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)
        ]
        self._rows.clear()
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))
        self._stream.check()


class _Stream:
    """A `ReportFile` as pyarrow wants it. An error waits until pyarrow is done: it writes when it is collected, too."""

    closed = False

    def __init__(self, file: ReportFile) -> None:
        self._file = file
        self._error: SinkError | None = None

    def write(self, content: bytes) -> int:
        if self._error is None:
            try:
                self._file.write(bytes(content))
            except SinkError as error:
                self._error = error
        return len(content)

    def check(self) -> None:
        """Raise the error that waits."""
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Do nothing: nothing waits here."""

    def close(self) -> None:
        """Do nothing: the file is closed when it is published."""

    def writable(self) -> bool:
        return True
