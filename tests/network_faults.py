"""Servers on this machine that do not do what they should."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def listener(answer: Callable[[socket.socket], None] | None = None) -> Iterator[int]:
    """Yield the port of a server that takes connections and does with each what it is told; None: says nothing."""
    ended = threading.Event()
    taken: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            if answer is not None:
                answer(connection)
            ended.wait(30)

    def accept() -> None:
        with suppress(OSError):
            while not ended.is_set():
                connection, _ = server.accept()
                taken.append(connection)
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            for connection in taken:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            for thread in threads[1:]:
                thread.join()


def speak_garbage(connection: socket.socket) -> None:
    while True:
        connection.sendall(os.urandom(4096))


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def say(text: str) -> Callable[[socket.socket], None]:
    """Answer whatever is asked with one text."""

    def answer(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(text.encode())

    return answer
