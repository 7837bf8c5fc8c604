"""Cuts the faces of moments out of a video, as small JPEG pictures; each frame is looked for once, in order of time."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2

from streamer.errors import SourceError
from streamer.pictures import Picture
from streamer.reports.values import Box, Moment
from streamer.reports.videos import is_pictures, open_at
from streamer.stages import Source
from streamer.types import Frame

_LOG = logging.getLogger(__name__)

SIDE = 176  # px: twice what most screens show, for those with two pixels a px
_JPEG_QUALITY = 82
# How large a square round a face is, in longer sides of its box.
_CONTEXT = 1.6
# Reading on is cheaper than opening the file again and decoding from its last key frame, up to here.
_READ_ON_SECONDS = 4.0


def with_surroundings(box: Box) -> float:
    """Return the side, px, of a square round a face with some of what is around it."""
    x1, y1, x2, y2 = box
    return _CONTEXT * max(x2 - x1, y2 - y1)


def face_alone(box: Box) -> float:
    """Return the side, px, of a square within a face: nobody beside it may be seen."""
    x1, y1, x2, y2 = box
    return min(x2 - x1, y2 - y1)


def cut_moments(
    video: Path,
    declared_fps: float,
    moments: Iterable[Moment],
    framing: Callable[[Box], float] = with_surroundings,
    on_share: Callable[[float], None] = lambda _: None,
) -> dict[Moment, bytes]:
    """Return JPEG pictures of moments, of those that the video has.

    Args:
        video: The file.
        declared_fps: Of the video; a frame further than half of its duration from a moment is another one.
        moments: What to cut.
        framing: How large a square is cut; see `with_surroundings`, `face_alone`.
        on_share: Told the share of the moments that is done, 0..1.
    """
    wanted = sorted(set(moments), key=lambda moment: (moment.pts_seconds, moment.index, moment.box))
    pictures: dict[Moment, bytes] = {}
    with _Reader(video, declared_fps) as reader:
        for done, moment in enumerate(wanted, 1):
            frame = reader.at(moment.pts_seconds)
            jpeg = _cut(frame.picture, moment.box, framing(moment.box)) if frame is not None else None
            if jpeg is not None:
                pictures[moment] = jpeg
            on_share(done / len(wanted))
    return pictures


class _Reader:
    """Gives the frames at times that only grow; a context manager."""

    def __init__(self, path: Path, declared_fps: float) -> None:
        self._path, self._fps = path, declared_fps
        self._tolerance = 0.5 / max(declared_fps, 1e-3)
        self._read_on_seconds = math.inf if is_pictures(path) else _READ_ON_SECONDS
        self._source: Source | None = None
        self._frame: Frame | None = None

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def at(self, pts_seconds: float) -> Frame | None:
        """Return the frame at this time; None: the video has none, or cannot be read there."""
        try:
            if self._frame is None or pts_seconds - self._frame.pts_seconds > self._read_on_seconds:
                self._close()
                self._source = open_at(self._path, self._fps, max(pts_seconds - self._tolerance, 0.0))
                self._frame = self._source.read()
            for frame in self._from_here():
                if frame.pts_seconds >= pts_seconds - self._tolerance:
                    return frame if frame.pts_seconds <= pts_seconds + self._tolerance else None
        except SourceError as error:  # a damaged place: the rest of the report is as good
            _LOG.warning("no picture of %.2f s: %s", pts_seconds, error)
            self._close()
        return None

    def _from_here(self) -> Iterator[Frame]:
        while self._frame is not None:
            yield self._frame
            self._frame = self._source.read() if self._source is not None else None

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = self._frame = None


def _cut(picture: Picture, box: Box, wanted_side: float) -> bytes | None:
    """Return the face as a JPEG of SIDE px, less where the picture is narrower; None: nothing of it is inside."""
    x1, y1, x2, y2 = box
    half = wanted_side / 2
    side = min(wanted_side, picture.width, picture.height)
    left = min(max((x1 + x2) / 2 - half, 0.0), picture.width - side)
    top = min(max((y1 + y2) / 2 - half, 0.0), picture.height - side)
    region = picture.bgr_region((round(left), round(top), round(left + side), round(top + side)))
    if not region.size:
        return None
    shrinks = region.shape[0] > SIDE
    resized = cv2.resize(region, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    is_encoded, content = cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return content.tobytes() if is_encoded else None
