"""One attempt at a file over HTTP or HTTPS: asks for what is missing of it and appends what comes."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from streamer.errors import UsageError, WeightsError, printable

_BLOCK_BYTES = 1 << 16
_ELSEWHERE = "bring the file from elsewhere and give it with --from"
# Answers that another attempt may find changed: too busy, or a server in front of the server failed.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_PARTIAL, _RANGE_REFUSED = 206, 416

OnProgress = Callable[[int, int], None]
"""Called with the bytes that are there and those that there will be."""


class PassingError(Exception):
    """An attempt failed in a way that another one may not; says in a few words how."""


class _Answer(Protocol):
    """What a server says: the part of `http.client.HTTPResponse` that is needed."""

    status: int
    headers: http.client.HTTPMessage

    def read1(self, amount: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as it must be.

    Attributes:
        name: What messages call it.
        url: Where it is.
        size_bytes: Its length.
    """

    name: str
    url: str
    size_bytes: int

    @property
    def host(self) -> str:
        """The server's name, which may stand in messages; the rest of a URL may hold secrets."""
        return host_of(self.url)


class Client:
    """Speaks to servers.

    Args:
        proxy: URL of an HTTP proxy for all; None: by the environment (https_proxy, http_proxy, no_proxy).
        silence_seconds: After so long without a byte an attempt has failed.

    Raises:
        UsageError: The proxy is none.
    """

    def __init__(self, proxy: str | None, silence_seconds: float) -> None:
        self._opener, self._silence_seconds = _opener(proxy), silence_seconds

    def append(self, file: RemoteFile, part: Path, on_progress: OnProgress) -> None:
        """Ask once for what `part` lacks of a file, and write what comes; it need not be all.

        Raises:
            PassingError: Another attempt may do better. What came before is kept.
            WeightsError: None will.
            OSError: It cannot be written.
        """
        there = part.stat().st_size if part.exists() else 0
        headers = {"User-Agent": "streamer", "Accept-Encoding": "identity"}
        if there:
            headers["Range"] = f"bytes={there}-"
        request = urllib.request.Request(file.url, headers=headers)  # noqa: S310  the opener knows http and https only
        try:
            with self._opener.open(request, timeout=self._silence_seconds) as answer:
                _write(answer, file, part, on_progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _RANGE_REFUSED and there:
                part.unlink()
                raise PassingError("the server has no such rest, so all is asked for") from error
            if error.code in _PASSING:
                raise PassingError(f"it answers {error.code}") from error
            raise WeightsError(
                f"{file.name} cannot be fetched: {file.host} answers {error.code} ({printable(error.reason)}); "
                f"{_ELSEWHERE}"
            ) from error
        except (ValueError, http.client.InvalidURL) as error:
            raise WeightsError(f"{file.host} sends us on to what is no address; {_ELSEWHERE}") from error
        except (urllib.error.URLError, http.client.HTTPException) as error:
            raise PassingError(_told(error.reason if isinstance(error, urllib.error.URLError) else error)) from error
        except (ConnectionError, TimeoutError) as error:  # before the headers were whole
            raise PassingError(_told(error)) from error


def host_of(url: str) -> str:
    """Return a server's name."""
    return urlsplit(url).hostname or "the server"


@contextmanager
def writing(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """Open a file whose content is on the disk once it is closed, so that a power cut leaves no hole under its name."""
    with path.open(mode) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write(answer: _Answer, file: RemoteFile, part: Path, on_progress: OnProgress) -> None:
    """Append what comes, or begin anew where the server sends all."""
    goes_on = answer.status == _PARTIAL
    there = part.stat().st_size if goes_on and part.exists() else 0
    if goes_on and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {there}-"):
        raise PassingError("it sends another part than was asked for")
    stated = answer.headers.get("Content-Length") or ""
    if stated.isdecimal() and there + int(stated) != file.size_bytes:
        raise WeightsError(
            f"{file.name} has {file.size_bytes} bytes, and {file.host} offers {there + int(stated)}: another file, "
            f"which is not fetched; {_ELSEWHERE}"
        )
    with writing(part, "ab" if goes_on else "wb") as target:
        while there < file.size_bytes and (block := _block(answer)):
            target.write(block[: file.size_bytes - there])
            there = min(there + len(block), file.size_bytes)
            on_progress(there, file.size_bytes)


def _block(answer: _Answer) -> bytes:
    """Return what has come; empty: the server has closed the connection."""
    try:
        return answer.read1(_BLOCK_BYTES)
    except OSError as error:  # not to be taken for a full disk
        raise PassingError(_told(error)) from error


def _told(cause: object) -> str:
    """Return in a few words what broke a connection, without what a proxy's URL may hold."""
    if isinstance(cause, TimeoutError):
        return "it is silent"
    if isinstance(cause, OSError):
        return printable(cause.strerror or cause)
    return type(cause).__name__ if isinstance(cause, Exception) else printable(cause)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to web servers only, and never from an encrypted connection to one that is not."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request to go on with; urllib itself has refused what is not http, https or ftp."""
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in ("https", urlsplit(req.full_url).scheme):
            raise WeightsError(
                f"{host_of(req.full_url)} sends us on to an address of the kind {printable(scheme)!r}, which is not "
                f"followed; {_ELSEWHERE}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> object:
        """Follow; where that fails urllib would leave the first connection open."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except BaseException:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(proxy: str | None) -> urllib.request.OpenerDirector:
    """Return what opens http and https addresses, and no others: urllib's usual one opens files, too."""
    proxies: dict[str, str] | None = None
    if proxy is not None:
        if not _is_proxy(proxy):
            raise UsageError("--proxy must be http://HOST:PORT, with USER:PASSWORD@ before HOST where it asks for them")
        proxies = {"http": proxy, "https": proxy}
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    return opener


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False
