"""What the lines of a results file say (schema version 1), as values; recorded_fields.py checks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from streamer.types import Float32, Identity

SCHEMA_VERSION = 1
MAX_LOOKS = 32  # that a track keeps


@dataclass(frozen=True, slots=True)
class RecordedEmbedder:
    """The net that made a file's vectors.

    Attributes:
        name: What the weights are called.
        sha256: Of the weights file.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RecordedHeader:
    """The first line.

    Attributes:
        source: What the source is called.
        width: Of its pictures, px.
        height: Of its pictures, px.
        declared_fps: What its container or device claims.
        embedder: None: no looks were kept.
        source_path: Where its file was, from the results file's folder; None: not recorded, or it was no file.
    """

    source: str
    width: int
    height: int
    declared_fps: float
    embedder: RecordedEmbedder | None = None
    source_path: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedEmotion:
    """A face's emotion; `probabilities`: seven, in the order of `EMOTIONS`."""

    label: str | None
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RecordedFace:
    """One face of a frame.

    Attributes:
        track_id: Whose track.
        box: x1, y1, x2, y2 px.
        landmarks: Five (x, y) px; None where the box was predicted.
        score: The last detection's.
        is_detected: False: predicted.
        identity: None: not assessed. `margin` is not recorded, and 0.
        emotion: None: not assessed.
    """

    track_id: int
    box: tuple[float, ...]
    landmarks: tuple[tuple[float, ...], ...] | None
    score: float
    is_detected: bool
    identity: Identity | None
    emotion: RecordedEmotion | None

    @property
    def name(self) -> str | None:
        """Who it is; None: unknown, or not assessed."""
        return self.identity.name if self.identity is not None else None


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One frame of the source; each track is in it once at most."""

    index: int
    pts_seconds: float
    is_scanned: bool
    faces: tuple[RecordedFace, ...]


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Something that happened once, in the frame before it."""

    kind: str
    pts_seconds: float
    track_id: int | None
    name: str | None


@dataclass(frozen=True, slots=True, eq=False)
class RecordedLook:
    """One view of a face as the embedder saw it.

    Attributes:
        pts_seconds: When.
        quality: What it is worth as evidence, 0..1.
        vector: (D,) float32 unit vector.
    """

    pts_seconds: float
    quality: float
    vector: Float32


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTrack:
    """One track, summed up.

    Attributes:
        track_id: Whose.
        first_seconds: Stream time of the first detection.
        last_seconds: Stream time of the last one.
        frames: In how many it is.
        name: Its last name, or None.
        looks: In order of time; empty where none were kept.
        crop: JPEG of the best look; None where none was kept.
    """

    track_id: int
    first_seconds: float
    last_seconds: float
    frames: int
    name: str | None
    looks: tuple[RecordedLook, ...] = ()
    crop: bytes | None = None


@dataclass(frozen=True, slots=True)
class RecordedSummary:
    """The last line."""

    frames: int
    seconds: float


Record: TypeAlias = RecordedHeader | RecordedFrame | RecordedEvent | RecordedTrack | RecordedSummary
