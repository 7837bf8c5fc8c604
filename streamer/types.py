"""The values that flow between stages: frozen, slotted, checked where they are made. No dict, no drawn picture.

`X | None` means one stated thing a field, and N = 0 is a normal input everywhere.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamer.emotion_names import EMOTIONS as EMOTIONS
from streamer.pictures import Picture

Float32 = npt.NDArray[np.float32]
_FLOAT32 = np.dtype(np.float32)

EventKind = Literal[
    "appeared", "identified", "renamed", "revived", "left", "cut", "reconnecting", "reconnected", "overload"
]


class Ending(enum.Enum):
    """How a run ended, for its outputs: what was written is always finished so that it can be read.

    COMPLETE: the source came to its end. INTERRUPTED: a user ended it; what there is, is what was wanted. FAILED: an
    error ended it, so nothing is left under an output's final name.
    """

    COMPLETE = enum.auto()
    INTERRUPTED = enum.auto()
    FAILED = enum.auto()


class SourceState(enum.Enum):
    """What a live source is doing; the value is what users read."""

    INITIALISING = "initialising"
    RUNNING = "running"
    RECONNECTING = "reconnecting"
    PAUSED = "paused"
    ENDED = "ended"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a live source stands now.

    Attributes:
        state: What it is doing.
        detail: What was granted (while it runs) or what is wrong (while it does not), in a few words for people to
            read; credentials are redacted.
        reconnects: How often it was opened again.
        dropped: Frames that it captured and passed over, because newer ones had come before they were read.
    """

    state: SourceState
    detail: str = ""
    reconnects: int = 0
    dropped: int = 0


