"""Makes the small videos that the tests of sources read: sound, odd, broken and hostile ones.

Every drawn frame tells which one it is: see `draw` and `number_of`.
"""

from __future__ import annotations

import struct
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from streamer.pictures import I420Picture, Picture, UInt8

_STEP = 7  # levels of brightness between one frame and the next, far more than what coding loses


@dataclass(frozen=True)
class Recipe:
    """How to make a video; what is left out is a plain H.264 one of 64 × 48 px, 30 frames, 25 a second."""

    frames: int = 30
    width: int = 64
    height: int = 48
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    pts: Sequence[int] | None = None
    time_base: Fraction = Fraction(1, 25)
    gop: int = 12
    container: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)
    colorspace: int = 2
    matrix: Colorspace = Colorspace.ITU601
    color_range: ColorRange = ColorRange.MPEG
    display_matrix: tuple[int, ...] | None = None
    sample_aspect_ratio: Fraction | None = None
    title: str | None = None


def draw(number: int, width: int, height: int) -> UInt8:
    """Draw frame `number`, (H, W, 3) uint8 BGR: grey that tells the number, white top left, blue bottom right."""
    picture = np.full((height, width, 3), 30 + number % 30 * _STEP, np.uint8)
    picture[: height // 4, : width // 4] = 255
    picture[-(height // 4) :, -(width // 4) :] = (200, 60, 40)
    return picture


def number_of(picture: Picture) -> int:
    """Read back which frame (modulo 30) a picture is, turned or not."""
    luma = picture.luma()
    middle = float(np.median(luma[luma.shape[0] // 2 - 4 :][:8, luma.shape[1] // 2 - 4 :][:, :8]))
    grey = (middle - 16) * 255 / 219 if isinstance(picture, I420Picture) else middle
    return round((grey - 30) / _STEP)


def make_video(path: Path, recipe: Recipe | None = None) -> Path:
    """Write the video and return its path."""
    recipe = recipe or Recipe()
    with av.open(str(path), "w", format=recipe.container, options=recipe.options) as container:
        if recipe.title is not None:
            container.metadata["title"] = recipe.title
        stream = container.add_stream(recipe.codec, rate=1 / recipe.time_base, options=recipe.codec_options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, recipe.pixel_format
        context = stream.codec_context
        context.time_base = recipe.time_base
        context.colorspace = recipe.colorspace
        context.color_range = recipe.color_range
        if recipe.codec not in ("gif", "apng", "mjpeg", "ffv1", "rawvideo"):
            context.gop_size = recipe.gop
        if recipe.sample_aspect_ratio is not None:
            context.sample_aspect_ratio = recipe.sample_aspect_ratio
        stream.set_display_matrix(recipe.display_matrix)
        for number in range(recipe.frames):
            frame = av.VideoFrame.from_ndarray(draw(number, recipe.width, recipe.height), format="bgr24")
            frame = frame.reformat(
                format=recipe.pixel_format,
                dst_colorspace=recipe.matrix,
                dst_color_range=recipe.color_range,
            )
            frame.pts = number if recipe.pts is None else recipe.pts[number]
            frame.time_base = recipe.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    """Keep only the first `share` of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Return where each video packet lies in the file, and its size."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]


def cut_in_packet(path: Path, number: int) -> Path:
    """Cut a file in the middle of a video packet."""
    position, size = packet_places(path)[number]
    path.write_bytes(path.read_bytes()[: position + size // 2])
    return path


def spoil_packets(path: Path, numbers: Sequence[int]) -> Path:
    """Overwrite whole packets of a video, so that the decoder fails on them."""
    places = packet_places(path)
    spoilt = bytearray(path.read_bytes())
    for number in numbers:
        position, size = places[number]
        spoilt[position : position + size] = b"\xff" * size
    path.write_bytes(spoilt)
    return path


def replace_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """Replace every occurrence of some bytes in a file by as many others."""
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def join(path: Path, parts: Sequence[Path]) -> Path:
    """Join files byte by byte, which MPEG transport streams survive."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def make_sound(path: Path, codec: str) -> Path:
    """Write half a second of sound, and nothing else."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        tone = (np.sin(np.arange(24_000) * 0.05) * 0.3).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 48_000
        frame.pts = 0
        resampled = av.AudioResampler(format=stream.format, frame_size=stream.codec_context.frame_size or 1024)
        for part in (*resampled.resample(frame), *resampled.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def make_wave(path: Path) -> Path:
    """Write a tenth of a second of silence as WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return path


def add_cover(path: Path) -> Path:
    """Put a cover picture in front of an MP3 file, as an ID3v2.3 tag with one attached picture."""
    done, jpeg = cv2.imencode(".jpg", draw(5, 64, 48))
    assert done
    body = b"\0image/jpeg\0\3\0" + jpeg.tobytes()
    tag = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    length = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + length + tag + path.read_bytes())
    return path
