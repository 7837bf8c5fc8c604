"""What can be set of what is read; as settings.py says."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from streamer.errors import UsageError
from streamer.settings_values import Section
from streamer.sources.camera_mode import CameraMode, parsed_size


def _checked_size(text: str) -> str:
    try:
        CameraMode(size=parsed_size(text))
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


def _checked_format(text: str) -> str:
    try:
        CameraMode(pixel_format=text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


CameraSize = Annotated[str, "a size such as 1280x720", AfterValidator(_checked_size)]
PixelFormat = Annotated[str, "four characters such as MJPG", AfterValidator(_checked_format)]


class SourceSettings(Section):
    """See `Config.source`."""

    start_seconds: float = Field(default=0.0, ge=0, le=1e7)
    """Stream time in seconds at which a file's processing starts."""
    end_seconds: float | None = Field(default=None, gt=0, le=1e7)
    """Stream time in seconds at which a file's processing ends; null: at the file's end."""
    images_fps: float = Field(default=1.0, gt=0, le=1000)
    """Pictures a second that a sequence of images stands for, which sets their times."""
    camera_size: CameraSize | None = None
    """Width and height in pixels to ask a camera for, as `streamer live --list` shows them; null: 640x480, or what it
    has by itself."""
    camera_fps: float | None = Field(default=None, gt=0, le=1000)
    """Pictures a second to ask a camera for; null: what it gives by itself."""
    camera_pixel_format: PixelFormat | None = None
    """How a camera's pictures come over the wire: YUYV, without loss; MJPG, where large ones would come slowly; null:
    what suits size and rate."""
    stall_seconds: float = Field(default=2.0, ge=0.2, le=60)
    """Seconds without a picture after which a camera is opened anew."""
    camera_open_seconds: float = Field(default=10.0, ge=0.5, le=300)
    """Seconds to wait for a camera's first picture."""
    transport: Literal["tcp", "udp"] = "tcp"
    """What RTSP streams send their pictures over; udp may lose some, and some servers offer it alone."""
    open_timeout_seconds: float = Field(default=5.0, ge=0.1, le=600)
    """Seconds that each of the two steps of opening a network stream may take: connecting, and finding out what is
    sent."""
    read_timeout_seconds: float = Field(default=3.0, ge=0.1, le=600)
    """Seconds without a packet after which a network stream is given up and opened anew."""

    @property
    def camera_mode(self) -> CameraMode:
        """What to ask of a camera."""
        size = parsed_size(self.camera_size) if self.camera_size is not None else None
        return CameraMode(size, self.camera_fps, self.camera_pixel_format)

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end_seconds is not None and self.end_seconds <= self.start_seconds:
            raise ValueError(
                f"end_seconds ({self.end_seconds:g}) must lie after start_seconds ({self.start_seconds:g})"
            )
        return self
