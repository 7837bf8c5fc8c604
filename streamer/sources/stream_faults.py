"""Says in one sentence why a network stream cannot be opened or read, without the credentials in its address.

FFmpeg's and PyAV's errors hold the whole address, password and all, in their text and file name: nothing of them but
their kind may leave this package, neither as a cause nor as a context.
"""

from __future__ import annotations

import errno
import socket

import av

from streamer.addresses import Address
from streamer.errors import SourceOpenError

_REASONS: dict[type[Exception], str] = {
    av.error.HTTPNotFoundError: "the server has no such stream; check the path",
    av.error.HTTPForbiddenError: "the server refuses access",
    av.error.HTTPBadRequestError: "the server does not understand the request",
    av.error.HTTPServerError: "the server has failed (status 5xx)",
    av.error.InvalidDataError: "the answer is not a stream that can be read",
    av.error.ProtocolNotFoundError: "this build of FFmpeg does not know the protocol",
    av.error.DemuxerNotFoundError: "this build of FFmpeg does not know the format",
    av.error.EOFError: "the connection was closed at once",
    av.error.ConnectionRefusedError: "the connection was refused; is the server running, and the port right?",
    av.error.ConnectionResetError: "the connection was reset",
    av.error.BrokenPipeError: "the connection was broken",
    av.error.ExitError: "nothing came for too long",
    av.error.TimeoutError: "nothing came for too long",
}
_UNAUTHORISED = "the server wants a user and a password, or others than those given (401)"
_NUMBERS = {
    errno.ENETUNREACH: "its network cannot be reached",
    errno.EHOSTUNREACH: "its host cannot be reached",
    errno.EADDRNOTAVAIL: "its host cannot be reached",
    errno.EPROTONOSUPPORT: "the server does not offer this transport; try source.transport udp, or tcp",
    errno.EADDRINUSE: "its port is in use on this machine",
}


class LoginRefusedError(SourceOpenError):
    """The server does not accept the credentials; cameras lock out who tries again and again."""


def open_error(address: Address, error: Exception, timed_out_seconds: float | None) -> SourceOpenError:
    """Return the error to raise; the caller raises it outside its handler, so that it carries no context.

    Args:
        address: What was opened.
        error: What PyAV raised.
        timed_out_seconds: The time-out that elapsed, which FFmpeg may call an invalid answer; None: none did.
    """
    if timed_out_seconds is not None:
        return SourceOpenError(
            f"{address} cannot be opened: the server gave no answer of use within {timed_out_seconds:g} s"
        )
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return LoginRefusedError(f"{address} cannot be opened: {_UNAUTHORISED}")
    return SourceOpenError(f"{address} cannot be opened: {_name_problem(address, error) or reason(error)}")


def reason(error: Exception) -> str:
    """Return in a few words what an error of PyAV means."""
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            return text
    number = getattr(error, "errno", None)
    if number in _NUMBERS:
        return _NUMBERS[number]
    # strerror is FFmpeg's text for the number alone, without the address.
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _name_problem(address: Address, error: Exception) -> str | None:
    """Return that the host has no number, where that is why: to FFmpeg it is an input/output error like any other."""
    if getattr(error, "errno", None) not in (errno.EIO, errno.EINVAL) or not address.host:
        return None
    try:
        socket.getaddrinfo(address.host, None)
    except (OSError, UnicodeError):
        return f"the host {address.host} is not known (DNS)"
    return None
