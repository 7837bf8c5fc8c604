"""From the objects in a results file to what they say, every field checked; no file is touched here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import numpy as np

from streamer import json_checks as checks
from streamer.json_checks import Fields, MalformedError
from streamer.recorded import (
    MAX_LOOKS,
    SCHEMA_VERSION,
    Record,
    RecordedEmbedder,
    RecordedEmotion,
    RecordedEvent,
    RecordedFace,
    RecordedFrame,
    RecordedHeader,
    RecordedLook,
    RecordedSummary,
    RecordedTrack,
)
from streamer.types import EMOTIONS, Identity

_MAX_FACES = 10_000
_MAX_DIMENSION = 4096
_MAX_CROP_CHARACTERS = 2**20
_JPEG_START = b"\xff\xd8\xff"


def record_of(fields: Fields, *, is_first: bool) -> Record:
    """Return what a line's object says; `is_first`: it must be a header. Raises MalformedError."""
    kind = checks.text(fields, "type")
    if is_first and kind != "header":
        raise MalformedError("its first line is not a header")
    read = _READERS.get(kind)
    if read is None:
        raise MalformedError(f"the type {kind[:20]!r} is none of schema version {SCHEMA_VERSION}")
    return read(fields)


def _header(fields: Fields) -> RecordedHeader:
    version = checks.value_of(fields, "schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise MalformedError(
            f"its schema version is {str(version)[:20]} and this program reads version {SCHEMA_VERSION}; "
            "use the program that wrote it"
        )
    embedder = checks.child(fields, "embedder") if "embedder" in fields else None
    checks.child(fields, "models")
    checks.child(fields, "config")
    return RecordedHeader(
        checks.text(fields, "source"),
        checks.whole(fields, "width", 1),
        checks.whole(fields, "height", 1),
        checks.number(fields, "declared_fps", 0, 10_000),
        RecordedEmbedder(_filled_text(embedder, "name"), checks.sha256(embedder, "sha256")) if embedder else None,
        checks.text_or_none(fields, "source_path") if "source_path" in fields else None,
    )


def _filled_text(fields: Fields, key: str) -> str:
    value = checks.text(fields, key)
    if not value:
        raise MalformedError(f"{key!r} is empty")
    return value


def _frame(fields: Fields) -> RecordedFrame:
    faces = tuple(_face(face) for face in checks.objects(fields, "faces", _MAX_FACES))
    if len({face.track_id for face in faces}) < len(faces):
        raise MalformedError("a track is twice in one frame")
    return RecordedFrame(
        checks.whole(fields, "index"),
        checks.number(fields, "pts_seconds"),
        checks.flag(fields, "scanned"),
        faces,
    )


def _face(fields: Fields) -> RecordedFace:
    landmarks = checks.value_of(fields, "landmarks")
    identity, emotion = checks.child_or_none(fields, "identity"), checks.child_or_none(fields, "emotion")
    return RecordedFace(
        track_id=checks.whole(fields, "track_id", 1),
        box=_numbers(checks.value_of(fields, "box"), "'box'", 4),
        landmarks=None if landmarks is None else _points(landmarks),
        score=checks.number(fields, "score", -1, 2),
        is_detected=checks.flag(fields, "detected"),
        identity=None if identity is None else _identity(identity),
        emotion=None if emotion is None else _emotion(emotion),
    )


def _exactly(value: object, what: str, count: int) -> list[object]:
    if not isinstance(value, list) or len(value) != count:
        raise MalformedError(f"{what} is not a list of {count}")
    return value


def _numbers(value: object, what: str, count: int) -> tuple[float, ...]:
    return checks.checked_numbers(_exactly(value, what, count), f"a number of {what}")


def _points(value: object) -> tuple[tuple[float, ...], ...]:
    points = [_exactly(point, "a landmark", 2) for point in _exactly(value, "'landmarks'", 5)]
    numbers = checks.checked_numbers([one for point in points for one in point], "a number of a landmark")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _identity(fields: Fields) -> Identity:
    return Identity(
        checks.text_or_none(fields, "name"),
        checks.number(fields, "similarity", -1.01, 1.01),
        checks.number(fields, "probability", 0, 1),
        margin=0.0,
    )


def _emotion(fields: Fields) -> RecordedEmotion:
    label, shares = checks.text_or_none(fields, "label"), checks.child(fields, "probabilities")
    if label is not None and label not in EMOTIONS:
        raise MalformedError(f"the emotion {label[:20]!r} is none of {', '.join(EMOTIONS)}")
    probabilities = tuple(checks.number(shares, emotion, 0, 1) for emotion in EMOTIONS)
    if abs(sum(probabilities) - 1) > 2e-3:  # seven rounded numbers
        raise MalformedError("the probabilities of an emotion do not sum to 1")
    return RecordedEmotion(label, probabilities)


def _event(fields: Fields) -> RecordedEvent:
    track_id = None if checks.value_of(fields, "track_id") is None else checks.whole(fields, "track_id", 1)
    return RecordedEvent(
        _filled_text(fields, "kind"),
        checks.number(fields, "pts_seconds"),
        track_id,
        checks.text_or_none(fields, "name"),
    )


def _track(fields: Fields) -> RecordedTrack:
    shares = checks.child(fields, "emotions")
    for emotion in shares:
        checks.number(shares, emotion, 0, 1)
    looks = tuple(_look(look) for look in checks.objects(fields, "looks", MAX_LOOKS)) if "looks" in fields else ()
    if len({len(look.vector) for look in looks}) > 1:
        raise MalformedError("the vectors of a track differ in length")
    return RecordedTrack(
        checks.whole(fields, "track_id", 1),
        checks.number(fields, "first_seconds"),
        checks.number(fields, "last_seconds"),
        checks.whole(fields, "frames"),
        checks.text_or_none(fields, "name"),
        tuple(sorted(looks, key=lambda look: look.pts_seconds)),
        _crop(fields) if fields.get("crop") is not None else None,
    )


def _look(fields: Fields) -> RecordedLook:
    content = _decoded(fields, "vector")
    if len(content) % 4 or not 0 < len(content) <= 4 * _MAX_DIMENSION:
        raise MalformedError("a vector is not base64 of little-endian float32")
    vector = np.frombuffer(content, "<f4").astype(np.float32)
    if not abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-3:  # written so that NaN fails, too
        raise MalformedError("a vector is not of length 1")
    return RecordedLook(checks.number(fields, "pts_seconds"), checks.number(fields, "quality", 0, 1), vector)


def _crop(fields: Fields) -> bytes:
    if len(checks.text(fields, "crop")) > _MAX_CROP_CHARACTERS or not (content := _decoded(fields, "crop")).startswith(
        _JPEG_START
    ):
        raise MalformedError("a crop is not base64 of a small JPEG")
    return content


def _decoded(fields: Fields, key: str) -> bytes:
    try:
        return base64.b64decode(checks.text(fields, key), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{key!r} is not base64") from error


def _summary(fields: Fields) -> RecordedSummary:
    return RecordedSummary(checks.whole(fields, "frames"), checks.number(fields, "seconds", 0))


_READERS: dict[str, Callable[[Fields], Record]] = {
    "header": _header,
    "frame": _frame,
    "event": _event,
    "track": _track,
    "summary": _summary,
}
