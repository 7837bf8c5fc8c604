"""Output files: refused before the work where they cannot be, written under a `.part` name, renamed when whole.

A name without `.part` therefore always holds a finished file, or what was there before.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import av

from streamer.errors import SinkError

_LOG = logging.getLogger(__name__)

# A full disk or a user's share of it; Windows has no EDQUOT.
_NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def part_path(path: Path) -> Path:
    """Return where `path` is written until it is whole: beside it, crowd.part.mp4 for crowd.mp4."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def write_error(path: Path, error: OSError | av.FFmpegError) -> SinkError:
    """Return the one-sentence error for a write to `path` that the system refused."""
    cause = (error.strerror or type(error).__name__).lower()
    remedy = "free some space there or choose another folder" if error.errno in _NO_SPACE else "choose another place"
    return SinkError(f"cannot write {path}: {cause}; {remedy}")


def check_suffix(path: Path, suffixes: Collection[str]) -> None:
    """Raise SinkError unless `path` ends in one of `suffixes`, in capitals or not."""
    if path.suffix.lower() not in suffixes:
        raise SinkError(f"cannot write {path}: its name must end in {', '.join(suffixes)}")


def check_output(path: Path, *, sources: Sequence[Path], suffixes: Collection[str], overwrite: bool) -> None:
    """Refuse an output that could not be finished, or would destroy something; nothing is opened or made.

    Args:
        path: The final name.
        sources: Files that the run reads; those that do not exist, such as addresses, are passed over.
        suffixes: Endings that the sink can write, lower case, with the dot.
        overwrite: An existing file may be replaced; never a source.

    Raises:
        SinkError: The ending is not supported, the folder is absent or not writable, the path is not a file, it or its
            `.part` name is a source (through links too), or it exists and may not be replaced.
    """
    check_suffix(path, suffixes)
    try:
        _check_folder(path)
        for source in sources:
            if any(_is_same_file(output, source) for output in (path, part_path(path))):
                raise SinkError(f"cannot write {path}: it would replace the input {source}; choose another name")
        if path.exists() and not path.is_file():
            raise SinkError(f"cannot write {path}: it exists and is not a file; choose another name")
        if path.exists() and not overwrite:
            raise SinkError(f"cannot write {path}: it exists already; choose another name or pass --overwrite")
    except OSError as error:
        raise write_error(path, error) from error


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {path.parent}; make it or choose another")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write {path}: the folder {path.parent} is not writable; choose another")


def _is_same_file(first: Path, second: Path) -> bool:
    return first.exists() and second.exists() and first.samefile(second)


class PartFile:
    """The raw bytes of an output on their way: written to `part_path`, then published, kept or removed.

    Encoders get this object rather than a name, so that the handle is closed, and space given back, whatever failed.

    Args:
        path: The final name.
        mode: Who may read and write it; None: as the system sets it for new files.

    Raises:
        OSError: It cannot be made.
        SinkError: Another run is writing it.
    """

    def __init__(self, path: Path, *, mode: int | None = None) -> None:
        self._path = path
        # Never through a link, which may lead to a file that is nobody's part; emptied only once it is ours.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        first_mode = 0o666 if mode is None else 0o600
        self._file = os.fdopen(os.open(part_path(path), flags, first_mode), "r+b", buffering=0)
        try:
            self._claim()
            self._file.truncate(0)
            if mode is not None:  # before anything private is in it, also where an earlier run left it
                part_path(path).chmod(mode)
        except BaseException:
            self._file.close()
            raise

    def _claim(self) -> None:
        """Lock the file for as long as it is open, where the system has such locks."""
        try:
            import fcntl
        except ImportError:  # Windows refuses by itself to replace a file that is open
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkError(f"cannot write {self._path}: another run is writing it; choose another name") from error

    def write(self, chunk: bytes) -> int:
        """Write all of `chunk`; a disk that takes only a part of it raises at the next attempt."""
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]
        return len(chunk)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` bytes from where `whence` says, as any file does."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        os.fsync(self._file.fileno())

    def keep(self) -> None:
        """Close, and leave what there is under the `.part` name; may be called more than once."""
        self._file.close()

    def publish_part(self) -> None:
        """As `publish`, for what an interrupted run wrote: it takes no whole file's place, but stays a part."""
        if self._path.exists():
            self.keep()
            _LOG.warning(
                "%s is left as it was; what was written before the interruption is %s",
                self._path,
                part_path(self._path),
            )
        else:
            self.publish()

    def publish(self) -> None:
        """Close and give the file its final name, in place of whatever had it."""
        self._file.close()
        part_path(self._path).replace(self._path)

    def remove(self) -> None:
        """Close and delete."""
        self._file.close()
        part_path(self._path).unlink(missing_ok=True)
