"""What stands in each line of the results file (schema version 1), as pure functions and sums; it writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from streamer.recorded import SCHEMA_VERSION, RecordedEmbedder
from streamer.sinks.results_looks import LookShelf, crop_text, vector_text
from streamer.stats import Percentiles, StatsSummary
from streamer.times import FrameSteps
from streamer.types import EMOTIONS, Emotion, Event, FrameResult, Identity, SourceInfo

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"

# As they are read from a file: objects all the way down.
Fields: TypeAlias = Mapping[str, object]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
# JSON allows these in a string, but many readers, Python's splitlines among them, end a line there.
_LINE_ENDS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}

# A hundredth of a pixel, a ten-thousandth of a probability, a microsecond: all finer than what is measured.
_PIXEL_DECIMALS, _SCORE_DECIMALS, _SECOND_DECIMALS = 2, 4, 6


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What a run was made with, for the header line.

    Attributes:
        models: sha256 of every model's weights, by the model's name.
        config: The configuration as it came to be; plain dicts and lists all the way down.
        embedder: The net whose looks are kept with each track; None: none are kept.
        source_path: Where the source's file is, from the results file's folder; None: it is no file.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Json] = field(default_factory=dict)
    embedder: RecordedEmbedder | None = None
    source_path: str | None = None


def encoded(line: Json | Fields) -> bytes:
    """Return one line of UTF-8 for one object. Raises ValueError for NaN and infinity, which JSON does not have."""
    text = _encode(line)
    if not text.isascii():
        for character, escape in _LINE_ENDS.items():
            text = text.replace(character, escape)
    # A lone surrogate, from a file name that is not UTF-8, becomes its JSON escape.
    return f"{text}\n".encode(errors="backslashreplace")


def _seconds(value: float) -> float:
    return round(float(value), _SECOND_DECIMALS)


def _score(value: float) -> float:
    return round(float(value), _SCORE_DECIMALS)


def _rounded(arrays: list[npt.NDArray[np.float32]], decimals: int) -> Iterator[Sequence[Json]]:
    """Yield each array (all have one shape) as lists of rounded numbers; number by number takes three times as long."""
    rounded: list[Sequence[Json]] = np.round(np.array(arrays, np.float64), decimals).tolist()
    return iter(rounded)


def header(info: SourceInfo, description: RunDescription) -> Json:
    """Return the first line."""
    line: dict[str, Json] = {
        "type": "header",
        "schema_version": SCHEMA_VERSION,
        "source": info.name,
        "width": info.width,
        "height": info.height,
        "declared_fps": _seconds(info.declared_fps),
        "models": dict(description.models),
        "config": dict(description.config),
    }
    if description.source_path is not None:
        line["source_path"] = description.source_path
    if description.embedder is not None:
        line["embedder"] = {"name": description.embedder.name, "sha256": description.embedder.sha256}
    return line


def frame(result: FrameResult) -> Json:
    """Return the line of one frame."""
    tracks = [annotation.track for annotation in result.annotations]
    emotions = [annotation.emotion for annotation in result.annotations]
    boxes = _rounded([track.xyxy for track in tracks], _PIXEL_DECIMALS)
    landmarks = _rounded([track.landmarks for track in tracks if track.landmarks is not None], _PIXEL_DECIMALS)
    probabilities = _rounded([emotion.probabilities for emotion in emotions if emotion], _SCORE_DECIMALS)
    return {
        "type": "frame",
        "index": result.frame.index,
        "pts_seconds": _seconds(result.frame.pts_seconds),
        "scanned": result.scanned,
        "faces": [
            {
                "track_id": annotation.track.track_id,
                "box": next(boxes),
                "landmarks": None if annotation.track.landmarks is None else next(landmarks),
                "score": _score(annotation.track.score),
                "detected": annotation.track.is_detected,
                "identity": identity_json(annotation.identity),
                "emotion": _emotion(annotation.emotion, probabilities),
            }
            for annotation in result.annotations
        ],
    }


def frame_with_identities(fields: Fields, given: Mapping[int, Json]) -> Fields:
    """Return a frame's object with the identities of some of its tracks replaced; it must have been checked."""
    faces = fields["faces"]
    assert isinstance(faces, list)
    replaced = [face | {"identity": given[face["track_id"]]} if face["track_id"] in given else face for face in faces]
    return {**fields, "faces": replaced}


def identity_json(identity: Identity | None) -> Json:
    """Return a face's identity."""
    if identity is None:
        return None
    return {
        "name": identity.name,
        "similarity": _score(identity.similarity),
        "probability": _score(identity.probability),
    }


