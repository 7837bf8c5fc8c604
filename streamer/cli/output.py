"""What commands write: error lines and log lines to stderr, tables to stdout. Names and paths come out as they are.

Credentials of addresses do not come out: here is where they are taken out of all that is logged or reported.
"""

from __future__ import annotations

import enum
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

from streamer.addresses import redacted


class LogLevel(enum.StrEnum):
    """Severities, least severe first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def printable(text: str) -> str:
    r"""Return `text` in one line: runs of white space as one space, other control characters as `\x1b`.

    A file's or person's name may hold escape sequences, which a terminal would obey.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in " ".join(text.split())
    )


def print_error(message: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"streamer: error: {printable(redacted(message))}\n")
    sys.stderr.flush()


def print_traceback(error: BaseException) -> None:
    """Write where an error came from, and what led to it, to stderr."""
    sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    sys.stderr.flush()


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows in columns to stdout; into a pipe or file each row is one line, however long."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False).print(table)


class _CurrentStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is now: a progress bar puts a stream of its own there, to keep lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _OneLine(logging.Formatter):
    """Keeps a record on one line (a traceback aside), whatever its arguments hold, and credentials out of it."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own name
        record.message = printable(record.message)
        return super().formatMessage(record)


def set_up_logging(level: LogLevel) -> None:
    """Write the package's log records to stderr as plain lines, from `level` on."""
    handler = _CurrentStderr()
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("streamer")
    logger.handlers = [handler]  # not a second one, where main() is called twice in a process
    logger.setLevel(level.value.upper())
