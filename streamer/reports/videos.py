"""Finds the video that a results file is of: where the user says, where it was, or beside the results.

A path is only ever made of what the header says of its source, never of a person's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SourceError, SourceOpenError, UsageError, printable
from streamer.json_checks import Fields
from streamer.photos import PICTURE_SUFFIXES
from streamer.recorded import RecordedHeader
from streamer.sources.images import ImagesSource
from streamer.sources.video import VideoSource
from streamer.stages import Source


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """The answer.

    Attributes:
        path: The video, as large as the header says; None: there is none.
        why_not: What a reader is told where there is none.
    """

    path: Path | None
    why_not: str = ""


def is_pictures(path: Path) -> bool:
    """Say whether a source is pictures in a row rather than a video; those are read from the first one on."""
    return path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES


def open_at(path: Path, declared_fps: float, start_seconds: float = 0.0) -> Source:
    """Open a video from a time on, or pictures. Raises SourceError."""
    if is_pictures(path):
        return ImagesSource(path if path.is_dir() else [path], fps=declared_fps)
    return VideoSource(path, start_seconds=start_seconds)


def find_video(results: Path, header: RecordedHeader, fields: Fields, given: Path | None) -> FoundVideo:
    """Find a results file's video.

    Args:
        results: The results file.
        header: Its first line.
        fields: All that this line holds.
        given: The video, or a folder to look in first; None: look for it.

    Raises:
        SourceOpenError: `given` is no folder, and no video or another one.
    """
    if given is not None and not given.is_dir():
        problem = _problem(given, header)
        if problem:
            raise SourceOpenError(f"{problem}; give --video the video that {printable(results)} is of")
        return FoundVideo(given)
    problems = []
    for path in _candidates(results, header, fields, given):
        problem = _problem(path, header)
        if not problem:
            return FoundVideo(path)
        if path.exists():
            problems.append(problem)
    return FoundVideo(None, problems[0] if problems else f"{printable(header.source)} was not found")


def _candidates(results: Path, header: RecordedHeader, fields: Fields, folder: Path | None) -> Iterator[Path]:
    name = Path(header.source).name
    if folder is not None and name:
        yield folder if folder.name == name else folder / name
    if header.source_path:
        yield results.parent / header.source_path
    # Beside the results there may be the annotated video under the same name, and of a part it has times of its own.
    if name and not _starts_late(fields):
        yield results.parent / name


def _starts_late(fields: Fields) -> bool:
    config = fields.get("config")
    source = config.get("source") if isinstance(config, dict) else None
    start = source.get("start_seconds") if isinstance(source, dict) else None
    return isinstance(start, int | float) and start > 0


def _problem(path: Path, header: RecordedHeader) -> str:
    """Say why this cannot be the video; empty: it may be."""
    try:
        video = open_at(path, header.declared_fps)
    except (SourceError, UsageError) as error:
        return str(error)
    except (OSError, ValueError) as error:  # a name too long, or with a null byte
        return f"{printable(path)} cannot be opened ({error})"
    size = video.info.width, video.info.height
    video.close()
    if size == (header.width, header.height):
        return ""
    return f"{printable(path)} has pictures of {size[0]} × {size[1]} px, not of {header.width} × {header.height}"
