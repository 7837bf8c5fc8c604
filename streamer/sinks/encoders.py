"""Which H.264 encoder writes the video: x264, or the machine's hardware where it is proved to work.

That an encoder is compiled into FFmpeg does not mean that its hardware and driver are there, and those that are refuse
some picture sizes: so each is tried on a few pictures, with the options and in the size that it will get.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, get_args

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from streamer.errors import SinkError, UsageError

_log = logging.getLogger(__name__)

EncoderName = Literal["auto", "libx264", "h264_nvenc", "h264_vaapi", "h264_videotoolbox", "h264_qsv", "h264_amf"]
_NAMES: tuple[str, ...] = get_args(EncoderName)
SOFTWARE = "libx264"
# In the order in which `auto` tries them.
HARDWARE = _NAMES[2:]

_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# One a preset of x264: how the others call as much patience.
_NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p4", "p5", "p6", "p7", "p7")
_QSV_PRESETS = ("veryfast", "veryfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_AMF_QUALITIES = ("speed",) * 3 + ("balanced",) * 3 + ("quality",) * 3
# Those that take their pictures from their own memory only, and those that want chroma interleaved.
_DEVICES: Mapping[str, str] = MappingProxyType({"h264_vaapi": "vaapi"})
_INTERLEAVED = ("h264_vaapi", "h264_qsv")
_LAMBDA = 118  # FFmpeg's FF_QP2LAMBDA: a quality that goes by lambda is so many times the one users give
_TRIED_PICTURES = 3
_USUAL_SIZE = (640, 360)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded.

    The default leaves the processor to the nets, which share it. Street video, 4 s of 1080p, two cores, crf 23:
    ultrafast 7 ms of processor time a frame, 5.5 MB, 42.0 dB; superfast 14 ms, 2.3 MB, 43.5 dB; veryfast 24 ms, 1.6 MB,
    42.3 dB. The whole of `process` runs at 29 fps with ultrafast, at 25 with superfast.

    Attributes:
        preset: x264's name for how long it searches; hardware gets its own nearest.
        crf: x264's quality, 0 (lossless) to 51; 6 more is about half the size. Hardware gets its own nearest.
        threads: Threads of x264; 0: one a CPU.
        encoder: What encodes; auto: the first hardware that works, else libx264.
    """

    preset: str = "ultrafast"
    crf: int = 23
    threads: int = 0
    encoder: str = SOFTWARE

    def __post_init__(self) -> None:
        if self.preset not in _PRESETS:
            raise ValueError(f"preset must be one of {', '.join(_PRESETS)}, not {self.preset!r}")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf must lie in 0..51, not {self.crf}")
        if self.threads < 0:
            raise ValueError(f"threads must be at least 0, not {self.threads}")
        if self.encoder not in _NAMES:
            raise ValueError(f"encoder must be one of {', '.join(_NAMES)}, not {self.encoder!r}")


def encoder_options(encoder: str, encoding: Encoding) -> dict[str, str]:
    """Return FFmpeg's options by which an encoder comes nearest to x264's preset and constant quality.

    Hardware has no lossless mode that every player reads, so its best quantiser, 1, stands for crf 0. Each must make a
    picture that is to be a key frame one that a player can start at (IDR).
    """
    rank, quantiser = _PRESETS.index(encoding.preset), str(max(encoding.crf, 1))
    match encoder:
        case "h264_nvenc":
            return {"preset": _NVENC_PRESETS[rank], "rc": "vbr", "cq": quantiser, "b": "0", "forced-idr": "1"}
        case "h264_vaapi":
            return {"rc_mode": "CQP", "qp": quantiser}
        case "h264_videotoolbox":
            # Quality from 1 to 100, of which 65 looks like crf 23.
            quality = round(100 - 1.5 * encoding.crf)
            return {"flags": "+qscale", "global_quality": str(quality * _LAMBDA)}
        case "h264_qsv":
            return {"preset": _QSV_PRESETS[rank], "global_quality": quantiser, "forced_idr": "1"}
        case "h264_amf":
            levels = dict.fromkeys(("qp_i", "qp_p", "qp_b"), quantiser)
            return {"rc": "cqp", "quality": _AMF_QUALITIES[rank], "forced_idr": "1", **levels}
    return {"preset": encoding.preset, "crf": str(encoding.crf)}


def pixel_format(encoder: str) -> str:
    """Return FFmpeg's name of the pixels that an encoder takes; PyAV converts where that is not yuv420p."""
    return "nv12" if encoder in _INTERLEAVED else "yuv420p"


def hardware_memory(encoder: str) -> HWAccel | None:
    """Return the device into whose memory pictures must be copied; None: the encoder takes them as they are."""
    return HWAccel(_DEVICES[encoder]) if encoder in _DEVICES else None


@lru_cache(maxsize=64)
def encoder_problem(encoder: str, encoding: Encoding, size: tuple[int, int] = _USUAL_SIZE) -> str | None:
    """Encode a few pictures and say why that failed; None: it works. Each question is put to the machine once.

    Args:
        encoder: FFmpeg's name.
        encoding: Preset and quality.
        size: Width and height of the pictures, px, even.
    """
    av.logging.set_level(None)  # FFmpeg would print to stderr what it misses
    try:
        packets = _try(encoder, encoding, size)
    except UnknownCodecError:
        return "this build of PyAV and FFmpeg does not have it"
    except (av.FFmpegError, OSError, RuntimeError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        return f"its hardware or driver is not there or refuses ({reason})"
    return None if packets == _TRIED_PICTURES else "it loses pictures"


def _try(encoder: str, encoding: Encoding, size: tuple[int, int]) -> int:
    """Encode pictures of even grey; return how many came out."""
    codec = av.CodecContext.create(encoder, "w", hardware_memory(encoder))
    assert isinstance(codec, VideoCodecContext)
    (codec.width, codec.height), codec.pix_fmt = size, pixel_format(encoder)
    codec.time_base = Fraction(1, 25)
    codec.options = encoder_options(encoder, encoding)
    grey = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
    packets = []
    for ticks in range(_TRIED_PICTURES):
        frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
        frame.pts, frame.time_base = ticks, codec.time_base
        packets += codec.encode(frame)
    return sum(packet.size > 0 for packet in [*packets, *codec.encode(None)])


def check_encoder(encoding: Encoding) -> None:
    """Raise UsageError where an encoder is asked for by name that does not work on this machine."""
    if encoding.encoder not in ("auto", SOFTWARE):
        problem = encoder_problem(encoding.encoder, encoding)
        if problem is not None:
            raise UsageError(_refusal(encoding.encoder, problem))


def choose_encoder(encoding: Encoding, size: tuple[int, int]) -> str:
    """Return the name of what encodes pictures of `size` (width and height, px, even).

    Raises:
        SinkError: The encoder asked for does not take such pictures.
    """
    if encoding.encoder == SOFTWARE:
        return SOFTWARE
    if encoding.encoder != "auto":
        problem = encoder_problem(encoding.encoder, encoding, size)
        if problem is not None:
            raise SinkError(f"pictures of {size[0]} × {size[1]}: {_refusal(encoding.encoder, problem)}")
        return encoding.encoder
    for encoder in HARDWARE:
        problem = encoder_problem(encoder, encoding, size)
        if problem is None:
            _log.info("the video is encoded by %s", encoder)
            return encoder
        _log.debug("encoder %s: %s", encoder, problem)
    return SOFTWARE


def _refusal(encoder: str, problem: str) -> str:
    return f"encoder {encoder}: {problem}; use auto (--encoder, sinks.encoder), which takes what works here"
