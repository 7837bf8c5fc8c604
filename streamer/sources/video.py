"""Reads video files by PyAV: every frame with its exact time, upright, in the decoder's own planes where they fit.

It does not read cameras or streams from a network, and no sound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

from streamer.errors import SourceLostError, SourceOpenError, UsageError, printable
from streamer.sources.video_clock import VideoClock
from streamer.sources.video_file import VideoFile
from streamer.sources.video_planes import PictureMaker
from streamer.types import Frame, SourceInfo

_FALLBACK_FPS = Fraction(25)
_HIGHEST_FPS = 1000


class VideoSource:
    """The frames of a video file, or of a part of it.

    Damaged packets are passed over and counted. A file that was cut off gives all that it holds, then raises
    SourceLostError once.

    Args:
        path: The file.
        source_id: Unique in a run; None: the path.
        start_seconds: Stream time of the first frame wanted.
        end_seconds: Stream time at which to stop, exclusive; None: at the end.

    Raises SourceOpenError, which names the file, and UsageError where the part makes no sense.
    """

    def __init__(
        self,
        path: Path,
        *,
        source_id: str | None = None,
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
    ) -> None:
        if not 0 <= start_seconds < math.inf:
            raise UsageError(f"the start must be 0 s or later, not {start_seconds:g} s")
        if end_seconds is not None and not end_seconds > start_seconds:
            raise UsageError(f"the end, {end_seconds:g} s, must lie after the start, {start_seconds:g} s")
        self._path = path
        self._name = printable(path.name)
        self._source_id = source_id if source_id is not None else str(path)
        self._start = start_seconds
        self._end = math.inf if end_seconds is None else end_seconds
        self._unconverted = 0
        self._decoded = 0
        self._decoded_until = 0.0
        self._pictures = PictureMaker()
        self._file = VideoFile(path)
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self._time_base = self._file.stream.time_base or Fraction(1, 90_000)
            self._fps = self._declared_fps()
            self._frames = self._deliver()
            self._first: Frame | None = self._read_first()
            self._info = self._describe(self._first)
            on_error.pop_all()

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame."""
        return self._info

    @property
    def skipped(self) -> int:
        """Packets so far that could not be decoded."""
        return self._file.skipped + self._unconverted

    def read(self) -> Frame | None:
        """Return the next frame, None at the end.

        Raises SourceLostError once, after the last good frame, where the file holds less than it declares.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._frames, None)

    def close(self) -> None:
        """Close the file; frames that were read stay good."""
        self._first = None
        self._frames = iter(())
        self._file.close()

    def _declared_fps(self) -> Fraction:
        stream = self._file.stream
        rates = (rate for rate in (stream.average_rate, stream.guessed_rate) if rate and 0 < rate <= _HIGHEST_FPS)
        return Fraction(next(rates, _FALLBACK_FPS))

    def _describe(self, first: Frame) -> SourceInfo:
        stream = self._file.stream
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        seconds = self._file.declared_seconds()
        estimate = round(seconds * self._fps) if seconds else 0
        # A fragmented mp4 counts only its first fragment.
        count = stream.frames if stream.frames > estimate // 2 else estimate
        return SourceInfo(
            source_id=self._source_id,
            name=self._name,
            width=first.picture.width,
            height=first.picture.height,
            declared_fps=float(self._fps),
            frame_count=count or None,
            time_base=self._time_base,
            sample_aspect_ratio=1 / aspect if self._pictures.is_transposed else aspect,
        )

    def _read_first(self) -> Frame:
        """Return the first frame wanted, or raise SourceOpenError saying why there is none."""
        name = printable(self._path)
        try:
            first = next(self._frames, None)
        except SourceLostError as error:
            raise SourceOpenError(str(error)) from error
        if first is not None:
            return first
        if not self._decoded:
            raise SourceOpenError(f"{name} holds no picture that can be decoded; the file is damaged")
        length = max(self._decoded_until, self._file.declared_seconds() or 0.0)
        if self._start >= self._decoded_until:
            raise SourceOpenError(f"{name} is {length:.2f} s long: nothing is left to read from {self._start:g} s on")
        raise SourceOpenError(f"{name} has no frame between {self._start:g} s and {self._end:g} s")

    def _deliver(self) -> Iterator[Frame]:
        """Yield the frames of the part wanted."""
        index = 0
        for pts_seconds, decoded in self._from_start():
            if pts_seconds < self._start:
                continue
            if pts_seconds >= self._end:
                return
            try:
                picture = self._pictures.picture(decoded)
            except av.FFmpegError:
                self._unconverted += 1
                continue
            yield Frame(picture, index, pts_seconds, time.monotonic(), self._source_id)
            index += 1
        self._check_complete()

    def _from_start(self) -> Iterator[tuple[float, VideoFrame]]:
        """Yield what is decoded, from a frame at or before the start on."""
        if self._start == 0:
            yield from self._timed(0)
            return
        if self._seek():
            timed = self._timed(round(self._start / self._time_base))
            earliest = next(timed, None)
            if earliest is not None and earliest[0] <= self._start:
                yield earliest
                yield from timed
                return
        # No index, or none that is good enough (MPEG-TS): it failed or landed too late, so go through the file.
        self._file.close()
        self._file = VideoFile(self._path)
        yield from self._timed(0)

    def _seek(self) -> bool:
        """Go to the key frame at or before the start; return whether the file could."""
        stream = self._file.stream
        ticks = (stream.start_time or 0) + math.floor(self._start / self._time_base)
        try:
            self._file.container.seek(ticks, stream=stream)
        except av.FFmpegError:
            return False
        return True

    def _timed(self, wanted_ticks: int) -> Iterator[tuple[float, VideoFrame]]:
        frame_ticks = max(1, round(1 / (self._fps * self._time_base)))
        clock = VideoClock(self._file.stream.start_time, frame_ticks, self._time_base, wanted_ticks)
        for decoded in self._file.frames():
            ticks = clock.advance(decoded.pts, decoded.dts)
            self._decoded += 1
            self._decoded_until = float((ticks + frame_ticks) * self._time_base)
            yield float(ticks * self._time_base), decoded

    def _check_complete(self) -> None:
        """Raise SourceLostError if the file holds less than it declares of the part wanted."""
        file, frame_seconds = self._file, float(1 / self._fps)
        if file.fault is not None:
            raise SourceLostError(f"{self._name} could not be read to its end: {file.fault}")
        if self._end < self._decoded_until + frame_seconds / 2 or not (file.is_cut or file.is_short_of_bytes()):
            return
        total = file.declared_frames()
        seconds = float(total / self._fps) if total else file.declared_seconds() or 0.0
        # Bytes that are missing may have held no frame, and headers alone miscount frames and round durations.
        if total and not self._start:
            is_lost = self._decoded + file.skipped < total
            what = f"{self._decoded} of {total} frames could be read"
        else:
            is_lost = self._decoded_until + frame_seconds < seconds
            what = f"it stops at {self._decoded_until:.2f} s" + (f" of {seconds:.2f} s" if is_lost else "")
        if is_lost or file.is_cut:
            raise SourceLostError(f"{self._name} ends early: {what}")
