"""The sound of a video file, for its annotated copy: packets unchanged where the container can hold them, else AAC.

Packets are read only as the video's time advances, so memory does not grow with the file. This module never writes;
and sound that cannot be read costs one warning, not the video.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 30.0  # for opening and for each read, as a file on a dead network drive never answers

AudioPacket: TypeAlias = "Packet[AudioStream]"

# What players read from each container, not merely what the format allows: FFmpeg would put PCM and Vorbis into MP4.
_COPIED = {
    "mp4": frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"}),
    "mov": frozenset({"aac", "ac3", "alac", "eac3", "mp3", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le"}),
    "matroska": frozenset(
        {"aac", "ac3", "alac", "dts", "eac3", "flac", "mp2", "mp3", "opus", "pcm_s16le", "pcm_s24le", "vorbis"}
    ),
}
_AAC_FRAME_SAMPLES = 1024
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})


def open_audio(path: Path, output: OutputContainer, origin_seconds: Fraction) -> AudioTrack | None:
    """Add the first audio stream of `path` to `output`.

    Args:
        path: The file that the video comes from.
        output: Where the packets will go; nothing may have been written to it.
        origin_seconds: Time in `path`, from its video stream's start, that is 0 in `output`. Where it is above 0, sound
            before it is left out; at 0, sound that begins before the first picture is kept for the player to cut.

    Returns:
        The track, or None where there is no sound, or none that can be read (which is logged).
    """
    try:
        # As the pictures' source does: absolute, or "a:b.mp4" were a protocol "a"; local files only.
        source = av.open(
            str(path.absolute()),
            options={"protocol_whitelist": "file"},
            timeout=_TIMEOUT_SECONDS,
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as error:
        _warn(path, error)
        return None
    if source.streams.audio:
        stream = source.streams.audio[0]
        if stream.rate > 0 and stream.channels > 0:
            return AudioTrack(source, stream, output, origin_seconds)
        _log.warning("the sound of %s is left out: its format is not known", path)
    source.close()
    return None


def _warn(path: str | Path, error: av.FFmpegError | OSError | ValueError) -> None:
    _log.warning("the sound of %s is left out from here on: %s", path, getattr(error, "strerror", None) or error)


class AudioTrack:
    """Hands out a file's sound in the output's time, packet by packet.

    Args:
        source: The file, opened for this alone; closed with the track.
        stream: Its audio stream.
        output: Where the packets will go.
        origin_seconds: See `open_audio`.
    """

    def __init__(
        self, source: InputContainer, stream: AudioStream, output: OutputContainer, origin_seconds: Fraction
    ) -> None:
        self._source, self._origin_seconds = source, origin_seconds
        video = source.streams.best("video")
        start = (video.start_time or 0) * (video.time_base or 0) if video is not None else 0
        self._shift_seconds = start + origin_seconds
        # Matroska has no edit lists: sound before 0 would push all else back, and the pictures' times with it.
        self._has_to_begin_at_zero = origin_seconds > 0 or output.format.name == "matroska"
        for other in source.streams:
            other.discard = Discard.default if other.index == stream.index else Discard.all
        if origin_seconds > 0:
            self._seek(stream)
        self._packets = source.demux(stream)
        self._waiting: AudioPacket | None = None
        self._last_dts: int | None = None
        self._has_warned = False
        self._encoder: AacEncoder | None = None
        self._unwrap: BitStreamFilterContext | None = None
        codec = stream.codec_context.codec.canonical_name
        if codec in _COPIED[output.format.name]:
            self._out = output.add_stream_from_template(stream)
            if codec == "aac" and not stream.codec_context.extradata:
                # From MPEG-TS: every packet has an ADTS header. FFmpeg would strip it by itself, but not in fragments.
                self._unwrap = BitStreamFilterContext("aac_adtstoasc", stream)
        else:
            self._encoder = AacEncoder(stream, output)
            self._out = self._encoder.stream

    def _seek(self, stream: AudioStream) -> None:
        assert stream.time_base is not None
        try:
            self._source.seek(math.floor(self._shift_seconds / stream.time_base), stream=stream)
        except (av.FFmpegError, OSError) as error:
            # Reading from the beginning comes to the same, only later.
            _log.debug("cannot seek in the sound of %s: %s", self._source.name, error)

    def until(self, seconds: float) -> Iterator[AudioPacket]:
        """Yield, in order, the packets not yet handed out that begin before `seconds` of output time."""
        while (packet := self._waiting or self._read()) is not None:
            assert packet.pts is not None
            if packet.pts * packet.time_base >= seconds:
                self._waiting = packet
                return
            self._waiting = None
            yield from self._converted(packet)

    def finish(self, seconds: float) -> Iterator[AudioPacket]:
        """Yield the rest up to `seconds`, and what an encoder still holds."""
        yield from self.until(seconds)
        if self._encoder is not None:
            yield from self._encoder.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _read(self) -> AudioPacket | None:
        """Return the next packet at or after the origin, in output time; None at the end, or where reading fails."""
        try:
            for packet in self._packets:
                if packet.size and (packet.pts is not None or packet.dts is not None) and self._shift(packet):
                    return packet
        except (av.FFmpegError, OSError) as error:
            self._warn_once(error)
            self._packets = iter(())
        return None

    def _shift(self, packet: AudioPacket) -> bool:
        """Count `packet` from the output's 0, strictly onward; False: it begins before all that is wanted."""
        pts = packet.pts if packet.pts is not None else packet.dts
        assert pts is not None
        dts = (packet.dts if packet.dts is not None else pts) - round(self._shift_seconds / packet.time_base)
        packet.pts = pts - round(self._shift_seconds / packet.time_base)
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + 1)
        packet.dts, packet.pts = dts, max(packet.pts, dts)
        if self._has_to_begin_at_zero and packet.pts < 0:
            return False
        self._last_dts = dts
        return True

    def _converted(self, packet: AudioPacket) -> Iterable[AudioPacket]:
        try:
            if self._encoder is not None:
                return self._encoder.encode(packet)
            copies = [packet] if self._unwrap is None else self._unwrap.filter(packet)
        except (av.FFmpegError, ValueError) as error:
            self._warn_once(error)
            return ()
        for copy in copies:
            copy.stream = self._out
        return copies

    def _warn_once(self, error: av.FFmpegError | OSError | ValueError) -> None:
        if not self._has_warned:
            _warn(self._source.name, error)
        self._has_warned = True


class AacEncoder:
    """Decodes sound that the container cannot hold and encodes it as AAC, mono or (mixed down to) stereo.

    Args:
        source: The stream to decode.
        output: Where the packets will go; gets one more stream.
    """

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        layout = "mono" if source.channels == 1 else "stereo"
        rate = source.rate if source.rate in _AAC_RATES else 48_000
        self.stream = output.add_stream("aac", rate=rate)
        self.stream.codec_context.layout = layout
        self._resampler = av.AudioResampler("fltp", layout, rate, _AAC_FRAME_SAMPLES)

    def encode(self, packet: AudioPacket) -> list[AudioPacket]:
        """Return what `packet`, whose times count as they stand, comes to; often nothing yet."""
        return [
            encoded
            for frame in packet.decode()
            for piece in self._resampler.resample(frame)
            for encoded in self.stream.encode(piece)
        ]

    def flush(self) -> list[AudioPacket]:
        """Return what is left at the end."""
        pieces = self._resampler.resample(None)
        return [encoded for piece in (*pieces, None) for encoded in self.stream.encode(piece)]
