"""The frames between looks: where a track is that was seen on both sides of them, or on one.

Where it moved little, it is interpolated; where it moved far, was missed, came in or left, it is looked for, all tracks
and frames in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from streamer import geometry
from streamer.stages import Detector
from streamer.stats import RunStats
from streamer.trackers.motion import BoxMotion
from streamer.types import Faces, Float32, Frame, Track


@dataclass(frozen=True, slots=True)
class SpanPolicy:
    """How faces are followed between two searches.

    Attributes:
        look_every_seconds: Stream time between looks near the faces; 0: every frame.
        sure_score: A face is believed from this score on; below it only between two sightings that reach it, 0..1.
        longest_gap_seconds: A face unseen for at most so long is shown at interpolated places.
        smooth_iou: Two sightings that overlap by so much are joined by interpolation without looking between them.
        same_iou: Boxes that overlap by so much are one face.
    """

    look_every_seconds: float = 0.16
    sure_score: float = 0.9
    longest_gap_seconds: float = 0.3
    smooth_iou: float = 0.2
    same_iou: float = 0.4


@dataclass(slots=True)
class Span:
    """The frames, and who was seen where: `seen[track_id][i]` is the track in `frames[i]`."""

    frames: Sequence[Frame]
    looks: list[int]  # frames looked at, the first and the last (which were searched whole) among them
    seen: dict[int, dict[int, Track]] = field(default_factory=dict)

    def note(self, index: int, tracks: Sequence[Track]) -> None:
        """Remember that tracks were seen in a frame."""
        for track in tracks:
            self.seen.setdefault(track.track_id, {})[index] = track

    def at(self, index: int) -> dict[int, Track]:
        """Return by track_id the tracks seen in a frame."""
        return {track_id: own[index] for track_id, own in self.seen.items() if index in own}

    def seconds(self, index: int) -> float:
        """Return a frame's stream time."""
        return self.frames[index].pts_seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """A track that is to be looked for in a frame.

    Attributes:
        track_id: Whose.
        index: Of the frame.
        expected: (4,) float32 px.
        otherwise: What is shown where it is not found; None: nothing.
    """

    track_id: int
    index: int
    expected: Float32
    otherwise: Track | None