def _check_array(name: str, array: Float32, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` is float32 of `shape` (None: any length)."""
    # Plain comparisons: thousands of values are made a second.
    if array.dtype == _FLOAT32 and array.ndim == len(shape):
        for want, have in zip(shape, array.shape, strict=True):
            if want is not None and want != have:
                break
        else:
            return
    wanted = "(" + ", ".join("N" if want is None else str(want) for want in shape) + ")"
    raise ValueError(f"{name} must be {wanted} float32, not {array.shape} {array.dtype}")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself before its first frame.

    Attributes:
        source_id: Unique in a run.
        name: For people to read; credentials are redacted.
        width: Pixels, after rotation.
        height: Pixels, after rotation.
        declared_fps: What the container or device claims; frames carry their real times.
        frame_count: What the container claims; None where it does not say.
        is_live: Frames come by themselves and are dropped rather than waited for.
        time_base: Seconds a pts tick; `pts_seconds` are whole multiples of it.
        sample_aspect_ratio: Width of a pixel over its height.
    """

    source_id: str
    name: str
    width: int
    height: int
    declared_fps: float
    frame_count: int | None = None
    is_live: bool = False
    time_base: Fraction = Fraction(1, 90_000)
    sample_aspect_ratio: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"width and height must be positive, not {self.width} × {self.height}")
        if not 0 < self.declared_fps < 10_000:
            raise ValueError(f"declared_fps must lie between 0 and 10000, not {self.declared_fps}")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        picture: The decoder's own planes, read-only.
        index: 0-based count of the frames that the source delivered, so gaps show drops.
        pts_seconds: Presentation time from the stream's start.
        captured_at: `time.monotonic()` when it was captured or decoded, for latency only.
        source_id: The source's.
    """

    picture: Picture
    index: int
    pts_seconds: float
    captured_at: float
    source_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Detections in one picture.

    Attributes:
        xyxy: (N, 4) float32 px, clipped to the picture.
        scores: (N,) float32 in 0..1.
        landmarks: (N, 5, 2) float32 px: image-left eye, image-right eye, nose, image-left and image-right mouth corner.
    """

    xyxy: Float32
    scores: Float32
    landmarks: Float32

    def __post_init__(self) -> None:
        _check_array("xyxy", self.xyxy, (None, 4))
        _check_array("scores", self.scores, (len(self.xyxy),))
        _check_array("landmarks", self.landmarks, (len(self.xyxy), 5, 2))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Faces:
        """Return the faces in `rows` (a mask, indices or a slice)."""
        return Faces(self.xyxy[rows], self.scores[rows], self.landmarks[rows])

    @classmethod
    def empty(cls) -> Faces:
        """Return no faces."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face followed over time, as it stands in one frame.

    Attributes:
        track_id: At least 1, unique in a source's run and never reused.
        xyxy: (4,) float32 px, clipped to the picture.
        landmarks: (5, 2) float32 px; None where the box is only predicted.
        score: The last detection's score.
        is_detected: Seen in this frame, or interpolated between two sightings a moment before and after; False:
            predicted.
        first_seen_seconds: Stream time of the first detection.
        last_seen_seconds: Stream time of the last detection.
    """

    track_id: int
    xyxy: Float32
    landmarks: Float32 | None
    score: float
    is_detected: bool
    first_seen_seconds: float
    last_seen_seconds: float

    def __post_init__(self) -> None:
        if self.track_id < 1:
            raise ValueError(f"track_id must be at least 1, not {self.track_id}")
        _check_array("xyxy", self.xyxy, (4,))
        if self.landmarks is not None:
            _check_array("landmarks", self.landmarks, (5, 2))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a face is, as far as the gallery goes.

    Attributes:
        name: None: assessed, and not in the gallery.
        similarity: Cosine to the best person, -1..1 (-1 where the gallery is empty).
        probability: Calibrated probability of the answer given: of the name, or, where name is None, of "unknown".
        margin: How far the best person's similarity lies above the second best's; 0 where there is no second.
        samples: How many embeddings the answer rests on.
    """

    name: str | None
    similarity: float
    probability: float
    margin: float
    samples: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must lie in 0..1, not {self.probability}")


@dataclass(frozen=True, slots=True, eq=False)
class Emotion:
    """What a face shows.

    Attributes:
        probabilities: (7,) float32, sum 1, in the order of `EMOTIONS`.
        label: What is shown, which may lag behind the most likely emotion so that it does not flicker; None: abstained,
            because the view or the probabilities tell none.
        confidence: Probability of the label; where there is none, of the most likely emotion.
    """

    probabilities: Float32
    label: str | None
    confidence: float

    def __post_init__(self) -> None:
        _check_array("probabilities", self.probabilities, (len(EMOTIONS),))
        if abs(float(self.probabilities.sum()) - 1.0) > 1e-3:
            raise ValueError(f"probabilities must sum to 1, not {self.probabilities.sum()}")
        if self.label is not None and self.label not in EMOTIONS:
            raise ValueError(f"label must be one of {', '.join(EMOTIONS)}, not {self.label!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the embedder saw of a face in one frame; kept only where a user asked for it.

    Attributes:
        vector: (D,) float32 unit vector.
        quality: What the view is worth as evidence, 0..1.
        crop: (S, S, 3) uint8 BGR, as the embedder took it.
    """

    vector: Float32
    quality: float
    crop: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """All that is known of one face in one frame.

    Attributes:
        track: Where it is.
        identity: None: not assessed yet, which is not "unknown".
        emotion: None: not assessed yet.
        look: None: it was not embedded in this frame, or looks are not kept.
    """

    track: Track
    identity: Identity | None = None
    emotion: Emotion | None = None
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once.

    Attributes:
        kind: What.
        pts_seconds: When, in stream time.
        track_id: To whom; None for a cut, and for what happens to a live source: it is lost and back, or gives more
            frames than can be kept up with.
        name: The name that the track had then, or None.
        detail: What else there is to say, for people to read; credentials are redacted.
    """

    kind: EventKind
    pts_seconds: float
    track_id: int | None = None
    name: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What was found in one frame.

    Attributes:
        frame: The frame itself.
        annotations: One a track that is in the picture.
        scanned: The whole frame was searched, not only near the tracks.
        events: What happened in this frame.
    """

    frame: Frame
    annotations: tuple[Annotation, ...] = ()
    scanned: bool = False
    events: tuple[Event, ...] = ()
