"""What goes over an RTSP connection (RFC 2326): requests and answers as bytes, and RTP packets between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamer.errors import StreamerError

_INTERLEAVED = 0x24  # "$"
_MOST_BYTES = 1 << 17


class WireError(StreamerError):
    """What came is not RTSP."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer from the server.

    Attributes:
        status: Of an answer; None: it is a request.
        reason: What the server says to the status.
        headers: Their names in lower case; several of one name one after the other.
    """

    status: int | None
    reason: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the headers of a name."""
        return [value for own, value in self.headers if own == name]


class Reader:
    """Takes bytes as they come and gives out messages; RTP and RTCP from the server are passed over."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, received: bytes) -> Iterator[Message]:
        """Yield the messages that are complete now. Raises WireError."""
        self._bytes += received
        while self._bytes:
            if self._bytes[0] == _INTERLEAVED:
                if len(self._bytes) < 4 or len(self._bytes) < self._packet_end():
                    return
                del self._bytes[: self._packet_end()]
                continue
            message = self._message()
            if message is None:
                return
            yield message

    def _packet_end(self) -> int:
        return 4 + int.from_bytes(self._bytes[2:4], "big")

    def _message(self) -> Message | None:
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            self._check_start()
            return None
        first, *lines = self._bytes[:end].decode("utf-8", "replace").lstrip("\r\n").split("\r\n")
        headers = tuple(
            (name.strip().lower(), value.strip()) for name, _, value in (one.partition(":") for one in lines)
        )
        length = next((value for name, value in headers if name == "content-length"), "0")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            raise WireError("the answer is not RTSP")
        if len(self._bytes) < end + 4 + int(length):
            return None
        del self._bytes[: end + 4 + int(length)]
        words = first.split(" ", 2)
        if words[0].startswith("RTSP/") and len(words) > 1 and words[1].isdecimal():
            return Message(int(words[1]), words[2] if len(words) > 2 else "", headers)
        if len(words) == 3 and words[2].startswith("RTSP/"):
            return Message(None, words[0], headers)
        raise WireError("the answer is not RTSP")

    def _check_start(self) -> None:
        """Raise WireError where no message can come of what is there."""
        start = bytes(self._bytes[:64]).lstrip(b"\r\n")
        if len(self._bytes) > _MOST_BYTES or not all(32 <= one < 127 or one in b"\r\n\t" for one in start):
            raise WireError("the answer is not RTSP")


def request(method: str, uri: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {uri} RTSP/1.0", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def answer(message: Message) -> bytes:
    """Return that all is well, to a server's request."""
    return f"RTSP/1.0 200 OK\r\nCSeq: {next(iter(message.values('cseq')), '0')}\r\n\r\n".encode()


def interleaved(channel: int, packet: bytes) -> bytes:
    """Return an RTP or RTCP packet as it stands between requests."""
    return bytes((_INTERLEAVED, channel)) + len(packet).to_bytes(2, "big") + packet
