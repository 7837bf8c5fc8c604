"""A net's file that a configuration names: what messages call it, and its sha256."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from streamer.errors import WeightsError, printable


@dataclass(frozen=True, slots=True)
class NetFile:
    """A file as a user brings it.

    Attributes:
        path: Where it is.
        key: The `section.key` that names it.
        kind: What it should be: "ONNX file".
    """

    path: Path
    key: str
    kind: str

    def __str__(self) -> str:
        return f"the {self.kind} {printable(self.path)} ({self.key})"

    def content(self, most_bytes: int) -> bytes:
        """Return the whole file.

        Raises:
            WeightsError: It is absent, unreadable, or larger than `most_bytes`.
        """
        try:
            if self._status().st_size > most_bytes:
                raise WeightsError(
                    f"{self} is larger than the {most_bytes / 2**30:.0f} GiB that it may have; give another one"
                )
            return self.path.read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error

    def sha256(self) -> str:
        """Return the file's sha256, lower-case hexadecimal; computed again only when the file has changed.

        Raises:
            WeightsError: It is absent or cannot be read.
        """
        try:
            status = self._status()
            return _sha256(self.path, status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise self._unreadable(error) from error

    def _status(self) -> os.stat_result:
        """Return what the system says of it; raises OSError, too, for what would be read without end, as a pipe."""
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no file")
        return status

    def _unreadable(self, error: OSError) -> WeightsError:
        if isinstance(error, FileNotFoundError):
            return WeightsError(f"{self} is absent; give a file that exists")
        return WeightsError(f"{self} cannot be read ({error.strerror}); give a file that can")


@lru_cache(maxsize=8)
def _sha256(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
