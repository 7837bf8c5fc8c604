"""Addresses of network streams: what is secret in them is kept out of all that is shown, and may come from elsewhere.

`redacted` is the one place where credentials are taken out of texts; everything that is logged or printed goes through
it. Credentials need not stand in an address at all, where the list of processes would show them:

    rtsp://{env:CAMERA_LOGIN}@host/path           the value of an environment variable, such as user:password
    rtsp://{file:/run/secrets/camera}@host/path   the first line of a file
    {env:CAMERA_URL}                              a whole address

What is put in keeps its meaning whatever characters it holds: it is percent-encoded, unless it is a whole address.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from streamer.errors import UsageError

# What FFmpeg reads from a network.
_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "srt", "tcp", "tls", "mms", "mmsh", "mmst")
_HIDDEN = "***"
# One slash alone is what is left of a URL that was taken for a path.
_URL = re.compile(rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://|\b(?:{'|'.join(_SCHEMES)}):/)(?P<rest>\S+)", re.IGNORECASE)
# Names of fields, of a query or otherwise, that hold secrets: `token=`, `X-Amz-Signature=`, `passphrase=`, `user=`.
_SECRET_FIELD = re.compile(
    r"(?P<name>[\w.-]*(?:passw|passp|pwd|token|secret|key|auth|signature|credential|user|login)[\w.-]*"
    r"|(?<![\w.-])(?:pass|sig|jwt))=(?P<value>[^&;#\s\"']+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<name>authorization:\s*\w+)\s+[^\r\n]+", re.IGNORECASE)
_REFERENCE = re.compile(r"\{(?P<kind>env|file):(?P<where>[^{}]*)\}")
_MOST_SECRET_CHARACTERS = 4096


def redacted(text: str) -> str:
    """Return a text without the credentials of the URLs in it: users, passwords, and tokens in queries."""
    text = _URL.sub(_without_credentials, text)
    return _HEADER.sub(rf"\g<name> {_HIDDEN}", text)


def _without_credentials(url: re.Match[str]) -> str:
    scheme, rest = url["scheme"], url["rest"]
    end = re.search(r"[/?#]", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    if "@" not in authority and "@" in tail and not re.fullmatch(r"[^:]*(:\d*)?|\[.*", authority):
        # A password with a slash in it, which should have been percent-encoded: "user:pa" is no host and port.
        authority, tail = rest, ""
    login, at, host = authority.rpartition("@")
    shown = (_HIDDEN if login else "") + at + host
    # The tail may hold the next URL of a list.
    return scheme + shown + redacted(_SECRET_FIELD.sub(rf"\g<name>={_HIDDEN}", tail))


def is_address(text: str) -> bool:
    """Tell whether a text is the address of a network stream, or refers to one, and not a path."""
    scheme, separator, _ = text.partition("://")
    return (bool(separator) and scheme.lower() in _SCHEMES) or _REFERENCE.match(text) is not None


class Address:
    """The address of a network stream, which shows itself without credentials.

    Args:
        text: As users write it; references to credentials are looked up now.
        environment: Where `{env:NAME}` is looked up; None: the process's own.

    Attributes:
        scheme: In lower case, such as rtsp.
        host: Name or number, without brackets.
        port: None: the scheme's own.

    Raises UsageError: one line, without credentials.
    """

    __slots__ = ("_shown", "_url", "host", "port", "scheme")

    def __init__(self, text: str, environment: Mapping[str, str] | None = None) -> None:
        self._url = _resolved(text.strip(), os.environ if environment is None else environment)
        self._shown = redacted(self._url)
        self._check_characters()
        try:
            parts = urlsplit(self._url)
            self.port, self.host = parts.port, parts.hostname or ""
        except ValueError:
            parts = None
        if parts is None:
            # Outside the handler: the error's context would hold what was not understood.
            raise UsageError(
                f"{self._shown} is not an address: its host or port is malformed; percent-encode what is special in "
                "a password, or refer to it by {env:NAME}"
            )
        self.scheme = parts.scheme.lower()
        if self.scheme not in _SCHEMES:
            raise UsageError(f"{self._shown} is not the address of a stream: it must begin with {_schemes_text()}")
        if not self.host and self.scheme not in ("udp", "rtp", "srt", "tcp"):
            raise UsageError(f"{self._shown} names no host; an address is like {self.scheme}://host/path")

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Address({self._shown!r})"

    def __reduce__(self) -> str:
        raise TypeError("an address is not written out: its credentials would be")

    def reveal(self) -> str:
        """Return the whole URL, credentials and all: for whoever connects, and for nobody's eyes."""
        return self._url

    def _check_characters(self) -> None:
        if any(one.isspace() or not one.isprintable() for one in self._url):
            # It is not shown: where there are spaces, nobody can tell the password's end.
            raise UsageError("the stream's address holds a space or a control character; write it percent-encoded, %20")


def _schemes_text() -> str:
    return ", ".join(f"{scheme}://" for scheme in _SCHEMES[:-1]) + f" or {_SCHEMES[-1]}://"


def _resolved(text: str, environment: Mapping[str, str]) -> str:
    """Put in what a text refers to."""

    def value(reference: re.Match[str]) -> str:
        secret = _looked_up(reference["kind"], reference["where"], environment)
        # A login's colon parts user and password.
        is_login = text[reference.end() : reference.end() + 1] == "@" and "@" not in text[: reference.start()]
        return secret if reference.start() == 0 else _encoded(secret, is_login and text[reference.start() - 1] == "/")

    return _REFERENCE.sub(value, text)


def _encoded(secret: str, is_login: bool) -> str:
    if not is_login:
        return quote(secret, safe="")
    return ":".join(quote(part, safe="") for part in secret.split(":", 1))


def _looked_up(kind: str, where: str, environment: Mapping[str, str]) -> str:
    what = f"{{{kind}:{where}}}"
    if kind == "env":
        secret = environment.get(where)
        if secret is None:
            raise UsageError(f"the address refers to {what}, and there is no such environment variable; set it")
    else:
        secret, problem = _first_line(where)
        if problem:
            raise UsageError(f"the address refers to {what}, which cannot be read: {problem}")
    if not secret.strip():
        raise UsageError(f"the address refers to {what}, which is empty")
    return secret.strip()


def _first_line(path: str) -> tuple[str, str]:
    """Return a file's first line, or why it cannot be read: not as an error, whose context could hold what was read."""
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            return file.read(_MOST_SECRET_CHARACTERS).partition("\n")[0], ""
    except OSError as error:
        return "", error.strerror or "it is not a file"
    except (ValueError, RuntimeError):
        return "", "it is not a text"
