"""One movie file in the making: pictures encoded as H.264 on a time line that only goes forward, sound beside them.

It decides what goes into the file and in which order; names, errors and life-cycle are the video sink's.
"""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from streamer.canvas import Canvas
from streamer.devices import probe_cpus
from streamer.pictures import UInt8
from streamer.sinks.audio import AudioTrack, open_audio
from streamer.sinks.encoders import SOFTWARE, Encoding, choose_encoder, encoder_options
from streamer.sinks.files import PartFile
from streamer.sinks.video_stream import ChosenEncoder, add_pictures, frame_of
from streamer.types import SourceInfo

_log = logging.getLogger(__name__)

MATROSKA_TICK_SECONDS = Fraction(1, 1000)
_KEY_FRAME_SECONDS = 2.0
_BLACK = (16, 128, 128)


class Timeline:
    """Gives every picture its time in the file, strictly increasing whatever comes in.

    Args:
        tick_seconds: The file's smallest step.
        origin_ticks: What becomes time 0.
    """

    def __init__(self, tick_seconds: Fraction, origin_ticks: int) -> None:
        self.tick_seconds = tick_seconds
        self.origin_ticks = origin_ticks
        self.last_ticks: int | None = None

    def place(self, pts_seconds: float) -> int:
        """Return the time of the next picture, ticks; one past the last where it does not advance."""
        ticks = round(pts_seconds / float(self.tick_seconds)) - self.origin_ticks
        if self.last_ticks is not None:
            ticks = max(ticks, self.last_ticks + 1)
        self.last_ticks = ticks
        return ticks


class KeyFrames:
    """Says which pictures must be key frames: often enough that nothing but a standstill parts two by over 2 s."""

    def __init__(self, tick_seconds: Fraction) -> None:
        self._longest = math.floor(_KEY_FRAME_SECONDS / tick_seconds)
        self._key: int | None = None
        self._previous = 0

    def is_due(self, ticks: int) -> bool:
        """Tell whether the picture at `ticks` must be one, expecting the next as far off as the previous is."""
        step, self._previous = ticks - self._previous, ticks
        if self._key is not None and ticks + step - self._key <= self._longest:
            return False
        self._key = ticks
        return True


