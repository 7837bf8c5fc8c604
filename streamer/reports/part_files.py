"""A file of a report on its way: written under a `.part` name, and given its own when all files are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from streamer.errors import SinkError
from streamer.sinks.files import PartFile, write_error


class ReportFile:
    """Bytes that become a file, or nothing; every failure is a SinkError.

    Args:
        path: The final name.
        mode: Who may read and write it: nobody who may not read the results.
    """

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        with self._refusals():
            self._part = PartFile(path, mode=mode)
        self._is_done = False

    def write(self, content: bytes) -> int:
        """Write all of `content`. Raises SinkError."""
        with self._refusals():
            return self._part.write(content)

    def publish(self) -> None:
        """Give the file its name. Raises SinkError."""
        with self._refusals():
            self._part.publish()
        self._is_done = True

    def remove(self) -> None:
        """Delete what was written, unless it was published."""
        if not self._is_done:
            self._is_done = True
            with contextlib.suppress(OSError):  # what failed before is told already
                self._part.remove()

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except SinkError:
            raise
        except OSError as error:
            raise write_error(self.path, error) from error
