"""The annotated video: H.264 in MP4, QuickTime or Matroska, with the source's time stamps and sound.

What is drawn stays in YUV from decoder to encoder. An MP4 is written in fragments, so that a run that is killed leaves
all but its last group of pictures playable, and is turned into an ordinary MP4 when it is closed.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import av

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.sinks.encoders import Encoding, choose_encoder
from streamer.sinks.files import PartFile, check_suffix, write_error
from streamer.sinks.movie import MATROSKA_TICK_SECONDS, Movie, Timeline
from streamer.types import Ending, FrameResult, SourceInfo

__all__ = ["VIDEO_SUFFIXES", "Encoding", "VideoSink"]

_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
VIDEO_SUFFIXES = tuple(_CONTAINERS)
_DEFAULT_ENCODING = Encoding()


class VideoSink:
    """Writes drawn frames to a video file.

    Every frame keeps its time, in the source's own ticks (Matroska: whole milliseconds); a time that does not advance
    is moved one tick past the last. A file has one picture size: frames of another are fitted into the first's, with
    black borders.

    Args:
        path: Ends in .mp4, .mov or .mkv; until it is finished the file is called NAME.part.SUFFIX.
        audio_from: Video file whose first audio stream is taken over; None: no sound.
        start_seconds: Where in the source the run began; above 0, the first frame written becomes time 0.
        end_seconds: Where in the source the sound ends; None: with the source, or, where the run is not complete, with
            the last frame.
        encoding: How pictures are encoded, and by what.

    Raises:
        SinkError: `path` has another ending.
    """

    needs_canvas = True

    def __init__(
        self,
        path: Path,
        *,
        audio_from: Path | None = None,
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        encoding: Encoding = _DEFAULT_ENCODING,
    ) -> None:
        check_suffix(path, VIDEO_SUFFIXES)
        self._path, self._audio_from, self._encoding = path, audio_from, encoding
        self._starts_at_zero, self._end_seconds = start_seconds > 0, end_seconds
        self._info: SourceInfo | None = None
        self._part: PartFile | None = None
        self._movie: Movie | None = None
        self._error: SinkError | None = None

    def open(self, info: SourceInfo) -> None:
        """Try the encoder and make the part file. Raises SinkError where that is not possible."""
        self._info = info
        choose_encoder(self._encoding, ((info.width + 1) // 2 * 2, (info.height + 1) // 2 * 2))
        try:
            self._part = PartFile(self._path)
        except OSError as error:
            raise write_error(self._path, error) from error

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Encode one drawn frame.

        Raises:
            SinkError: It cannot be written, now or since an earlier frame; what was written is left in the part file.
        """
        if self._error is not None:
            raise self._error
        if self._info is None or self._part is None:
            raise SinkError(f"cannot write {self._path}: it is not open")
        if canvas is None:
            raise ValueError("a video sink needs the canvas")
        try:
            if self._movie is None:
                self._movie = self._begin(self._info, self._part, result.frame.pts_seconds, canvas)
            self._movie.add(result.frame.pts_seconds, canvas)
        except (av.FFmpegError, OSError) as error:
            raise self._give_up(error) from error

    def _begin(self, info: SourceInfo, part: PartFile, first_pts_seconds: float, canvas: Canvas) -> Movie:
        container = _CONTAINERS[self._path.suffix.lower()]
        tick = max(info.time_base, MATROSKA_TICK_SECONDS) if container == "matroska" else info.time_base
        origin_ticks = round(first_pts_seconds / float(tick)) if self._starts_at_zero else 0
        movie = Movie(part, container, Timeline(tick, origin_ticks))
        movie.add_video(info, canvas, self._encoding)
        if self._audio_from is not None:
            end_seconds = math.inf if self._end_seconds is None else self._end_seconds - float(origin_ticks * tick)
            movie.add_audio(self._audio_from, end_seconds)
        return movie

    def close(self, ending: Ending) -> None:
        """Finish the file and, unless the run failed, give it its final name.

        That of a failed run is left, playable, under its part name; without a single frame nothing is left.

        Raises:
            SinkError: The end could not be written, or an earlier frame could not and the run itself did not fail.
        """
        part, self._part = self._part, None
        movie, self._movie = self._movie, None
        if self._error is not None and ending is not Ending.FAILED:
            raise self._error
        if part is None or self._error is not None:
            return
        try:
            if movie is None:
                part.remove()
                return
            with contextlib.closing(movie):
                movie.finish(math.inf if ending is Ending.COMPLETE else movie.end_of_pictures_seconds)
            if ending is Ending.COMPLETE:
                part.publish()
            elif ending is Ending.INTERRUPTED:
                part.publish_part()
        except (av.FFmpegError, OSError) as error:
            self._error = write_error(self._path, error)
            raise self._error from error
        finally:
            part.keep()

    def _give_up(self, cause: OSError | av.FFmpegError) -> SinkError:
        """Close all and remember why; the part file plays as far as it got."""
        movie, self._movie = self._movie, None
        # The trailer and the removal meet the same obstacle; trying them is what frees the buffers and the space.
        if movie is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                movie.close()
        if self._part is not None:
            self._part.keep()
            if movie is None or movie.is_empty:
                with contextlib.suppress(OSError):
                    self._part.remove()
        self._error = write_error(self._path, cause)
        return self._error
