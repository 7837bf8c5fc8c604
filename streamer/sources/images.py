"""Reads pictures in a row as if they were a video: the files of a folder, or the files given."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from streamer.errors import SourceOpenError, UsageError, printable
from streamer.photos import PICTURE_SUFFIXES, read_picture
from streamer.pictures import BgrPicture
from streamer.types import Frame, SourceInfo


class ImagesSource:
    """The pictures of a folder in natural order (img2 before img10), or the given files in the given order.

    Each is shown upright and in its own size. What cannot be read is passed over and counted.

    Args:
        paths: A folder, or files.
        fps: Pictures a second of stream time.
        source_id: Unique in a run; None: the folder, or the first file.

    Raises SourceOpenError where there is no picture that can be read, and UsageError where `fps` makes no sense.
    """

    def __init__(self, paths: Path | Sequence[Path], *, fps: float = 1.0, source_id: str | None = None) -> None:
        if not 0.001 <= fps <= 1000:
            raise UsageError(f"pictures a second must lie between 0.001 and 1000, not {fps:g}")
        files = _pictures_in(paths) if isinstance(paths, Path) else list(paths)
        if not files:
            raise SourceOpenError("no picture was given")
        shown = paths if isinstance(paths, Path) else files[0]
        self._source_id = source_id if source_id is not None else str(shown)
        self._skipped = 0
        self._seconds_apart = 1 / Fraction(fps).limit_denominator(1_000_000)
        self._frames = self._deliver(files)
        self._first = next(self._frames, None)
        if self._first is None:
            raise SourceOpenError(f"none of the {len(files)} pictures of {printable(shown)} can be read")
        self._info = SourceInfo(
            source_id=self._source_id,
            name=printable(shown.name or shown),
            width=self._first.picture.width,
            height=self._first.picture.height,
            declared_fps=fps,
            frame_count=len(files),
            time_base=self._seconds_apart,
        )

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame; width and height are the first picture's."""
        return self._info

    @property
    def skipped(self) -> int:
        """Pictures so far that could not be read."""
        return self._skipped

    def read(self) -> Frame | None:
        """Return the next picture, None at the end."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._frames, None)

    def close(self) -> None:
        """Read no more; no file is open between two reads."""
        self._first, self._frames = None, iter(())

    def _deliver(self, files: Sequence[Path]) -> Iterator[Frame]:
        index = 0
        for path in files:
            try:
                picture: BgrPicture = read_picture(path)
            except SourceOpenError:
                self._skipped += 1
                continue
            yield Frame(picture, index, float(index * self._seconds_apart), time.monotonic(), self._source_id)
            index += 1


def _pictures_in(folder: Path) -> list[Path]:
    """Return the pictures that lie in a folder, in natural order, or the file itself."""
    if folder.is_file():
        return [folder]
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise SourceOpenError(f"{printable(folder)} cannot be read: {error.strerror}") from error
    found = [path for path in entries if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    if not found:
        raise SourceOpenError(f"{printable(folder)} holds no picture; give a folder of JPEG or PNG files")
    return sorted(found, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Order numbers in names by value; the whole name settles what is left, so the order is always the same."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    keys = [(True, 0, part) if not part.isdecimal() else (False, int(part), "") for part in parts]
    return keys, path.name
