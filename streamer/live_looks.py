"""Gathers what the embedder sees of the faces in a live run, so that one of them can be enrolled, or denied, by hand.

It is kept in memory only, and bounded: the best and most different looks of a track, the latest tracks of a source,
and a while after a track has left.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from streamer.recognition.photo_quality import Fault, fault_of, small_face
from streamer.recognition.photo_reader import thumbnail
from streamer.recognition.vote import is_whole, shorter_side
from streamer.types import Annotation, Float32, Frame, FrameResult, SourceInfo

KEPT_SECONDS = 60.0
_MOST_LOOKS = 32
_MOST_TRACKS = 64
# A look that should not be enrolled is worth so much of one that is fit.
_UNFIT_WORTH = 0.1
_CUT_OFF = Fault("the edge of the picture cuts the face off", "come into the picture")
# A face's look this many times as far from the mean of all as they usually are shows somebody else, with a net of which
# it is not known how alike two views of one person are; with dlib's net other people lie four to six times as far.
_MOST_TIMES_USUAL = 3.0
_LEAST_DISTANCE = 0.02  # of somebody who hardly moves


@dataclass(frozen=True, slots=True, eq=False)
class LiveLook:
    """One view of a face.

    Attributes:
        pts_seconds: When.
        quality: What it is worth as evidence, 0..1.
        vector: (D,) float32 unit vector.
        fault: Why it should not be enrolled; None: it is fit.
        thumbnail: A small JPEG picture; b"" where it is not fit.
    """

    pts_seconds: float
    quality: float
    vector: Float32
    fault: Fault | None
    thumbnail: bytes


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """What is known of one track.

    Attributes:
        source_name: What people call its source; "": not known.
        seen_seconds: The last frame that showed it, in its source's stream time.
        side_pixels: The shorter side of its box there.
        name: What it was last called; None: nothing.
        looks: In order of time.
        latest: The last of all looks, kept or not; None: there was none.
    """

    source_name: str
    seen_seconds: float
    side_pixels: float
    name: str | None = None
    looks: tuple[LiveLook, ...] = ()
    latest: LiveLook | None = None

    @property
    def fault(self) -> Fault | None:
        """What is wrong with the face as it was seen last."""
        return small_face(self.side_pixels) or (self.latest.fault if self.latest is not None else None)


@dataclass(slots=True)
class _Source:
    name: str = ""
    now: float = -np.inf
    faces: dict[int, SeenFace] = field(default_factory=dict)


class LiveLooks:
    """The faces of a run's sources; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}

    def begin(self, info: SourceInfo) -> None:
        """Get ready for a source, and forget what was seen of an earlier one of that id: its track ids begin anew."""
        with self._lock:
            self._sources[info.source_id] = _Source(info.name)

    def end(self, source_id: str) -> None:
        """Forget a source."""
        with self._lock:
            self._sources.pop(source_id, None)

    def see(self, result: FrameResult) -> None:
        """Take the next result of a source."""
        frame = result.frame
        looks = {one.track.track_id: _look(one, frame) for one in result.annotations}
        with self._lock:
            source = self._sources.setdefault(frame.source_id, _Source())
            if frame.pts_seconds < source.now:  # it began anew, without a word
                source.faces.clear()
            source.now = frame.pts_seconds
            for one in result.annotations:
                _note(source, one, looks[one.track.track_id])
            for event in result.events:
                # A face of which nothing is said for a moment keeps its name; events tell of every change.
                if event.kind in ("identified", "renamed") and event.track_id in source.faces:
                    source.faces[event.track_id] = replace(source.faces[event.track_id], name=event.name)
            _forget_old(source)

    def face(self, source_id: str, track_id: int) -> SeenFace | None:
        """Return what is known of a track; None: nothing, or no more."""
        with self._lock:
            source = self._sources.get(source_id)
            return source.faces.get(track_id) if source is not None else None


def _look(annotation: Annotation, frame: Frame) -> LiveLook | None:
    look, landmarks = annotation.look, annotation.track.landmarks
    if look is None or landmarks is None:
        return None
    fault = small_face(shorter_side(annotation.track)) or fault_of(look.crop, landmarks)
    if fault is None and not is_whole(frame.picture, landmarks):
        fault = _CUT_OFF
    return LiveLook(
        frame.pts_seconds, look.quality, look.vector.copy(), fault, b"" if fault is not None else thumbnail(look.crop)
    )


def _note(source: _Source, annotation: Annotation, look: LiveLook | None) -> None:
    """Note that a face was seen, and perhaps looked at."""
    track_id, side = annotation.track.track_id, shorter_side(annotation.track)
    face = source.faces.pop(track_id, None) or SeenFace(source.name, source.now, side)
    face = replace(face, seen_seconds=source.now, side_pixels=side)
    if annotation.identity is not None:
        face = replace(face, name=annotation.identity.name)
    if look is not None:
        face = replace(face, looks=_best([*face.looks, look]), latest=look)
    source.faces[track_id] = face  # the last ones seen come last


def _forget_old(source: _Source) -> None:
    limit = source.now - KEPT_SECONDS
    for track_id in [key for key, face in source.faces.items() if face.seen_seconds < limit]:
        del source.faces[track_id]
    while len(source.faces) > _MOST_TRACKS:
        del source.faces[next(iter(source.faces))]


def _best(looks: Sequence[LiveLook]) -> tuple[LiveLook, ...]:
    """Leave out the look that adds least, where there are too many: a poor one, or much like another; never the best.

    What a look adds is its worth times its cosine distance from the nearest of the others.
    """
    if len(looks) <= _MOST_LOOKS:
        return tuple(looks)
    vectors = np.stack([look.vector for look in looks])
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1)
    worth = np.array([look.quality * (1 if look.fault is None else _UNFIT_WORTH) for look in looks])
    gains = worth * np.maximum(1 - alike.max(axis=1), 1e-9)
    gains[int(np.argmax(worth))] = np.inf
    least = int(np.argmin(gains))
    return tuple(look for place, look in enumerate(looks) if place != least)


def of_one_person(looks: Sequence[LiveLook], other_similarity: float | None) -> list[LiveLook]:
    """Return looks without those that show somebody else: who came to stand there is seen before that is understood.

    Args:
        looks: Of one track.
        other_similarity: Below this cosine two faces are two people; None: that is not known of the net.
    """
    kept = list(looks)
    for _ in range(2):  # the first time the others are in the mean, too
        if len(kept) < 3:
            break
        alike = np.stack([look.vector for look in looks]) @ mean_direction(kept)
        limit = _usual_limit(alike) if other_similarity is None else other_similarity
        close = [look for look, likeness in zip(looks, alike.tolist(), strict=True) if likeness >= limit]
        kept = close or kept
    return kept


def _usual_limit(alike: npt.NDArray[np.float32]) -> float:
    return 1 - max(_LEAST_DISTANCE, _MOST_TIMES_USUAL * float(np.median(1 - alike)))


def mean_direction(looks: Sequence[LiveLook]) -> Float32:
    """Return the (D,) float32 unit vector of the mean of looks by their quality."""
    total = np.sum([look.quality * look.vector for look in looks], axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-6), np.float32)
