"""The stream of pictures in an output of FFmpeg: how its encoder is set up, and how canvases become its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from streamer.canvas import Canvas
from streamer.pictures import UInt8
from streamer.sinks.encoders import hardware_memory, pixel_format
from streamer.types import SourceInfo

# ITU-T H.273 numbers of the colours of HD and of SD video; FFmpeg's number for limited range.
_BT709, _SMPTE170M, _LIMITED_RANGE = 1, 6, 1


@dataclass(frozen=True, slots=True)
class ChosenEncoder:
    """An encoder with FFmpeg's options for it; `threads`: None: as many as it likes."""

    name: str
    options: dict[str, str]
    threads: int | None = None


def add_pictures(
    output: OutputContainer, info: SourceInfo, first: Canvas, encoder: ChosenEncoder, tick_seconds: Fraction
) -> VideoStream:
    """Add the stream to an output, in the size and colours of the `first` canvas, its times counted in ticks."""
    rate = max(Fraction(info.declared_fps).limit_denominator(1001), Fraction(1, 1001))
    memory = hardware_memory(encoder.name)
    stream = output.add_stream(encoder.name, rate=rate, options=encoder.options, hwaccel=memory)
    assert isinstance(stream, VideoStream)
    codec = stream.codec_context
    codec.width, codec.height, codec.pix_fmt = first.width, first.height, pixel_format(encoder.name)
    codec.time_base = tick_seconds
    if encoder.threads is not None:
        codec.thread_count = encoder.threads
    codec.sample_aspect_ratio = info.sample_aspect_ratio
    codec.color_range = _LIMITED_RANGE
    codec.color_primaries = codec.color_trc = codec.colorspace = _BT709 if first.is_bt709 else _SMPTE170M
    return stream


def frame_of(planes: Sequence[UInt8]) -> av.VideoFrame:
    """Return I420 planes as a frame of its own, for its time and type, on the same memory.

    Encoders have read it before `encode` returns.
    """
    return av.VideoFrame.from_dlpack([_exportable(plane) for plane in planes], format="yuv420p")


def _exportable(plane: UInt8) -> UInt8:
    """Return the plane as DLPack takes it, which knows no read-only arrays; nobody writes there all the same."""
    view = plane.view()
    try:
        view.flags.writeable = True
    except ValueError:  # memory that nobody may write, such as a file mapped for reading
        return plane.copy()
    return view
