"""Results files as tests need them: written by the real sink from results that are made up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamer.pictures import BgrPicture
from streamer.recorded import RecordedEmbedder
from streamer.sinks.results import ResultsSink, RunDescription
from streamer.stats import RunStats
from streamer.types import Annotation, Ending, Event, Float32, Frame, FrameResult, Identity, Look, SourceInfo, Track

Object = dict[str, Any]  # as any reader of JSON sees it

EMBEDDER = RecordedEmbedder("dlib-resnet", "a" * 64)
PICTURE = BgrPicture(np.zeros((48, 64, 3), np.uint8))
INFO = SourceInfo("source", "clip.mp4", 64, 48, 25.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """A face in a frame: whose track, what was answered, what the embedder saw."""

    track_id: int
    identity: Identity | None = None
    vector: Float32 | None = None
    quality: float = 0.8


def named(name: str | None, similarity: float = 0.9, probability: float = 0.95) -> Identity:
    return Identity(name, similarity, probability, 0.1)


def unit(*numbers: float, dimension: int = 8) -> Float32:
    vector = np.zeros(dimension, np.float32)
    vector[: len(numbers)] = numbers
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def frame_result(index: int, faces: Iterable[Shown], events: Sequence[Event] = ()) -> FrameResult:
    annotations = tuple(_annotation(index, face) for face in faces)
    return FrameResult(Frame(PICTURE, index, index / 25, 0.0, "source"), annotations, True, tuple(events))


def _annotation(index: int, face: Shown) -> Annotation:
    box = np.array([4 * face.track_id, 4, 4 * face.track_id + 20, 24], np.float32)
    track = Track(face.track_id, box, np.full((5, 2), 9, np.float32), 0.99, True, 0.0, index / 25)
    shade = 40 * face.track_id % 256
    look = Look(face.vector, face.quality, np.full((150, 150, 3), shade, np.uint8)) if face.vector is not None else None
    return Annotation(track, face.identity, None, look)


def write_results(
    path: Path,
    frames: Iterable[FrameResult],
    *,
    embedder: RecordedEmbedder | None = EMBEDDER,
    info: SourceInfo = INFO,
    ending: Ending = Ending.COMPLETE,
) -> Path:
    sink = ResultsSink(path, description=RunDescription({}, {}, embedder), stats=RunStats())
    sink.open(info)
    for result in frames:
        sink.write(result, None)
    sink.close(ending)
    return path


def objects_in(path: Path, kind: str | None = None) -> list[Object]:
    every = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [one for one in every if kind is None or one["type"] == kind]


def names_in(path: Path) -> list[dict[int, str | None]]:
    """Return each frame's names by track; "-" stands for a face that was not assessed."""
    return [
        {face["track_id"]: face["identity"]["name"] if face["identity"] else "-" for face in frame["faces"]}
        for frame in objects_in(path, "frame")
    ]
