"""The section `source` of the configuration: what is read, and how."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from streamer.settings_values import Section


class SourceSettings(Section):
    """See `Config.source`."""

    start_seconds: float = Field(default=0.0, ge=0, le=1e7)
    """Stream time in seconds at which a file's processing starts."""
    end_seconds: float | None = Field(default=None, gt=0, le=1e7)
    """Stream time in seconds at which a file's processing ends; null: at the file's end."""
    images_fps: float = Field(default=1.0, gt=0, le=1000)
    """Pictures a second that a sequence of images stands for, which sets their times."""
    transport: Literal["tcp", "udp"] = "tcp"
    """What RTSP streams send their pictures over; udp may lose some, and some servers offer it alone."""
    open_timeout_seconds: float = Field(default=5.0, ge=0.1, le=600)
    """Seconds that each of the two steps of opening a network stream may take: connecting, and finding out what is
    sent."""
    read_timeout_seconds: float = Field(default=3.0, ge=0.1, le=600)
    """Seconds without a packet after which a network stream is given up and opened anew."""

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end_seconds is not None and self.end_seconds <= self.start_seconds:
            raise ValueError(
                f"end_seconds ({self.end_seconds:g}) must lie after start_seconds ({self.start_seconds:g})"
            )
        return self
