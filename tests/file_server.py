"""An HTTP server on this machine that sends a file as well, or as badly, as a test says."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Play:
    """What one request is answered with.

    Attributes:
        status: None: 200, or 206 where a range is asked for and obeyed.
        obeys_range: Answer with the rest that is asked for.
        drops_after: Break the connection after so many bytes of the body.
        falls_silent_after: Send nothing more after so many bytes, and keep the connection.
        location: Where to send the client on to.
        content: In place of the server's.
        states_length: Send Content-Length.
        range_start: In place of the one that was asked for.
    """

    status: int | None = None
    obeys_range: bool = True
    drops_after: int | None = None
    falls_silent_after: int | None = None
    location: str | None = None
    content: bytes | None = None
    states_length: bool = True
    range_start: int | None = None


@dataclass
class FileServer:
    """Its answers in order, of which the last one is repeated, and what was asked for."""

    content: bytes
    plays: list[Play] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    credentials: list[str | None] = field(default_factory=list)
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/net.bin"

    @property
    def ranges(self) -> list[str | None]:
        return [one for _, one in self.asked]

    def next_play(self) -> Play:
        if len(self.plays) > 1:
            return self.plays.pop(0)
        return self.plays[0] if self.plays else Play()


@contextmanager
def serving(content: bytes, *plays: Play) -> Iterator[FileServer]:
    """Serve until the block ends."""
    files = FileServer(content, list(plays))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            files.asked.append((self.path, wanted))
            files.credentials.append(self.headers["Proxy-Authorization"])
            self._answer(files.next_play(), wanted)

        def do_CONNECT(self) -> None:
            files.asked.append((self.path, None))
            files.credentials.append(self.headers["Proxy-Authorization"])
            self.send_error(403)

        def _answer(self, play: Play, wanted: str | None) -> None:
            body = files.content if play.content is None else play.content
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and play.obeys_range else 0
            status = play.status or (206 if start else 200)
            self.send_response(status)
            if play.location is not None:
                self.send_header("Location", play.location)
                body = b""
            if status == 206:
                first = start if play.range_start is None else play.range_start
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            body = body[start:]
            if play.states_length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            stop = play.drops_after if play.drops_after is not None else play.falls_silent_after
            self.wfile.write(body[:stop])
            if play.falls_silent_after is not None:
                files.ended.wait(30)
            elif play.drops_after is not None:
                self.wfile.flush()
                # A reset, not an orderly end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    files.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield files
    finally:
        files.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
