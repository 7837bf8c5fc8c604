"""What is told to people when a camera gives no picture."""

from __future__ import annotations

from streamer.sources.camera_link import Reason

LIST = "streamer live --list"
NO_PICTURE = "the camera gives no picture"

_TROUBLES = {
    Reason.NONE: NO_PICTURE,
    Reason.ABSENT: "the camera is unplugged",
    Reason.FORBIDDEN: "there is no permission to use the camera",
    Reason.BUSY: "another program uses the camera",
    Reason.NOT_A_CAMERA: "what is there now is no camera",
    Reason.NO_PICTURE: NO_PICTURE,
}


def trouble(reason: Reason) -> str:
    """Return in a few words what keeps a camera from giving pictures."""
    return _TROUBLES[reason]


def refusal(camera: str, reason: Reason, waited_seconds: float) -> str:
    """Return the line that says why a camera cannot be opened, and what to do."""
    match reason:
        case Reason.ABSENT:
            return f"there is no camera {camera}; {LIST} shows those there are"
        case Reason.FORBIDDEN:
            return (
                f"there is no permission to use the camera {camera}; join the group video "
                "(sudo usermod -aG video $USER), log out and in again"
            )
        case Reason.BUSY:
            return f"another program uses the camera {camera}; end it first (fuser -v {camera} names it)"
        case Reason.NOT_A_CAMERA:
            return f"{camera} is no camera that gives pictures; {LIST} shows those there are"
        case Reason.NONE | Reason.NO_PICTURE:
            return (
                f"the camera {camera} gave no picture in {waited_seconds:g} s; plug it out and in, or ask for another "
                "size or pixel format"
            )


def ended(camera: str) -> str:
    """Return the line that says that whatever opens a camera crashes."""
    return (
        f"the process that reads the camera {camera} ended at once, as with a broken driver; ask for another size or "
        "pixel format, or plug the camera out and in"
    )
