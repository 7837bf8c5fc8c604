"""Opens video files by FFmpeg and says in one sentence why one cannot be opened; knows when a file has been cut off."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamer.devices import probe_cpus
from streamer.errors import SourceOpenError, printable

# Probing reads a few MB; a file system that takes longer than this for one step has gone away.
_TIMEOUT_SECONDS = 30
_HEAD_BYTES = 4096
# After so many failures to read without a packet in between, what comes next is not going to be read either.
_MAX_READ_FAILURES = 8
# FFmpeg would start one more than there are CPUs, up to 17, each with pictures of its own in memory; four are ahead of
# any net.
_LEAST_THREADS, _MOST_THREADS = 2, 4
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
# What names other files to read, or addresses.
_PLAY_LISTS = ("hls", "concat", "dash", "sdp", "imf")
# Art drawn in letters, which FFmpeg shows as video: a text file that was given by mistake.
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")


class VideoFile:
    """An open video file: its container and the stream to read.

    Args:
        path: The file.

    Attributes:
        container: Open; `close` it.
        stream: The best video stream, its decoder threaded.
        skipped: Packets so far that could not be decoded.
        is_cut: The end of the file ran through a packet.
        fault: Why reading stopped before the end of the file; None: it did not.

    Raises SourceOpenError: one sentence, naming the file, with nothing left open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped = 0
        self.is_cut = False
        self.fault: str | None = None
        self._head, self._size = _read_head(path)
        self.container = self._open()
        try:
            self.stream = self._pick_stream()
            self.stream.thread_type = "AUTO"
            self.stream.codec_context.thread_count = max(_LEAST_THREADS, min(probe_cpus().usable, _MOST_THREADS))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self.container.close()

    def frames(self) -> Iterator[VideoFrame]:
        """Yield every frame that can be decoded, in presentation order, from where the file stands to its end."""
        for packet in self._packets():
            # FFmpeg fails on a cut packet, and PyAV then loses the good frames that the decoder still holds.
            if self._is_last_and_cut(packet):
                self.skipped += 1
                self.is_cut = True
            else:
                yield from self._decode(packet)
        yield from self._decode(None)

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        failures = 0
        while failures < _MAX_READ_FAILURES:
            try:
                for packet in self.container.demux(self.stream):
                    failures = 0
                    # An empty one would tell the decoder that the end has come.
                    if packet.size:
                        yield packet
                return
            except av.FFmpegError as error:
                failures += 1
                reason = error.strerror
            except IndexError:  # PyAV, where a damaged table announces a stream that was not there before
                failures += 1
                reason = "its table of streams is damaged"
        self.fault = reason

    def _decode(self, packet: av.Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            return self.stream.decode(packet)
        except av.FFmpegError:
            self.skipped += 1
            return []

    def is_short_of_bytes(self) -> bool:
        """Return whether the container declares more bytes than the file has; False where it declares nothing."""
        if self._is_mp4():
            index = self.stream.index_entries
            return len(index) > 0 and index[-1].pos + index[-1].size > self._size
        declared = _riff_bytes(self._head) or _matroska_bytes(self._head)
        return declared is not None and declared > self._size

    def declared_frames(self) -> int | None:
        """Return how many frames the container says that it holds."""
        return (len(self.stream.index_entries) if self._is_mp4() else self.stream.frames) or None

    def declared_seconds(self) -> float | None:
        """Return how long the container says that it plays."""
        stream, container = self.stream, self.container
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return container.duration / av.time_base if container.duration else None

    def _is_last_and_cut(self, packet: av.Packet[VideoStream]) -> bool:
        """Return whether the end of the file runs through the packet."""
        # The slack is for what a container writes between a packet's head, where `pos` points, and its payload.
        return packet.is_corrupt and packet.pos is not None and packet.pos + packet.size + 64 >= self._size

    def _is_mp4(self) -> bool:
        return "mp4" in self.container.format.name

    def _open(self) -> InputContainer:
        # FFmpeg would print lines of its own to stderr, among them for every damaged packet.
        av.logging.set_level(None)
        try:
            # An absolute path, or FFmpeg takes "a:b.mp4" for a protocol "a"; local files only, because a play list
            # in disguise may name addresses to fetch.
            return av.open(
                str(self._path.absolute()),
                options={"protocol_whitelist": "file"},
                timeout=(_TIMEOUT_SECONDS, _TIMEOUT_SECONDS),
                metadata_errors="replace",
            )
        except av.FFmpegError as error:
            name = printable(self._path)
            if self._head[4:8] in _MP4_BOXES:
                raise SourceOpenError(
                    f"{name} is cut off or was never finished: its index (moov) is missing or damaged; "
                    "copy or record it again"
                ) from error
            raise SourceOpenError(f"{name} is not a video that can be read, or it is damaged") from error

    def _pick_stream(self) -> VideoStream:
        name = printable(self._path)
        if self.container.format.name in _PLAY_LISTS:
            raise SourceOpenError(f"{name} is a play list, not a video; give the video itself")
        streams = self.container.streams
        # The cover picture of a song is a video stream to FFmpeg.
        videos = [stream for stream in streams.video if not stream.disposition & Disposition.attached_pic]
        if not videos:
            what = "only sound" if streams.audio else "no picture"
            raise SourceOpenError(f"{name} is not a video: it holds {what}")
        best = streams.best("video")
        stream = next((stream for stream in videos if best is not None and stream.index == best.index), videos[0])
        codec = _codec_name(stream.codec_context)
        if codec is None:
            raise SourceOpenError(f"{name} is coded in a way that FFmpeg cannot decode; convert it to H.264 first")
        if codec in _TEXT_CODECS:
            raise SourceOpenError(f"{name} is a text file, not a video")
        return stream


def _codec_name(context: VideoCodecContext | None) -> str | None:
    """Return the decoder's name; PyAV gives no context where FFmpeg has no decoder."""
    return None if context is None else context.name


def _read_head(path: Path) -> tuple[bytes, int]:
    """Return the file's first bytes and its size, or raise SourceOpenError where they rule out a video."""
    name = printable(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceOpenError(f"{name} is a folder, not a video file; give the file inside it")
        if not stat.S_ISREG(mode):
            # Opening a named pipe would wait for ever for somebody to write to it.
            raise SourceOpenError(f"{name} is not a regular file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise SourceOpenError(f"{name} does not exist") from error
    except PermissionError as error:
        raise SourceOpenError(f"{name} may not be read: permission denied") from error
    except OSError as error:
        raise SourceOpenError(f"{name} cannot be read: {error.strerror}") from error
    if not head:
        raise SourceOpenError(f"{name} is empty")
    if _is_text(head):
        raise SourceOpenError(f"{name} is a text file, not a video")
    return head, size


def _is_text(head: bytes) -> bool:
    try:
        # Incremental, because the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() or character in "\ufeff\x1b" for character in text)


def _riff_bytes(head: bytes) -> int | None:
    """Return how long the first RIFF chunk of an AVI file says it is, header included."""
    declared = int.from_bytes(head[4:8], "little")
    return declared + 8 if head[:4] == b"RIFF" and declared else None


def _matroska_bytes(head: bytes) -> int | None:
    """Return how long a Matroska or WebM file says it is (RFC 8794: id and size of variable length, then the body)."""
    if head[:4] != b"\x1a\x45\xdf\xa3":
        return None
    header_end = _element_end(head, 4)
    if header_end is None or head[header_end : header_end + 4] != b"\x18\x53\x80\x67":
        return None
    return _element_end(head, header_end + 4)


def _element_end(head: bytes, at: int) -> int | None:
    """Return where the element ends whose size field is at `at`; None: it does not say, as in a live recording."""
    if at >= len(head) or not head[at]:
        return None
    length = 9 - head[at].bit_length()
    unknown = (1 << 7 * length) - 1
    size = int.from_bytes(head[at : at + length], "big") & unknown
    return None if size == unknown else at + length + size
