"""One RTSP session in which a stream is published (ANNOUNCE, SETUP, RECORD), over one TCP connection that never blocks.

FFmpeg has a muxer for this, which blocks for as long as the peer does not read: 11 s and more after the server stopped
raised nothing, and PyAV offers no way to interrupt an output. Over a socket of our own every wait has a limit, and the
server is asked for a sign of life, so that its silence is noticed whatever the buffers between us and it still take.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, suppress

from streamer.addresses import Address
from streamer.errors import StreamerError
from streamer.sinks.rtp import is_control
from streamer.sinks.rtsp_login import Login
from streamer.sinks.rtsp_wire import Message, Reader, WireError, answer, interleaved, request

# For each step of connecting; a host that drops packets answers never.
_STEP_SECONDS = 5.0
# How often the server is asked for a sign of life, and how long it may take: 4.5 s until a stopped one is noticed.
_ASK_SECONDS, _ANSWER_SECONDS = 1.5, 3.0
# On a slow link the answer may come behind much else; that the link moves is then a sign of life, too.
_SLOW_ANSWER_SECONDS, _STALLED_SECONDS = 10.0, 4.0
# Small, so that what is old is not in the kernel's buffers but dropped here, where it is counted.
_SEND_BUFFER_BYTES = 1 << 17
_FAREWELL_SECONDS = 0.3
_CHANNELS = re.compile(r"interleaved=(\d{1,2})-(\d{1,2})\b")


class PublicationError(StreamerError):
    """The session could not be made, or has ended; in a few words why."""


class Publication:
    """A session, from connecting to its end. Nothing here waits longer than it is told to.

    Args:
        address: Where to publish.
        socket_address: Family and address of the host, as `socket.getaddrinfo` gives them.

    `advance` does what can be done now, and raises PublicationError where the session has ended.
    """

    def __init__(self, address: Address, socket_address: tuple[int, tuple[object, ...]]) -> None:
        self._address = address
        bare = address.reveal().split("://", 1)[1]
        authority, slash, path = bare.partition("/")
        # Without user and password, which belong into no request line.
        self._uri = f"rtsp://{authority.rpartition('@')[2]}{slash}{path}"
        self._login = Login.of_url(address.reveal())
        self._challenges: list[str] = []
        self._reader, self._unsent = Reader(), bytearray()
        self._session, self._sequence = "", 0
        self._channels = (0, 1)  # of RTP and RTCP
        self._handshake: Generator[bytes, Message, None] | None = None
        self.is_recording = False
        self._is_connected = False
        self._moved_at = self._heard_at = self._asked_at = time.monotonic()
        self._is_sign_awaited = False
        self._socket = _connecting(*socket_address)

    @property
    def is_connected(self) -> bool:
        """The server has taken the connection; `announce` comes next."""
        return self._is_connected

    @property
    def is_announcing(self) -> bool:
        """The session is being made."""
        return self._handshake is not None

    @property
    def unsent_bytes(self) -> int:
        """What the connection has not taken yet."""
        return len(self._unsent)

    def announce(self, description: str) -> None:
        """Begin to make the session, for a stream with this SDP."""
        self._handshake = self._session_made(description)
        self._queue(next(self._handshake))

    def send(self, packets: Sequence[bytes]) -> None:
        """Queue packets of RTP and RTCP up."""
        for packet in packets:
            self._queue(interleaved(self._channels[is_control(packet)], packet))

    def advance(self, seconds: float) -> None:
        """Send and receive, for so long at most while something is to be sent or an answer is awaited."""
        until = time.monotonic() + seconds
        self._exchange(0.0)
        while self._is_busy() and (left := until - time.monotonic()) > 0:
            self._exchange(left)
        self._check_life()
        if self._unsent:
            self._exchange(0.0)

    def close(self) -> None:
        """Say farewell, shortly, and close; whatever the server does."""
        with suppress(PublicationError, OSError):
            if self.is_recording:
                self._queue(self._request("TEARDOWN", self._uri))
                self.is_recording = False
                until = time.monotonic() + _FAREWELL_SECONDS
                while self._unsent and (left := until - time.monotonic()) > 0:
                    self._exchange(left)
        self._socket.close()

    def _is_busy(self) -> bool:
        return bool(self._unsent) or not self._is_connected or self._handshake is not None

    def _queue(self, bytes_: bytes) -> None:
        if not self._unsent:
            self._moved_at = time.monotonic()
        self._unsent += bytes_

    def _exchange(self, seconds: float) -> None:
        """Wait until something can be done, for so long at most, and do it."""
        wanted = selectors.EVENT_READ
        if self._unsent or not self._is_connected:
            wanted |= selectors.EVENT_WRITE
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, wanted)
                ready = sum(events for _, events in selector.select(seconds))
            if not self._is_connected and ready:
                self._note_connected()
            if ready & selectors.EVENT_WRITE and self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
                self._moved_at = time.monotonic()
            if ready & selectors.EVENT_READ:
                self._receive()
        except BlockingIOError:
            pass
        except WireError as error:
            raise PublicationError(str(error)) from None
        except OSError as error:
            raise PublicationError(_text_of(error.errno)) from None

    def _note_connected(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise PublicationError(_text_of(code))
        self._is_connected = True
        self._moved_at = self._heard_at = time.monotonic()

    def _receive(self) -> None:
        received = self._socket.recv(1 << 16)
        if not received:
            raise PublicationError("the server closed the connection")
        self._heard_at, self._is_sign_awaited = time.monotonic(), False
        for message in self._reader.take(received):
            if message.status is None:
                self._queue(answer(message))
            elif self._handshake is not None:
                self._take_step(self._handshake, message)

    def _take_step(self, handshake: Generator[bytes, Message, None], message: Message) -> None:
        try:
            self._queue(handshake.send(message))
        except StopIteration:
            self._handshake, self.is_recording = None, True
            self._asked_at = time.monotonic()

    def _check_life(self) -> None:
        """Raise PublicationError where the server gives no sign of life; ask for one from time to time."""
        now = time.monotonic()
        if not self.is_recording:
            if (self._handshake is not None or not self._is_connected) and now - self._heard_at > _STEP_SECONDS:
                raise PublicationError(f"the server has not answered for {_STEP_SECONDS:g} s")
            return
        if self._unsent and now - self._moved_at > _STALLED_SECONDS:
            raise PublicationError(f"the server has taken nothing for {_STALLED_SECONDS:g} s")
        if self._is_sign_awaited and now - self._asked_at > (_SLOW_ANSWER_SECONDS if self._unsent else _ANSWER_SECONDS):
            raise PublicationError(f"the server gives no sign of life since {now - self._heard_at:.0f} s")
        if not self._is_sign_awaited and now - self._asked_at > _ASK_SECONDS:
            self._queue(self._request("OPTIONS", self._uri))
            self._asked_at, self._is_sign_awaited = now, True

    def _session_made(self, description: str) -> Generator[bytes, Message, None]:
        """Yield the requests that make the session, and take their answers."""
        kind = {"Content-Type": "application/sdp"}
        yield from self._asked("ANNOUNCE", self._uri, kind, description)
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"}
        made = yield from self._asked("SETUP", f"{self._uri}/streamid=0", transport)
        self._session = next(iter(made.values("session")), "").partition(";")[0]
        granted = _CHANNELS.search(" ".join(made.values("transport")))
        if granted is not None:
            self._channels = int(granted[1]), int(granted[2])
        yield from self._asked("RECORD", self._uri, {"Range": "npt=0.000-"})

    def _asked(
        self, method: str, uri: str, headers: Mapping[str, str], body: str = ""
    ) -> Generator[bytes, Message, Message]:
        """Ask, and once more as who we are where the server wants to know; return the answer that grants it."""
        message = yield self._request(method, uri, headers, body)
        if message.status == 401 and self._login is not None and message.values("www-authenticate"):
            self._challenges = message.values("www-authenticate")
            message = yield self._request(method, uri, headers, body)
        if message.status != 200:
            raise PublicationError(_refusal(method, message))
        return message

    def _request(self, method: str, uri: str, headers: Mapping[str, str] | None = None, body: str = "") -> bytes:
        self._sequence += 1
        own = {"CSeq": str(self._sequence), "User-Agent": "streamer"}
        if self._session:
            own["Session"] = self._session
        login = self._login.authorization(self._challenges, method, uri) if self._login and self._challenges else None
        if login is not None:
            own["Authorization"] = login
        return request(method, uri, own | dict(headers or {}), body)


def _connecting(family: int, numbers: tuple[object, ...]) -> socket.socket:
    """Return a socket that begins to connect. Raises PublicationError where that fails at once."""
    with ExitStack() as on_error:
        try:
            connecting = socket.socket(family, socket.SOCK_STREAM)
            on_error.callback(connecting.close)
            connecting.setblocking(False)
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            code = connecting.connect_ex(numbers)
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            raise PublicationError(_text_of(code))
        on_error.pop_all()
        return connecting


def _refusal(method: str, message: Message) -> str:
    if message.status == 401:
        return "the server wants a user and a password, or others than those given (401)"
    if message.status == 404:
        return "the server has no such path (404)"
    return f"the server refuses {method} ({message.status} {message.reason[:80]})".replace(" )", ")")


def _text_of(code: int | None) -> str:
    if code == errno.ECONNREFUSED:
        return "the connection was refused; is the server running, and the port right?"
    if code in (errno.EPIPE, errno.ECONNRESET):
        return "the server closed the connection"
    return os.strerror(code).lower() if code is not None else "the connection failed"
