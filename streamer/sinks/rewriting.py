"""Rewrites a results file in one step: its lines go through a function into a new file, which then takes its place.

Whatever fails, and whenever the program is killed, the old file is as it was. A file that is being written by a run, or
rewritten by another program, is refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from streamer.errors import SinkError, SourceOpenError, printable
from streamer.recordings import Line, read_lines
from streamer.sinks.files import PartFile, part_path, write_error
from streamer.sinks.results_lines import Fields, encoded

# Takes a file's lines in order and yields what shall stand there: lines as they were, or objects in their place.
Change = Callable[[Iterator[Line]], Iterable[Line | Fields]]

_SCRATCH = ".rewriting"


def rewrite(path: Path, change: Change, *, to: Path | None = None) -> None:
    """Pass the lines of a results file through `change`.

    Args:
        path: The file; who may read it stays as it is. A last line that was cut off is left out.
        change: May raise: nothing is changed then.
        to: Where to write; None: in place of `path`.

    Raises:
        SourceOpenError: It is no results file, or damaged.
        SinkError: It cannot be written, or is being written by somebody else.
    """
    source = path.resolve()  # a link goes on leading to the file
    target = source if to is None else to.resolve()
    try:
        with _held(source) as mode:
            _write(source, change, target, mode)
    except OSError as error:
        raise write_error(target, error) from error


def _write(source: Path, change: Change, target: Path, mode: int) -> None:
    # Not the name that a run writes under: what a killed run left there is somebody's results.
    scratch = target.with_name(f"{target.stem}{_SCRATCH}{target.suffix}")
    part = PartFile(scratch, mode=mode)
    try:
        for line in change(read_lines(source)):
            part.write(line.raw if isinstance(line, Line) and line.raw.endswith(b"\n") else encoded(_fields(line)))
        part.sync()
        part.keep()
        part_path(scratch).replace(target)
    except BaseException:
        part.remove()
        raise
    _sync_folder(target.parent)


def is_leftover(path: Path) -> bool:
    """Say whether a file is what a rewriting that was killed had written: part of a copy, and nothing else."""
    return path.stem.endswith(part_path(Path(_SCRATCH)).name)


def discard_leftover(path: Path) -> None:
    """Remove such a file. Raises SinkError where it cannot be, or is being written now."""
    try:
        PartFile(path.with_name(f"{path.stem.removesuffix('.part')}{path.suffix}")).remove()
    except OSError as error:
        raise write_error(path, error) from error


def _fields(line: Line | Fields) -> Fields:
    return line.fields if isinstance(line, Line) else line


def _sync_folder(path: Path) -> None:
    """Put a rename on the disk, where the system lets a folder be opened; the file is whole with or without it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[int]:
    """Keep others from rewriting `path`, and yield its mode. Raises SinkError where somebody has it."""
    try:
        file: BinaryIO = path.open("rb")
    except OSError as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise SourceOpenError(f"{printable(path)} {why}; give a results file") from error
    with file:
        try:
            import fcntl
        except ImportError:  # Windows refuses by itself to replace a file that is open
            mode = os.fstat(file.fileno()).st_mode & 0o777
            file.close()
            yield mode
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkError(f"{printable(path)} is being written by another program; wait for its end") from error
        status = os.fstat(file.fileno())
        if not os.path.samestat(status, path.stat()):
            raise SinkError(f"{printable(path)} was replaced by another program just now; try again")
        yield status.st_mode & 0o777