def _emotion(emotion: Emotion | None, probabilities: Iterator[Sequence[Json]]) -> Json:
    if emotion is None:
        return None
    return {"label": emotion.label, "probabilities": dict(zip(EMOTIONS, next(probabilities), strict=True))}


def event(happened: Event) -> Json:
    """Return the line of one event; only what happens to a source has a detail."""
    line: dict[str, Json] = {
        "type": "event",
        "kind": happened.kind,
        "pts_seconds": _seconds(happened.pts_seconds),
        "track_id": happened.track_id,
        "name": happened.name,
    }
    return line if happened.detail is None else {**line, "detail": happened.detail}


def summary(stats: StatsSummary) -> Json:
    """Return the last line."""
    return {
        "type": "summary",
        "frames": stats.frames,
        "dropped": stats.dropped,
        "seconds": _seconds(stats.seconds),
        "fps": _seconds(stats.fps),
        "latency_seconds": _percentiles(stats.latency_seconds),
        "stages": {
            stage.name: {
                "calls": stage.calls,
                "total_seconds": _seconds(stage.total_seconds),
                **_percentiles(stage.seconds),
            }
            for stage in stats.stages
        },
    }


def _percentiles(seconds: Percentiles | None) -> dict[str, float | None]:
    if seconds is None:
        return {"p50": None, "p95": None, "p99": None}
    return {"p50": _seconds(seconds.p50), "p95": _seconds(seconds.p95), "p99": _seconds(seconds.p99)}


@dataclass(slots=True)
class _Tally:
    """What one track has come to so far."""

    first_seconds: float
    last_seconds: float
    frames: int = 0
    name: str | None = None
    assessed_seconds: float = 0.0
    emotion_seconds: dict[str, float] = field(default_factory=dict)
    shelf: LookShelf = field(default_factory=LookShelf)


class Tallies:
    """Adds up every track over the frames.

    A frame's labels stand until the next frame, so that is the time they count for, at any frame rate. An emotion's
    share is of the time that the track was assessed; what is missing to 1 is time of which nothing was said.

    Args:
        frame_seconds: How long the last frame counts where it is also the first.
        keeps_looks: Each track's line holds its best looks.
    """

    def __init__(self, frame_seconds: float, *, keeps_looks: bool = False) -> None:
        self._keeps_looks = keeps_looks
        self._tracks: dict[int, _Tally] = {}
        self._shown: list[tuple[_Tally, str | None]] = []
        self._steps = FrameSteps(frame_seconds)

    def add(self, result: FrameResult) -> None:
        """Count one frame."""
        step_seconds = self._steps.advance(result.frame.pts_seconds)
        if step_seconds is not None:
            self._count_shown(step_seconds)
        for annotation in result.annotations:
            track = annotation.track
            tally = self._tracks.setdefault(track.track_id, _Tally(track.first_seen_seconds, track.last_seen_seconds))
            tally.frames += 1
            tally.last_seconds = track.last_seen_seconds
            if annotation.identity is not None:
                tally.name = annotation.identity.name
            if annotation.emotion is not None:
                self._shown.append((tally, annotation.emotion.label))
            if annotation.look is not None and self._keeps_looks:
                tally.shelf.add(result.frame.pts_seconds, annotation.look)

    def _count_shown(self, step_seconds: float) -> None:
        for tally, label in self._shown:
            tally.assessed_seconds += step_seconds
            if label is not None:
                tally.emotion_seconds[label] = tally.emotion_seconds.get(label, 0.0) + step_seconds
        self._shown = []

    def finish(self) -> Iterator[Json]:
        """Yield the line of every track, by its number; the last frame counts as long as the one before it."""
        self._count_shown(self._steps.last_seconds)
        for track_id, tally in sorted(self._tracks.items()):
            yield {
                "type": "track",
                "track_id": track_id,
                "first_seconds": _seconds(tally.first_seconds),
                "last_seconds": _seconds(tally.last_seconds),
                "frames": tally.frames,
                "name": tally.name,
                "emotions": {
                    label: _score(tally.emotion_seconds[label] / tally.assessed_seconds)
                    for label in EMOTIONS
                    if tally.emotion_seconds.get(label, 0.0) > 0
                },
                **(_looks(tally.shelf) if self._keeps_looks else {}),
            }


def _looks(shelf: LookShelf) -> Mapping[str, Json]:
    return {
        "looks": [
            {
                "pts_seconds": _seconds(look.pts_seconds),
                "quality": _score(look.quality),
                "vector": vector_text(look.vector),
            }
            for look in shelf.looks
        ],
        "crop": None if shelf.crop is None else crop_text(shelf.crop),
    }
