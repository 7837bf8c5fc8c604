"""H.264 without delay as RTP packets (RFC 6184): the bytes to publish, and nothing of where they go."""

from __future__ import annotations

import base64
from fractions import Fraction

import av
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from streamer.canvas import Canvas
from streamer.sinks.encoders import SOFTWARE, Encoding, choose_encoder, encoder_options
from streamer.sinks.movie import KeyFrames, Timeline
from streamer.sinks.video_stream import ChosenEncoder, add_pictures, frame_of
from streamer.types import SourceInfo

_TICK_SECONDS = Fraction(1, 90_000)
# Fits an Ethernet frame with the headers of IP, TCP and the interleaving.
_PACKET_BYTES = 1400
_CONTROL_TYPES = range(200, 208)  # of RTCP (RFC 3550), in the place where RTP has marker and payload type
_SPS, _PPS = 7, 8
# One thread: with more, x264 cuts pictures into slices, which some servers repack wrongly. 3 ms at 720p, 8 at 1080p.
_MOST_PIXELS_A_THREAD = 1920 * 1088
# What keeps each encoder from holding pictures back.
_NO_DELAY = {
    SOFTWARE: {"tune": "zerolatency"},
    "h264_nvenc": {"tune": "ull", "zerolatency": "1", "delay": "0"},
    "h264_vaapi": {"async_depth": "1", "bf": "0"},
    "h264_videotoolbox": {"realtime": "1", "bf": "0"},
    "h264_qsv": {"async_depth": "1", "bf": "0", "low_delay_brc": "1"},
    "h264_amf": {"usage": "ultralowlatency", "bf": "0"},
}


class RtpStream:
    """Encodes pictures of one size; begins with a key frame, and has another at least every 2 s.

    Args:
        info: Of the source.
        first: The first picture, which sets size and colours.
        encoding: By what, and how well.

    Raises SinkError where the encoder does not take such pictures.
    """

    def __init__(self, info: SourceInfo, first: Canvas, encoding: Encoding) -> None:
        self.size = (first.width, first.height)
        self._packets: list[bytes] = []
        self._timeline, self._keys = Timeline(_TICK_SECONDS, 0), KeyFrames(_TICK_SECONDS)
        self._output = av.open(_Collector(self._packets), "w", format="rtp", buffer_size=_PACKET_BYTES)
        name = choose_encoder(encoding, self.size)
        options = {**encoder_options(name, encoding), **_NO_DELAY[name]}
        threads = 1 if first.width * first.height <= _MOST_PIXELS_A_THREAD else 2
        encoder = ChosenEncoder(name, options, threads if name == SOFTWARE else None)
        self._video = add_pictures(self._output, info, first, encoder, _TICK_SECONDS)
        self._parameter_sets: tuple[bytes, bytes] | None = None

    def add(self, pts_seconds: float, canvas: Canvas) -> list[bytes]:
        """Encode a picture; return its packets, RTP's and perhaps one of RTCP."""
        ticks = self._timeline.place(pts_seconds)
        frame = frame_of((canvas.y, canvas.u, canvas.v))
        frame.pts, frame.time_base = ticks, _TICK_SECONDS
        frame.pict_type = PictureType.I if self._keys.is_due(ticks) else PictureType.NONE
        for packet in self._video.encode(frame):
            self._take(packet)
        return self._taken()

    def close(self) -> list[bytes]:
        """Let go of the encoder; return the packets that end the stream."""
        self._output.close()
        return self._taken()

    def session_description(self, name: str) -> str | None:
        """Return the SDP (RFC 8866) of a session with this stream; None: the encoder has given nothing out yet."""
        if self._parameter_sets is None:
            return None
        sps, _ = self._parameter_sets
        sets = ",".join(base64.b64encode(one).decode() for one in self._parameter_sets)
        lines = (
            "v=0",
            "o=- 0 0 IN IP4 127.0.0.1",
            f"s={name}",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=tool:streamer",
            "m=video 0 RTP/AVP 96",
            "a=rtpmap:96 H264/90000",
            f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={sets}; profile-level-id={sps[1:4].hex().upper()}",
            "a=control:streamid=0",
        )
        return "\r\n".join(lines) + "\r\n"

    def _take(self, packet: Packet[VideoStream]) -> None:
        if self._parameter_sets is None:
            units = {unit[0] & 31: unit for unit in _nal_units(bytes(packet)) if unit}
            header = self._video.codec_context.extradata or b""
            units |= {unit[0] & 31: unit for unit in _nal_units(header) if unit and unit[0] & 31 not in units}
            if _SPS in units and _PPS in units:
                self._parameter_sets = units[_SPS], units[_PPS]
        self._output.mux(packet)

    def _taken(self) -> list[bytes]:
        packets = self._packets[:]
        self._packets.clear()
        return packets


class _Collector:
    """What FFmpeg's RTP muxer writes to: each packet in one call."""

    def __init__(self, packets: list[bytes]) -> None:
        self._packets = packets

    def write(self, packet: bytes) -> int:
        self._packets.append(bytes(packet))
        return len(packet)


def is_control(packet: bytes) -> bool:
    """Tell whether a packet is RTCP's."""
    return len(packet) > 1 and packet[1] in _CONTROL_TYPES


def _nal_units(stream: bytes) -> list[bytes]:
    """Split a byte stream at its start codes (ITU-T H.264, annex B)."""
    return [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]