class Movie:
    """An open movie file; the streams are added before the first picture.

    Args:
        part: Where the bytes go.
        container: FFmpeg's name of the format: mp4, mov or matroska.
        timeline: Where its pictures fall.
    """

    def __init__(self, part: PartFile, container: str, timeline: Timeline) -> None:
        self._timeline, self._keys = timeline, KeyFrames(timeline.tick_seconds)
        self._output = av.open(part, "w", format=container, container_options=_muxing(container, timeline.tick_seconds))
        self._audio: AudioTrack | None = None
        self._audio_end_seconds = math.inf
        self._has_warned_of_size = False
        self.is_empty = True

    def add_video(self, info: SourceInfo, first: Canvas, encoding: Encoding) -> None:
        """Add the pictures' stream, in the size and colours of the `first` one."""
        name = choose_encoder(encoding, (first.width, first.height))
        # x264 would take half as many again: no faster beside decoder and nets, with more pictures in memory.
        threads = (encoding.threads or probe_cpus().usable) if name == SOFTWARE else None
        encoder = ChosenEncoder(name, encoder_options(name, encoding), threads)
        self._video = add_pictures(self._output, info, first, encoder, self._timeline.tick_seconds)
        self._frame_seconds = 1 / info.declared_fps

    def add_audio(self, source: Path, end_seconds: float) -> None:
        """Add the sound of `source`, where it has any, up to `end_seconds` of the file's time."""
        self._audio = open_audio(source, self._output, self._timeline.origin_ticks * self._timeline.tick_seconds)
        self._audio_end_seconds = end_seconds

    @property
    def end_of_pictures_seconds(self) -> float:
        """When the last picture has been shown for as long as the declared rate says."""
        return (self._timeline.last_ticks or 0) * float(self._timeline.tick_seconds) + self._frame_seconds

    def add(self, pts_seconds: float, canvas: Canvas) -> None:
        """Encode one picture, and write what is ready of it and of the sound up to it."""
        ticks = self._timeline.place(pts_seconds)
        frame = self._video_frame(canvas)
        frame.pts, frame.time_base = ticks, self._timeline.tick_seconds
        frame.pict_type = PictureType.I if self._keys.is_due(ticks) else PictureType.NONE
        self._write(self._video.encode(frame))

    def finish(self, audio_seconds: float) -> None:
        """Write what the encoders still hold, and the sound up to `audio_seconds`; `close` comes next."""
        self._write(self._video.encode(None))
        if self._audio is not None:
            self._output.mux(list(self._audio.finish(min(audio_seconds, self._audio_end_seconds))))

    def close(self) -> None:
        """Write the end of the file and let go of the sound's source; the part file stays open."""
        if self._audio is not None:
            self._audio.close()
        self._output.close()

    def _write(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if self._audio is not None:
                seconds = float((packet.dts or 0) * packet.time_base)
                for sound in self._audio.until(min(seconds, self._audio_end_seconds)):
                    self._output.mux(sound)
            self._output.mux(packet)
            self.is_empty = False

    def _video_frame(self, canvas: Canvas) -> av.VideoFrame:
        """Return the canvas as the encoder takes it, in the movie's size; nothing is copied where the sizes agree."""
        codec = self._video.codec_context
        planes: tuple[UInt8, ...] = (canvas.y, canvas.u, canvas.v)
        if (canvas.width, canvas.height) != (codec.width, codec.height):
            if not self._has_warned_of_size:
                _log.warning(
                    "the picture changes from %d × %d to %d × %d; the video keeps the first size, with black borders",
                    *(codec.width, codec.height, canvas.width, canvas.height),
                )
            self._has_warned_of_size = True
            planes = _fitted(planes, codec.width, codec.height)
        return frame_of(planes)


def _muxing(container: str, tick_seconds: Fraction) -> dict[str, str]:
    """Return FFmpeg's options for a file that survives being killed and keeps its pictures' times.

    Without `delay_moov` fragments carry no edit list, and B-frames push every time stamp back by two or three frames;
    with the usual `movie_timescale` of 1000 an edit list moves a first picture that is not at 0 to a whole millisecond.
    Where the sound ends early, the muxer would otherwise hold ten seconds of pictures back.
    """
    options = {"flush_packets": "1", "max_interleave_delta": "500000"}
    if container != "matroska":
        ticks = tick_seconds.denominator
        options |= {
            "movflags": "hybrid_fragmented+delay_moov",
            "movie_timescale": str(ticks * math.ceil(10_000 / ticks)),
        }
    return options


def _fitted(planes: tuple[UInt8, ...], width: int, height: int) -> tuple[UInt8, ...]:
    """Scale I420 planes, aspect kept, into the middle of `width` × `height` px of black."""
    scale = min(width / planes[0].shape[1], height / planes[0].shape[0])
    inner_width = min(max(round(planes[0].shape[1] * scale / 2), 1), width // 2)
    inner_height = min(max(round(planes[0].shape[0] * scale / 2), 1), height // 2)
    left, top = (width // 2 - inner_width) // 2, (height // 2 - inner_height) // 2
    fitted = []
    for plane, black, unit in zip(planes, _BLACK, (2, 1, 1), strict=True):
        target = np.full((height // 2 * unit, width // 2 * unit), black, np.uint8)
        size = (inner_width * unit, inner_height * unit)
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        inner = cv2.resize(plane, size, interpolation=interpolation)
        target[top * unit : top * unit + size[1], left * unit : left * unit + size[0]] = inner
        fitted.append(target)
    return tuple(fitted)
