"""Which files a command line means: globs, and where the outputs of each input go."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from streamer.addresses import is_address, redacted
from streamer.errors import SinkError, SourceOpenError, UsageError, printable

DEFAULT_FOLDER = Path("recordings")
_VIDEO, _RESULTS = ".mp4", ".jsonl"


def expand(patterns: Sequence[str]) -> list[Path]:
    """Return the files that arguments name, in order, each once; a pattern is expanded where the shell did not.

    Raises:
        SourceOpenError: A pattern matches nothing, or is the address of a stream.
    """
    paths: dict[Path, None] = {}
    for pattern in patterns:
        if is_address(pattern):
            what = f"{redacted(pattern)} is a stream from a network, and files are wanted here"
            raise SourceOpenError(f"{what}; streamer live --camera watches streams")
        path = Path(pattern)
        if not glob.has_magic(pattern) or path.exists():
            paths[path] = None
            continue
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        if not matches:
            raise SourceOpenError(f"{pattern}: no file matches this pattern; check the folder and the ending")
        paths.update(dict.fromkeys(map(Path, matches)))
    return list(paths)


def check_exists(path: Path) -> None:
    """Raise SourceOpenError for an input that is not there, before a folder is made for its outputs."""
    try:
        path.stat()
    except OSError as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise SourceOpenError(f"{printable(path)} {why}; check the name and the folder") from error


def video_paths(inputs: Sequence[Path], output: Path | None) -> list[Path]:
    """Return the annotated video's path of each input.

    Args:
        inputs: What is processed.
        output: A file, for one input only, or a folder; None: the folder `recordings`.
    """
    folder = output if output is not None else DEFAULT_FOLDER
    is_folder = output is None or len(inputs) > 1 or output.is_dir() or not output.suffix
    if not is_folder:
        return [folder]
    return _in_folder(inputs, folder, _VIDEO, "-o")


def results_paths(inputs: Sequence[Path], results: Path | None, videos: Sequence[Path] | None) -> list[Path]:
    """Return the results file's path of each input.

    Args:
        inputs: What is processed.
        results: A file, for one input only, or a folder; None: beside the video.
        videos: The annotated videos; None: none is written.
    """
    if results is None:
        if videos is not None:
            return [video.with_suffix(_RESULTS) for video in videos]
        return _in_folder(inputs, DEFAULT_FOLDER, _RESULTS, "--results")
    if len(inputs) > 1 or results.is_dir() or not results.suffix:
        return _in_folder(inputs, results, _RESULTS, "--results")
    return [results]


def make_folders(paths: Sequence[Path]) -> None:
    """Make the folders that outputs go to. Raises SinkError."""
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot make the folder {folder}: {error.strerror}; choose another place") from error


def _in_folder(inputs: Sequence[Path], folder: Path, suffix: str, option: str) -> list[Path]:
    if folder.is_file():
        raise UsageError(f"{option} {folder} is a file, but {len(inputs)} inputs need a folder; name one")
    taken: dict[Path, Path] = {}
    for path in inputs:
        stem = path.stem if path.name not in ("", "..") else path.resolve().stem
        output = folder / f"{stem}{suffix}"
        if output in taken:
            raise UsageError(f"{taken[output]} and {path} would both be written to {output}; process them one by one")
        taken[output] = path
    return list(taken)
