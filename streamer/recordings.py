"""Reads results files line by line, every field checked: what `sinks/results.py` wrote, or somebody else in its form.

A file is never held in memory, only a line of it. One that was cut off by a crash is read up to its last whole line.
It writes nothing; see sinks/rewriting.py.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SourceOpenError, printable
from streamer.json_checks import Fields, MalformedError, parse_object
from streamer.recorded import (
    Record,
    RecordedEvent,
    RecordedFrame,
    RecordedHeader,
    RecordedSummary,
    RecordedTrack,
)
from streamer.recorded_fields import record_of

# A frame with a thousand faces has half a megabyte, a track with all its looks a tenth. What is longer is no line of
# ours, and would fill the memory.
MAX_LINE_BYTES = 16 * 2**20
_REMEDY = "give a results file as `streamer process` writes it"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a results file.

    Attributes:
        raw: Its bytes, as they stand there.
        fields: All that the object holds, also what this version does not know.
        record: What it says.
    """

    raw: bytes
    fields: Fields
    record: Record


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a results file, the header first.

    Args:
        path: The file; a last line that was cut off in the middle is left out.

    Raises:
        SourceOpenError: The file is absent or no results file of schema version 1, or a line is not as it must be; the
            lines before it have been yielded. Names the file and the line.
    """
    order = _Order()
    for number, raw in _raw_lines(path):
        try:
            fields = parse_object(raw)
            record = record_of(fields, is_first=order.stage == 0)
            order.check(record)
        except MalformedError as error:
            if not raw.endswith(b"\n") and number > 1:
                return  # cut off
            what = "is not a results file" if number == 1 else f"is damaged in line {number}"
            raise SourceOpenError(f"{printable(path)} {what}: {printable(error)}; {_REMEDY}") from error
        yield Line(raw, fields, record)


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank, with its number from 1."""
    try:
        with open(path, "rb", opener=_opened) as file:
            number, is_blank = 0, True
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise SourceOpenError(
                        f"{printable(path)} is damaged in line {number}: "
                        f"it is longer than {MAX_LINE_BYTES} bytes; {_REMEDY}"
                    )
                if raw.strip():
                    is_blank = False
                    yield number, raw
            if is_blank:
                raise SourceOpenError(f"{printable(path)} is empty; {_REMEDY}")
    except OSError as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise SourceOpenError(f"{printable(path)} {why}; {_REMEDY}") from error


def _opened(name: str, flags: int) -> int:
    """Open a file, but nothing that would be waited for without end, such as a pipe."""
    descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no file")
    return descriptor


class _Order:
    """Where in a file a line may stand: header, frames and events, tracks, summary."""

    def __init__(self) -> None:
        self.stage = 0
        self._last_index = -1
        self._track_ids: set[int] = set()

    def check(self, record: Record) -> None:
        """Raise MalformedError where this record may not follow those before."""
        stage = _STAGES[type(record)]
        if (stage == 0) != (self.stage == 0) or stage < self.stage or self.stage == _ENDED:
            raise MalformedError(f"a {_NAMES[type(record)]} line may not stand here")
        self.stage = _ENDED if stage == _ENDED else max(stage, 1)
        if isinstance(record, RecordedFrame):
            if record.index <= self._last_index:
                raise MalformedError(f"frame {record.index} comes after frame {self._last_index}")
            self._last_index = record.index
        elif isinstance(record, RecordedTrack):
            if record.track_id in self._track_ids:
                raise MalformedError(f"track {record.track_id} comes twice")
            self._track_ids.add(record.track_id)


_STAGES: dict[type[Record], int] = {
    RecordedHeader: 0,
    RecordedFrame: 1,
    RecordedEvent: 1,
    RecordedTrack: 2,
    RecordedSummary: 3,
}
_ENDED = 3
_NAMES: dict[type[Record], str] = {
    RecordedHeader: "header",
    RecordedFrame: "frame",
    RecordedEvent: "event",
    RecordedTrack: "track",
    RecordedSummary: "summary",
}