class GapFiller:
    """Fills the frames of spans between looks.

    Args:
        detector: Looks near boxes.
        policy: What is believed.
        stats: Where the times go.
    """

    def __init__(self, detector: Detector, policy: SpanPolicy, stats: RunStats) -> None:
        self._detector, self._policy, self._stats = detector, policy, stats

    def fill(self, span: Span) -> None:
        """Add to `span.seen` where its tracks are between their sightings, and beyond them up to the next look."""
        wishes: list[_Wish] = []
        ends: list[tuple[int, int, int]] = []  # a track, the frame of a sighting, and the direction in which it ends
        for track_id, own in span.seen.items():
            sightings = sorted(own)
            ends += [(track_id, sightings[0], -1), (track_id, sightings[-1], 1)]
            for start, end in pairwise(sightings):
                if self._is_too_long(span, start, end):
                    ends += [(track_id, start, 1), (track_id, end, -1)]
                else:
                    wishes += self._between(span, own, start, end)
        for wish, sighting in zip(wishes, self._sightings(span, wishes), strict=True):
            shown = sighting or wish.otherwise
            if shown is not None:
                span.seen[wish.track_id][wish.index] = shown
        self._fill_beyond(span, ends)

    def _is_too_long(self, span: Span, start: int, end: int) -> bool:
        seconds = span.seconds(end) - span.seconds(start)
        return seconds > self._policy.longest_gap_seconds and _is_gap(span, start, end)

    def _between(self, span: Span, own: dict[int, Track], start: int, end: int) -> list[_Wish]:
        """Interpolate a track between two sightings where that is safe; return where it must be looked for instead."""
        first, second = own[start], own[end]
        is_gap, wishes = _is_gap(span, start, end), []
        is_smooth = not is_gap and overlap(first.xyxy, second.xyxy) >= self._policy.smooth_iou
        for index in range(start + 1, end):
            weight = (span.seconds(index) - span.seconds(start)) / (span.seconds(end) - span.seconds(start))
            between = _interpolated(first, second, weight, span.seconds(index))
            unseen = replace(between, is_detected=False, landmarks=None)
            if is_smooth:
                own[index] = between
            elif index in span.looks:
                own[index] = unseen
            else:
                wishes.append(_Wish(first.track_id, index, between.xyxy, unseen))
        return wishes

    def _fill_beyond(self, span: Span, ends: Sequence[tuple[int, int, int]]) -> None:
        """Look for tracks in the frames after (before) their last (first) sightings, until they are gone."""
        going = [
            (track_id, index, step, BoxMotion(span.seen[track_id][index].xyxy, step * span.seconds(index)))
            for track_id, index, step in ends
        ]
        while going:
            ahead = [(track_id, index + step, step, motion) for track_id, index, step, motion in going]
            ahead = [
                end
                for end in ahead
                if 0 <= end[1] < len(span.frames) and end[1] not in span.looks and end[1] not in span.seen[end[0]]
            ]
            wishes = [
                _Wish(track_id, index, motion.predicted(step * span.seconds(index)), None)
                for track_id, index, step, motion in ahead
            ]
            going = []
            for end, sighting in zip(ahead, self._sightings(span, wishes), strict=True):
                track_id, index, step, motion = end
                if sighting is not None and sighting.score >= self._policy.sure_score:
                    span.seen[track_id][index] = sighting
                    motion.measure(sighting.xyxy, step * span.seconds(index))
                    going.append(end)

    def _sightings(self, span: Span, wishes: Sequence[_Wish]) -> list[Track | None]:
        """Look for tracks, all in one call; None: not found, or another track stands there."""
        if not wishes:
            return []
        indices = sorted({wish.index for wish in wishes})
        boxes = [np.stack([wish.expected for wish in wishes if wish.index == index]) for index in indices]
        with self._stats.time("refine"):
            pictures = [span.frames[index].picture for index in indices]
            found = dict(zip(indices, self._detector.refine(pictures, boxes), strict=True))
        return [self._sighting(span, wish, found[wish.index]) for wish in wishes]

    def _sighting(self, span: Span, wish: _Wish, found: Faces) -> Track | None:
        row = nearest(wish.expected[None], found.xyxy, self._policy.same_iou / 2)[0]
        if row is None or same(span.at(wish.index), found.xyxy[row], self._policy.same_iou) is not None:
            return None
        return seen_track(span.seen[wish.track_id], found, row, wish.track_id, span.seconds(wish.index))


def _is_gap(span: Span, start: int, end: int) -> bool:
    """Say whether a look between two sightings missed the track."""
    return any(start < look < end for look in span.looks)


def nearest(expected: Float32, found: Float32, least: float) -> list[int | None]:
    """Return for each expected (4,) box the row of the found one that overlaps it most, by at least `least`."""
    if not len(found):
        return [None] * len(expected)
    overlaps = geometry.iou(expected, found)
    return [int(row.argmax()) if row.max() >= least else None for row in overlaps]


def overlap(first: Float32, second: Float32) -> float:
    """Return the intersection over union of two (4,) boxes."""
    return float(geometry.iou(first[None], second[None])[0, 0])


def same(tracks: dict[int, Track], xyxy: Float32, least: float) -> int | None:
    """Return the id of the track that stands where `xyxy` does."""
    return next((track_id for track_id, track in tracks.items() if overlap(track.xyxy, xyxy) >= least), None)


def seen_track(own: dict[int, Track], faces: Faces, row: int, track_id: int, now: float) -> Track:
    """Return a further sighting of the track whose others are `own`: the face in `row`."""
    return Track(
        track_id=track_id,
        xyxy=faces.xyxy[row],
        landmarks=faces.landmarks[row],
        score=float(faces.scores[row]),
        is_detected=True,
        first_seen_seconds=min(now, next(iter(own.values())).first_seen_seconds),
        last_seen_seconds=now,
    )


def _interpolated(first: Track, second: Track, weight: float, now: float) -> Track:
    """Return the track between two sightings; `weight` of the second, 0..1."""
    landmarks = None
    if first.landmarks is not None and second.landmarks is not None:
        landmarks = (first.landmarks * (1 - weight) + second.landmarks * weight).astype(np.float32)
    return Track(
        track_id=first.track_id,
        xyxy=(first.xyxy * (1 - weight) + second.xyxy * weight).astype(np.float32),
        landmarks=landmarks,
        score=min(first.score, second.score),
        is_detected=True,
        first_seen_seconds=first.first_seen_seconds,
        last_seen_seconds=now,
    )
