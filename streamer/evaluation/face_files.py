"""Which faces stand in each frame: read line by line from a results file, or from a truth that somebody wrote.

A truth is JSON lines, one object a frame, in order of time. A frame is named by its `index` (0-based, as in a results
file) or, where it has none, by its `pts_seconds`, the same way all through the file; frames that are not there are not
judged::

    {"index": 0, "faces": [{"id": 1, "name": "Ana", "box": [x1, y1, x2, y2]}, {"id": "b", "name": null, "box": […]}]}

`id` is a whole number or a text, and the same for one person all through the video; `name` is absent or null for a
stranger. A results file of the product is a truth, too: its tracks are the ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from streamer import json_checks as checks
from streamer.errors import SourceOpenError, printable
from streamer.json_checks import Fields, MalformedError, parse_object
from streamer.recorded import RecordedFrame, RecordedHeader, RecordedSummary
from streamer.recordings import read_lines
from streamer.types import Float32

FaceId: TypeAlias = int | str

_MAX_LINE_BYTES = 16 * 2**20
_MAX_FACES = 10_000
_REMEDY = "a truth has lines like {'index': 0, 'faces': [{'id': 1, 'name': 'Ana', 'box': [x1, y1, x2, y2]}]}"


@dataclass(frozen=True, slots=True, eq=False)
class FrameFaces:
    """The faces of one frame.

    Attributes:
        index: Of the frame in its source; None: not stated.
        pts_seconds: Its time; None: not stated. One of the two is.
        xyxy: (N, 4) float32 px.
        ids: N different ones.
        names: N names; None: a stranger, or not assessed.
    """

    index: int | None
    pts_seconds: float | None
    xyxy: Float32
    ids: tuple[FaceId, ...]
    names: tuple[str | None, ...]

    def of(self, rows: Iterable[int]) -> FrameFaces:
        """Return the frame with the faces in `rows` only."""
        kept = list(rows)
        ids, names = tuple(self.ids[row] for row in kept), tuple(self.names[row] for row in kept)
        return FrameFaces(self.index, self.pts_seconds, self.xyxy[kept], ids, names)


class ResultsFrames:
    """The frames of a results file, read as they are asked for.

    Args:
        path: The file.

    Attributes:
        declared_fps: Of the video.
        is_whole: The file's summary has been read; False at the end: a crash, or a kill, cut it off.

    Raises:
        SourceOpenError: It is absent or no results file; while iterating: a line is not as it must be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        header = next(read_lines(path)).record
        assert isinstance(header, RecordedHeader)  # or read_lines raises
        self.declared_fps = header.declared_fps
        self.is_whole = False

    def __iter__(self) -> Iterator[FrameFaces]:
        """Yield every frame, in order."""
        for line in read_lines(self._path):
            if isinstance(line.record, RecordedFrame):
                yield _recorded(line.record)
            self.is_whole |= isinstance(line.record, RecordedSummary)


def _recorded(frame: RecordedFrame) -> FrameFaces:
    return FrameFaces(
        frame.index,
        frame.pts_seconds,
        np.array([face.box for face in frame.faces], np.float32).reshape(-1, 4),
        tuple(face.track_id for face in frame.faces),
        tuple(face.name for face in frame.faces),
    )


def read_truth(path: Path) -> Iterator[FrameFaces]:
    """Yield the frames of a truth, or of a results file that serves as one.

    Raises:
        SourceOpenError: It is absent, or a line is not as it must be; names the line.
    """
    before: FrameFaces | None = None
    for number, raw in _lines(path):
        try:
            fields = parse_object(raw)
            if before is None and fields.get("type") == "header":
                yield from ResultsFrames(path)
                return
            frame = _truth_frame(fields)
            _check_order(before, frame)
        except MalformedError as error:
            raise SourceOpenError(
                f"{printable(path)} is no truth, line {number}: {printable(error)}; {_REMEDY}"
            ) from error
        yield frame
        before = frame
    if before is None:
        raise SourceOpenError(f"{printable(path)} is empty; {_REMEDY}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line that is not blank, with its number from 1."""
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > _MAX_LINE_BYTES:
                    raise SourceOpenError(f"{printable(path)} is no truth: line {number} does not end; {_REMEDY}")
                if raw.strip():
                    yield number, raw
    except OSError as error:
        raise SourceOpenError(f"{printable(path)} cannot be read: {error.strerror}; check the name") from error


def _truth_frame(fields: Fields) -> FrameFaces:
    index = checks.whole(fields, "index") if "index" in fields else None
    pts_seconds = checks.number(fields, "pts_seconds") if "pts_seconds" in fields else None
    if index is None and pts_seconds is None:
        raise MalformedError("neither 'index' nor 'pts_seconds' is there")
    faces = list(checks.objects(fields, "faces", _MAX_FACES))
    ids = tuple(_face_id(face) for face in faces)
    if len(set(ids)) < len(ids):
        raise MalformedError("an id is twice in one frame")
    names = tuple(checks.text_or_none(face, "name") if "name" in face else None for face in faces)
    boxes = np.array([_box(face) for face in faces], np.float32).reshape(-1, 4)
    return FrameFaces(index, pts_seconds, boxes, ids, names)


def _face_id(fields: Fields) -> FaceId:
    value = checks.value_of(fields, "id")
    if isinstance(value, str) and value:
        return value
    return checks.whole(fields, "id")


def _box(fields: Fields) -> list[float]:
    edges = [checks.checked_number(edge, "an edge of 'box'") for edge in checks.items(fields, "box", 4)]
    if len(edges) != 4 or edges[2] <= edges[0] or edges[3] <= edges[1]:
        raise MalformedError("'box' is not [x1, y1, x2, y2] with x1 < x2 and y1 < y2")
    return edges


def _check_order(before: FrameFaces | None, frame: FrameFaces) -> None:
    if before is None:
        return
    if (before.index is None) != (frame.index is None):
        raise MalformedError("some lines have 'index' and others have not")
    if frame.index is not None and before.index is not None:
        if frame.index <= before.index:
            raise MalformedError("'index' does not rise from line to line")
    elif frame.pts_seconds is None or before.pts_seconds is None or frame.pts_seconds <= before.pts_seconds:
        raise MalformedError("'pts_seconds' does not rise from line to line")
