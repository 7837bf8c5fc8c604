"""One connection to a network stream by FFmpeg (PyAV): opened fast, decoded without delay, bounded in every wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamer.addresses import Address
from streamer.errors import SourceOpenError
from streamer.sources.stream_damage import Damage
from streamer.sources.stream_faults import open_error, reason

Transport = Literal["tcp", "udp"]

# An RTSP server describes its streams before it sends them, so there is nothing to probe for: 0.05 s in place of 1.1 s.
_FAST = {"probesize": "32", "analyzeduration": "0", "fflags": "nobuffer"}
# Streams from a network may name others, but no files of this machine.
_PROTOCOLS = (
    "rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,ffrtmphttp,ffrtmpcrypt,"
    "srt,mmsh,mmst"
)
# Cameras that save bits send a key frame every ten seconds, and nothing can be decoded before the first.
_FIRST_PICTURE_SECONDS = 15.0
_OWN_TIME_BASE = Fraction(1, 90_000)
_NO_TIMESTAMPS = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS, a flag of a format
_WAITED_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How streams are opened and read.

    Attributes:
        transport: What RTSP sends pictures over; UDP may lose some.
        open_timeout_seconds: For each of the two steps of opening: connecting, and finding out what is sent.
        read_timeout_seconds: Without a packet for so long, the peer is gone.
    """

    transport: Transport = "tcp"
    open_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 3.0

    def __post_init__(self) -> None:
        for name in ("open_timeout_seconds", "read_timeout_seconds"):
            if not 0 < getattr(self, name) <= 3600:
                raise ValueError(f"{name} must lie above 0 and at most at 3600, not at {getattr(self, name)}")


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A frame from the decoder.

    Attributes:
        frame: What it shows.
        stamps: Its presentation and decoding stamps in ticks of the connection, those of its arrival where it has none.
        arrived_at: `time.monotonic()` when its packet was taken from the network.
        had_waited: The packet was there already when it was asked for.
    """

    frame: VideoFrame
    stamps: tuple[int | None, int | None]
    arrived_at: float
    had_waited: bool


class StreamConnection:
    """An open stream. Only one thread may use it.

    Args:
        address: Of the stream.
        settings: Transport and time-outs.

    Attributes:
        stream: The video stream.
        skipped: Packets and pictures so far that were damaged, or made from damaged ones.
        fault: Why `pictures` ended.
        keys_only: Decode nothing but key frames, from which decoding may go on whole later: for who is far behind.

    Raises SourceOpenError in one sentence, without credentials and with nothing left open, at the latest after twice
    the open time-out; FFmpeg cannot be woken before. Looking up a host's name may take the system longer.
    """

    def __init__(self, address: Address, settings: StreamSettings) -> None:
        self._address, self._settings = address, settings
        self.skipped = 0
        self.fault = ""
        self._damage = Damage(may_lose=self._is_rtsp and settings.transport == "udp")
        self.keys_only = False
        av.logging.set_level(None)  # FFmpeg would print lines to stderr, with the address in them
        self._container, self.stream = self._opened()
        self.stream.thread_type = "SLICE"  # frame threads hold a frame back for each
        self.stream.codec_context.thread_count = 1  # with more, FFmpeg does not say which frames are damaged
        self.stream.codec_context.copy_opaque = True

    def close(self) -> None:
        """Close the connection; may be called more than once."""
        self._container.close()

    @property
    def description(self) -> str:
        """Say what is received: `1280×720, 25 fps, h264 over tcp`."""
        context, rate = self.stream.codec_context, self.declared_fps
        parts = [f"{context.width}×{context.height}", *([f"{rate:g} fps"] if rate else []), context.name]
        return ", ".join(parts) + (f" over {self._settings.transport}" if self._is_rtsp else "")

    @property
    def declared_fps(self) -> float | None:
        """Frames a second, where the stream says it credibly."""
        rates = (self.stream.average_rate, self.stream.guessed_rate, self.stream.codec_context.framerate)
        # FFmpeg calls 90000 the rate of a stream that it knows nothing of.
        return next((round(float(rate), 3) for rate in rates if rate and 0.1 <= rate <= 480), None)

    def pictures(self) -> Iterator[Decoded]:
        """Yield what is decoded until the stream ends, breaks or falls silent; `fault` then says which."""
        deadline: float | None = time.monotonic() + _FIRST_PICTURE_SECONDS
        for packet, arrived_at, had_waited in self._packets():
            if self.keys_only and not packet.is_keyframe:
                continue
            packet.opaque = arrival = (arrived_at, had_waited)
            for frame in self._decode(packet):
                deadline = None
                # Where frames are reordered, one comes out after later packets than its own.
                came, had_waited = frame.opaque if isinstance(frame.opaque, tuple) else arrival
                yield Decoded(frame, self._stamps(frame, came), came, had_waited)
            if deadline is not None and time.monotonic() > deadline:
                self.fault = f"no picture could be decoded in {_FIRST_PICTURE_SECONDS:g} s"
                return

    @property
    def time_base(self) -> Fraction:
        """Seconds a tick of the stamps."""
        return _OWN_TIME_BASE if self._is_unstamped else self.stream.time_base or _OWN_TIME_BASE

    @property
    def _is_unstamped(self) -> bool:
        """Pictures come one after the other, as many cameras send JPEGs; FFmpeg would make 25 a second of them."""
        return bool(self._container.format.flags & _NO_TIMESTAMPS)

    def _stamps(self, frame: VideoFrame, arrived_at: float) -> tuple[int | None, int | None]:
        if not self._is_unstamped:
            return frame.pts, frame.dts
        ticks = round(arrived_at / _OWN_TIME_BASE)
        return ticks, ticks

    def _packets(self) -> Iterator[tuple[av.Packet[VideoStream], float, bool]]:
        """Yield packets with when they arrived, and whether they had waited."""
        asked_at = time.monotonic()
        timeout = self._settings.read_timeout_seconds
        failure = None
        try:
            for packet in self._container.demux(self.stream):
                arrived_at = time.monotonic()
                # An empty one only says that the end has come.
                if packet.size:
                    yield packet, arrived_at, arrived_at - asked_at < _WAITED_SECONDS
                if arrived_at - asked_at >= timeout:
                    break  # it has elapsed, and what came is what the parser still held; FFmpeg would wait once more
                asked_at = time.monotonic()
        except av.FFmpegError as error:
            failure = reason(error)
        except (IndexError, ValueError):  # PyAV, where a stream appears that was not there before
            failure = "its streams have changed"
        if time.monotonic() - asked_at >= timeout:
            failure = f"nothing came for {timeout:g} s"
        self.fault = failure or "the server ended the stream"

    def _decode(self, packet: av.Packet[VideoStream]) -> list[VideoFrame]:
        self._damage.note_packet(packet.dts)
        try:
            frames = self.stream.decode(packet)
        except av.FFmpegError:
            self._damage.note_damage()
            self.skipped += 1
            return []
        good = [frame for frame in frames if self._damage.is_whole(frame)]
        self.skipped += len(frames) - len(good)
        return good

    @property
    def _is_rtsp(self) -> bool:
        return self._address.scheme in ("rtsp", "rtsps")

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._is_rtsp:
            opened = self._open(_FAST)
            if opened[1].codec_context.width > 0:
                return opened
            opened[0].close()
        return self._open({})

    def _open(self, probing: dict[str, str]) -> tuple[InputContainer, VideoStream]:
        settings = self._settings
        options = {"flags": "low_delay", "protocol_whitelist": _PROTOCOLS, **probing}
        if self._is_rtsp:
            options |= {"rtsp_transport": settings.transport, "allowed_media_types": "video"}
        timeout = (settings.open_timeout_seconds, settings.read_timeout_seconds)
        problem: SourceOpenError | None = None
        container: InputContainer | None = None
        began_at = time.monotonic()
        try:
            container = av.open(self._address.reveal(), options=options, timeout=timeout, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            is_timed_out = time.monotonic() - began_at >= settings.open_timeout_seconds
            problem = open_error(self._address, error, settings.open_timeout_seconds if is_timed_out else None)
        if container is None:
            # Outside the handler, whose error holds the password.
            raise problem or SourceOpenError(f"{self._address} cannot be opened")
        stream = container.streams.best("video")
        if isinstance(stream, VideoStream) and _has_decoder(stream):
            return container, stream
        has_sound = bool(container.streams.audio)
        container.close()
        what = "only sound" if has_sound else "no picture that can be decoded"
        raise SourceOpenError(f"{self._address} cannot be used: it holds {what}")


def _has_decoder(stream: VideoStream) -> bool:
    context: object = stream.codec_context  # None, whatever PyAV's types say, where FFmpeg has no decoder
    return context is not None
