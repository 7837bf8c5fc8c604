"""Fetches optional weights over the network, or from a file, to where `streamer.weights` expects them.

What has come lies in NAME.part until its sha256 is right; only then it gets its name. A fetch that was interrupted goes
on where it stopped. Nothing here is called but by `streamer models fetch`.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from streamer.errors import WeightsError, printable
from streamer.http_files import Client, OnProgress, PassingError, RemoteFile, writing
from streamer.weights_file import Weights, note_path

_LOG = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
_MOST_BACKOFF_SECONDS = 30.0


Judge = Callable[[Path], None]
"""Looks at a file, and raises WeightsError where it is not the net that it should be."""


@dataclass(frozen=True, slots=True)
class Network:
    """How servers are spoken to.

    Attributes:
        proxy: URL of an HTTP proxy for all; None: by the environment (https_proxy, http_proxy, no_proxy).
        silence_seconds: After so long without a byte an attempt has failed.
        attempts: So many in a row may bring nothing.
        backoff_seconds: Before the second attempt; twice as long before each one more.
    """

    proxy: str | None = None
    silence_seconds: float = 30.0
    attempts: int = 5
    backoff_seconds: float = 1.0


def fetch(weights: Weights, network: Network, on_progress: OnProgress) -> Path:
    """Download weights, unless they are there already.

    Args:
        weights: What to fetch, with a `url`.
        network: How.
        on_progress: Told as bytes come.

    Returns:
        Where the file lies now.

    Raises:
        UsageError: The proxy is none.
        WeightsError: It cannot be had, is another file, or cannot be written. What came of the right file is kept. Or
            nobody knows its sha256, so that nothing from a network could be told from it.
        KeyboardInterrupt: What came is kept, too.
    """
    if weights.url is None:
        raise ValueError(f"{weights.name} is not fetched")
    if weights.sha256 is None or weights.size_bytes is None:
        raise WeightsError(
            f"{weights.name} is not fetched over the network, for no sha256 is published that it could be compared "
            f"with; {weights.remedy}"
        )
    file = RemoteFile(weights.name, weights.url, weights.size_bytes)
    client = Client(network.proxy, network.silence_seconds)
    with _part(weights) as part:
        if part is None:
            return _place(weights)
        is_resumed = _size(part) > 0
        _download(file, part, client, network, on_progress)
        if is_resumed and not _is_right(part, weights):
            _LOG.warning("%s: what was there of it is no beginning of this file; all is fetched anew", weights.name)
            part.unlink()
            _download(file, part, client, network, on_progress)
        return _accepted(part, weights, file.host)


def fetch_from(source: Path, weights: Weights, on_progress: OnProgress, judge: Judge | None = None) -> Path:
    """Copy weights from a file that somebody brought, unless they are there already.

    Args:
        source: The file as the weights' URL gives it.
        weights: What it must be. Where its sha256 is not known, any file will do that the judge accepts; it takes the
            place of one that was brought before, and its sha256 is noted.
        on_progress: Told as bytes are copied.
        judge: Looks at a copy whose sha256 is not known, and raises WeightsError where it is no such net.

    Returns:
        Where the copy lies now.

    Raises:
        WeightsError: The source is absent or another file, or the copy cannot be written.
    """
    with _part(weights) as part:
        if part is None:
            return _place(weights)
        try:
            status = source.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
                raise OSError(0, "it is no file")
            given = source.open("rb")
            size_bytes = weights.size_bytes if weights.size_bytes is not None else status.st_size
        except OSError as error:
            raise WeightsError(
                f"the file {printable(source)} cannot be read ({error.strerror}); give the one from {weights.url}"
            ) from error
        with given, writing(part, "wb") as file:
            there = 0
            # A file that is too long is seen as soon as it is, not when the disk is full of it.
            while there <= size_bytes and (block := given.read(_BLOCK_BYTES)):
                file.write(block)
                there += len(block)
                on_progress(there, size_bytes)
        if weights.sha256 is None:
            return _noted(part, weights, judge)
        return _accepted(part, weights, printable(source))


def _noted(part: Path, weights: Weights, judge: Judge | None) -> Path:
    """Give a file its final name once a judge has accepted it, and note its sha256 beside it. Raises WeightsError."""
    try:
        if judge is not None:
            judge(part)
    except WeightsError:
        part.unlink()
        raise
    note = note_path(weights)
    # Should it end between these steps, the file counts as absent or as another one, never as good.
    note.unlink(missing_ok=True)
    path = part.replace(_place(weights))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    note.write_text(f"{sha256} {path.stat().st_size}\n", encoding="ascii")
    return path


def _place(weights: Weights) -> Path:
    assert weights.path is not None, "what is fetched has a place in the user's data directory"
    return weights.path


@contextmanager
def _part(weights: Weights) -> Iterator[Path | None]:
    """Yield the file to write to, nobody else writing to it; None: there is nothing to do."""
    path = _place(weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=0):
            yield None if _is_right(path, weights) else path.with_name(f"{path.name}.part")
    except Timeout as error:
        raise WeightsError(f"{weights.name} is being fetched by another process; wait for it to end") from error
    except OSError as error:
        raise WeightsError(
            f"{weights.name} cannot be written to {printable(path.parent)} ({error.strerror}); see that there is room "
            "and the right to write, and run it again: what has come is kept"
        ) from error


def _is_right(path: Path, weights: Weights) -> bool:
    if weights.sha256 is None or _size(path) != weights.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256


def _accepted(part: Path, weights: Weights, origin: str) -> Path:
    """Give a file its final name; one that is another than it must be is removed. Raises WeightsError."""
    if not _is_right(part, weights):
        part.unlink()
        known = f"({weights.size_bytes} bytes, {str(weights.sha256)[:12]}…)"
        raise WeightsError(
            f"what {origin} gives for {weights.name} is another file: its length or sha256 is not the known one "
            f"{known}, so it is not used; bring the right one from elsewhere and give it with --from"
        )
    return part.replace(_place(weights))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _download(file: RemoteFile, part: Path, client: Client, network: Network, on_progress: OnProgress) -> None:
    """Bring `part` to its full length, in as many attempts as it takes while not too many in a row bring nothing."""
    _check_room(file, part)
    fruitless = 0
    while (before := _size(part)) < file.size_bytes:
        reason = "it closed the connection"
        try:
            client.append(file, part, on_progress)
        except PassingError as error:
            reason = str(error)
        there = _size(part)
        if there >= file.size_bytes:
            return
        fruitless = 0 if there > before else fruitless + 1
        if fruitless >= network.attempts:
            raise WeightsError(
                f"{file.name} cannot be fetched from {file.host} ({reason}); {there} of {file.size_bytes} bytes are "
                "kept: run it again, set --proxy, or bring the file from elsewhere and give it with --from"
            )
        seconds = min(network.backoff_seconds * 2 ** max(fruitless - 1, 0), _MOST_BACKOFF_SECONDS)
        _LOG.warning("%s, from %s: %s; going on in %.0f s", file.name, file.host, reason, seconds)
        time.sleep(seconds)


def _check_room(file: RemoteFile, part: Path) -> None:
    missing, free = file.size_bytes - _size(part), shutil.disk_usage(part.parent).free
    if free < missing:
        raise WeightsError(
            f"{file.name} needs {missing / 1e6:.1f} MB more in {printable(part.parent)}, where {free / 1e6:.1f} MB are "
            "free; make room and run it again"
        )
