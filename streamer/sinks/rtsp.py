"""Publishes the annotated picture on an RTSP server: H.264 without delay, over TCP.

The server may be absent, die, or stop reading at any time: `write` never waits for it for longer than a moment, leaves
pictures out while it cannot take them, and connects again. What it takes to know that in time is in
rtsp_publication.py.
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass

import av

from streamer.addresses import Address
from streamer.canvas import Canvas
from streamer.errors import SinkError, UsageError
from streamer.interrupts import BackOff
from streamer.sinks.encoders import Encoding, choose_encoder
from streamer.sinks.rtp import RtpStream
from streamer.sinks.rtsp_publication import Publication, PublicationError
from streamer.types import Ending, FrameResult, SourceInfo

_LOG = logging.getLogger(__name__)

_PORT = 554
_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS = 0.2, 2.0
# How long one picture may keep its thread waiting for the network.
_MOMENT_SECONDS = 0.02
_DEFAULT_ENCODING = Encoding()


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """How publishing stands.

    Attributes:
        is_connected: The server takes pictures.
        since: Monotonic seconds at which that began to be so.
        sent: Pictures so far that were handed to the connection.
        not_sent: Pictures so far that were left out, since the server was away or too slow.
        detail: Why it is not connected; empty while it is.
    """

    is_connected: bool
    since: float
    sent: int
    not_sent: int
    detail: str


class RtspSink:
    """Publishes drawn frames by RTSP, for as long as the run lasts; network trouble never ends it.

    A picture of another size begins a new session, in that size. One thread uses it; `status` and `problem` may be
    asked from any.

    Args:
        address: rtsp://…, where the server takes published streams; its credentials appear nowhere.
        encoding: How pictures are encoded, and by what.

    Raises:
        UsageError: The address is not RTSP's, or names no host.
    """

    needs_canvas = True

    def __init__(self, address: Address, *, encoding: Encoding = _DEFAULT_ENCODING) -> None:
        if address.scheme != "rtsp":
            raise UsageError(f"{address} is not an address to publish at: it must begin with rtsp://")
        self._address, self._encoding = address, encoding
        self._info: SourceInfo | None = None
        self._stream: RtpStream | None = None
        self._publication: Publication | None = None
        # Packets of the pictures encoded before the server was ready, and how many pictures.
        self._held: list[bytes] = []
        self._held_pictures = 0
        self._back_off = BackOff(_FIRST_WAIT_SECONDS, _MOST_WAIT_SECONDS)
        self._next_attempt_at = 0.0
        self._attempts = self._written = self._sent = 0
        self._is_connected, self._since, self._detail = False, time.monotonic(), "connecting"

    @property
    def status(self) -> PublishStatus:
        """How publishing stands now."""
        not_sent = self._written - self._sent - self._held_pictures
        return PublishStatus(self._is_connected, self._since, self._sent, not_sent, self._detail)

    @property
    def problem(self) -> str | None:
        """What users should know: why nothing is published and since when; None: it is."""
        if self._is_connected:
            return None
        seconds = time.monotonic() - self._since
        return (
            f"{self._address}: {self._detail}; nothing sent for {seconds:.0f} s ({self.status.not_sent} pictures lost)"
        )

    def open(self, info: SourceInfo) -> None:
        """Try the encoder; the server need not be there yet. Raises SinkError."""
        self._info = info
        choose_encoder(self._encoding, ((info.width + 1) // 2 * 2, (info.height + 1) // 2 * 2))
        self._since = time.monotonic()

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Publish one drawn frame, or leave it out and count it. Raises SinkError where it cannot be encoded."""
        if self._info is None:
            raise SinkError(f"cannot publish at {self._address}: it is not open")
        if canvas is None:
            raise ValueError("an RTSP sink needs the canvas")
        self._written += 1
        if self._stream is not None and self._stream.size != (canvas.width, canvas.height):
            self._part("the picture's size has changed")
        try:
            self._publish(self._info, result.frame.pts_seconds, canvas)
        except PublicationError as error:
            self._lose(str(error))
        except (av.FFmpegError, OSError) as error:
            raise SinkError(f"cannot encode for {self._address}: {getattr(error, 'strerror', error)}") from error

    def close(self, ending: Ending) -> None:  # noqa: ARG002  the server is not told how a run ended
        """Take leave of the server, within a moment, whatever it does."""
        self._part("closed")

    def _publish(self, info: SourceInfo, pts_seconds: float, canvas: Canvas) -> None:
        """Do what can be done in a moment; a picture for which the connection is not ready is left out."""
        if self._publication is None:
            if time.monotonic() < self._next_attempt_at:
                return
            self._publication = self._connect()
        publication = self._publication
        self._advance(publication)
        if publication.is_connected and not publication.is_announcing and not publication.unsent_bytes:
            self._encode(publication, info, pts_seconds, canvas)
            self._advance(publication)

    def _advance(self, publication: Publication) -> None:
        publication.advance(_MOMENT_SECONDS)
        if publication.is_recording and not self._is_connected:
            publication.send(self._held)
            self._sent += self._held_pictures
            self._held, self._held_pictures = [], 0
            self._back_off.succeeded()
            self._is_connected, self._since, self._detail = True, time.monotonic(), ""
            _LOG.info("publishing at %s", self._address)

    def _encode(self, publication: Publication, info: SourceInfo, pts_seconds: float, canvas: Canvas) -> None:
        if self._stream is None:
            self._stream = RtpStream(info, canvas, self._encoding)
        packets = self._stream.add(pts_seconds, canvas)
        if publication.is_recording:
            publication.send(packets)
            self._sent += 1
            return
        # What is announced is known only once a picture has been encoded.
        self._held += packets
        self._held_pictures += 1
        description = self._stream.session_description("streamer")
        if description is not None:
            publication.announce(description)

    def _connect(self) -> Publication:
        try:
            found = socket.getaddrinfo(self._address.host, self._address.port or _PORT, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise PublicationError(f"the host {self._address.host} is not known (DNS)")
        family, _, _, _, numbers = found[self._attempts % len(found)]
        self._attempts += 1
        return Publication(self._address, (family, numbers))

    def _lose(self, fault: str) -> None:
        if self._is_connected or self._detail != fault:
            _LOG.warning("not publishing at %s: %s; trying again", self._address, fault)
        self._part(fault)
        self._next_attempt_at = time.monotonic() + self._back_off.next_seconds()

    def _part(self, reason: str) -> None:
        if self._is_connected:
            self._is_connected, self._since = False, time.monotonic()
        self._detail = reason
        self._disconnect()

    def _disconnect(self) -> None:
        publication, self._publication = self._publication, None
        stream, self._stream = self._stream, None
        self._held, self._held_pictures = [], 0
        last = stream.close() if stream is not None else []
        if publication is not None:
            if publication.is_recording:
                publication.send(last)
            publication.close()
