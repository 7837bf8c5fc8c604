"""What an import has come to so far, in the gallery's folder, so that one that was stopped goes on where it was.

One line of JSON a photo, private to the user. A line that was cut is passed over. The next save of the gallery, an
import's own last step or a `forget`, removes the file.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from streamer.errors import GalleryError, printable
from streamer.recognition.people import EmbedderId
from streamer.recognition.photo_reader import PhotoFace, RefusedError

JOURNAL_NAME = "import.journal"
_MAX_LINE_BYTES = 100_000


class ImportJournal:
    """A `Memory` in a file; open it with `with`.

    Args:
        folder: The gallery's; made, private, where it is absent.
        embedder: The net that makes the vectors; what another made is passed over.
        settings: What else the answers depend on; lines made with others are passed over.
        dimension: D.

    Raises:
        GalleryError: The file cannot be written.
    """

    def __init__(self, folder: Path, embedder: EmbedderId, settings: str, dimension: int) -> None:
        self._path, self._dimension = folder / JOURNAL_NAME, dimension
        self._key = f"{embedder.sha256} {settings}"
        self._known: dict[str, PhotoFace | str] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
                while line := file.readline(_MAX_LINE_BYTES):
                    self._take(line)
            # A line is one write, so that two imports at once do not mix theirs.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "ab", buffering=0)
            self._file.write(b"\n")  # after a line that was cut
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def discard(self) -> None:
        """Remove the file: there is nothing to go on with. Raises GalleryError where it cannot be removed."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, digest: str) -> PhotoFace | None:
        """Return what was made of the photo with this sha256. Raises RefusedError as it did the first time."""
        known = self._known.get(digest)
        if isinstance(known, str):
            raise RefusedError(known)
        return known

    def keep(self, digest: str, found: PhotoFace | RefusedError) -> None:
        """Remember what became of a photo. Raises GalleryError where that cannot be written."""
        line = {"key": self._key, "sha256": digest}
        if isinstance(found, PhotoFace):
            line["vector"] = base64.b64encode(found.vector.astype("<f4").tobytes()).decode()
            line["thumbnail"] = base64.b64encode(found.thumbnail).decode()
        else:
            line["reason"] = str(found)
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _take(self, line: bytes) -> None:
        try:
            fields = json.loads(line)
            if not isinstance(fields, dict) or fields.get("key") != self._key:
                return
            digest, reason = fields["sha256"], fields.get("reason")
            self._known[digest] = reason if isinstance(reason, str) else self._face(fields)
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
            return  # cut, or written by nobody we know: the photo is looked at again

    def _face(self, fields: dict[str, str]) -> PhotoFace:
        vector = np.frombuffer(base64.b64decode(fields["vector"], validate=True), "<f4").astype(np.float32)
        if vector.shape != (self._dimension,) or not abs(float(np.linalg.norm(vector)) - 1) < 1e-3:
            raise ValueError("no unit vector")
        return PhotoFace(vector, base64.b64decode(fields["thumbnail"], validate=True))

    def _unwritable(self, error: OSError) -> GalleryError:
        return GalleryError(
            f"the gallery {printable(self._path.parent)} cannot be written ({error.strerror}); it is as it was before"
        )
