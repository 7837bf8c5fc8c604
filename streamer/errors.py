"""Every error a user can meet, as one tree; the command line turns each into one line and an exit code.

    StreamerError                 1   unexpected
    ├── UsageError                2   a wrong option, value or configuration
    ├── SourceError               3   something is wrong with the video, camera or stream
    │   ├── SourceOpenError           it could not be opened
    │   └── SourceLostError           it ended before its end
    ├── WeightsError              4   a weights file is absent, cut or not the expected one
    ├── SinkError                 5   an output cannot be written
    └── GalleryError              6   the gallery, or a photo for it

Interruption (Ctrl-C, SIGTERM) is not an error here: outputs are closed and the exit code is 130.
"""

from typing import ClassVar


class StreamerError(Exception):
    """The root of the tree: one sentence saying what, why and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(StreamerError):
    """A wrong option, value or configuration."""

    exit_code = 2


class SourceError(StreamerError):
    """Something is wrong with a video, camera or stream."""

    exit_code = 3


class SourceOpenError(SourceError):
    """A source could not be opened, or holds no picture."""


class SourceLostError(SourceError):
    """A source ended before its end; the frames read so far are good."""


class WeightsError(StreamerError):
    """A weights file is absent, cut or not the expected one."""

    exit_code = 4


class SinkError(StreamerError):
    """An output cannot be written."""

    exit_code = 5


class GalleryError(StreamerError):
    """The gallery cannot be read or written, or a photo cannot be enrolled."""

    exit_code = 6


def printable(text: object) -> str:
    """Return a path or name as it may stand in a one-line message, whatever bytes it holds."""
    return "".join(character if character.isprintable() else "\ufffd" for character in str(text))
