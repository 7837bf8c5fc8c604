"""The ceiling: a video is decoded and encoded again with nothing in between, the most that any such program can reach.

Written on PyAV alone, none of our sources and sinks, so that it is a limit for them, too. Decoder and encoder run side
by side, as ours do: the decoder in the caller's thread, the encoder in one of its own, between them a short queue.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType, VideoFrame

from streamer.bench.values import Run

_WAITING_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Quality:
    """How x264 encodes: the same as the annotated videos that the ceiling is compared with."""

    preset: str
    crf: int


def measure(video: Path, output: Path, quality: Quality, end_seconds: float | None = None) -> Run:
    """Decode `video` and encode it into `output`; the clock runs from opening the one to closing the other."""
    began_at, cpu_began_at = time.perf_counter(), time.process_time()
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        encoder = _Encoder(output, quality, Fraction(stream.average_rate or 25))
        frames = 0
        try:
            for frame in _until(container.decode(stream), end_seconds):
                encoder.put(frame)
                frames += 1
        finally:
            encoder.close()
    return Run(frames, time.perf_counter() - began_at, time.process_time() - cpu_began_at)


def _until(frames: Iterator[VideoFrame], end_seconds: float | None) -> Iterator[VideoFrame]:
    """Yield frames until `end_seconds` after the first."""
    first_seconds: float | None = None
    for frame in frames:
        seconds = frame.time or 0.0
        first_seconds = seconds if first_seconds is None else first_seconds
        if end_seconds is not None and seconds - first_seconds >= end_seconds:
            return
        yield frame


class _Encoder:
    """x264 in a thread of its own."""

    def __init__(self, output: Path, quality: Quality, rate: Fraction) -> None:
        self._output, self._quality, self._rate = output, quality, rate
        self._frames: queue.Queue[VideoFrame | None] = queue.Queue(_WAITING_FRAMES)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="ceiling-encoder")
        self._thread.start()

    def put(self, frame: VideoFrame) -> None:
        self._frames.put(frame)

    def close(self) -> None:
        """Finish the file; raise what went wrong in the thread."""
        self._frames.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._encode()
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the caller, whatever it is
            self._error = error
            while self._frames.get() is not None:  # so that `put` never waits for room
                pass

    def _encode(self) -> None:
        first = self._frames.get()
        if first is None:
            return
        with av.open(str(self._output), "w") as container:
            options = {"preset": self._quality.preset, "crf": str(self._quality.crf)}
            stream = container.add_stream("libx264", rate=self._rate, options=options)
            # x264 takes whole chroma pixels only.
            stream.width, stream.height, stream.pix_fmt = first.width // 2 * 2, first.height // 2 * 2, "yuv420p"
            # By default it is one over the rate, in which the times of uneven frames would fall together.
            stream.codec_context.time_base = first.time_base or Fraction(1, 90_000)
            frame: VideoFrame | None = first
            while frame is not None:
                frame.pict_type = PictureType.NONE  # or each frame becomes what it was: the encoder is to choose
                container.mux(stream.encode(frame))
                frame = self._frames.get()
            container.mux(stream.encode(None))
