"""What happens in a span, the frames between two searches of the whole picture, once both searches are known.

Files allow for it: frames can wait until the next search is done. Faces are followed forward from the first search,
looking near them every so often; a face that only the second search found, or that was lost on the way, is followed
back to where it came in; between two looks its box is interpolated where it moved little, and looked for where not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamer import geometry
from streamer.gaps import GapFiller, Span, SpanPolicy, nearest, same, seen_track
from streamer.stages import Detector, Tracker
from streamer.stats import RunStats
from streamer.trackers.motion import BoxMotion
from streamer.types import Faces, Float32, Frame, Track

# Times are compared with a millisecond of grace: 0.12 s is three frames at 25 fps also where they are rounded.
_GRACE_SECONDS = 1e-3
# A lost face is searched within so many of its sides from its expected centre, and down to this share of its side.
_REACH = 1.3
_SMALLER = 0.6
_LEAST_FACE = 12.0  # px: no detector finds smaller ones


class SpanFollower:
    """Follows one source's faces from span to span.

    Args:
        tracker: Starts a track for every face that is found, sure or not: which are believed is decided here.
        detector: Looks near boxes.
        policy: How often, and what is believed.
        stats: Where the times go.
    """

    def __init__(self, tracker: Tracker, detector: Detector, policy: SpanPolicy, stats: RunStats) -> None:
        self._tracker, self._detector, self._policy, self._stats = tracker, detector, policy, stats
        self._gaps = GapFiller(detector, policy, stats)
        self._opening: list[Track] = []  # seen in the last frame that was searched whole
        self._believed: set[int] = set()  # tracks that have been sure once
        self._since: dict[int, float] = {}  # when each track was first seen, stream seconds

    def begin(self, frame: Frame, faces: Faces) -> None:
        """Begin a shot with its first frame, which has been searched whole."""
        self._tracker.cut()
        self._opening = self._updated(frame, faces)
        self._believed, self._since = set(), {}

    def end(self) -> list[Track]:
        """Return the tracks in the last frame of the last span, with which the shot ends."""
        return [
            replace(track, first_seen_seconds=self._since.get(track.track_id, track.first_seen_seconds))
            for track in self._opening
            if track.score >= self._policy.sure_score
        ]

    def follow(self, frames: Sequence[Frame], closing: Faces) -> list[list[Track]]:
        """Return the tracks in each of a span's frames but the last, which opens the next; by track_id.

        Args:
            frames: At least two, in order; the first (that `begin` or the last call ended with) and the last have been
                searched whole.
            closing: What was found in the last.
        """
        span = Span(frames, self._looks(frames))
        span.note(0, self._opening)
        for before, index in zip(span.looks, span.looks[1:-1], strict=False):
            self._update(span, index, self._look_forward(span, before, index))
        self._update(span, len(frames) - 1, closing)
        self._follow_back(span)
        self._opening = list(span.at(len(frames) - 1).values())
        self._drop_doubtful(span)
        return self._filled(span)

    def _looks(self, frames: Sequence[Frame]) -> list[int]:
        looks, last = [0], frames[0].pts_seconds
        for index, frame in enumerate(frames[1:-1], 1):
            # A look just before the closing search tells nothing that the search does not.
            next_to = frames[index + 1].pts_seconds
            if next_to - last > self._policy.look_every_seconds + _GRACE_SECONDS:
                looks.append(index)
                last = frame.pts_seconds
        return [*looks, len(frames) - 1]

    def _look(self, frame: Frame, boxes: Float32) -> Faces:
        with self._stats.time("refine"):
            return self._detector.refine([frame.picture], [boxes])[0]

    def _look_forward(self, span: Span, before: int, index: int) -> Faces:
        """Look near the places where the tracker expects faces; walk there frame by frame after those that it misses.

        A face whose speed is not known yet, or that turned, is found again in smaller steps.
        """
        expected = self._tracker.predict(span.seconds(index))
        if not expected:
            return Faces.empty()
        boxes = np.stack(list(expected.values()))
        found = self._look(span.frames[index], boxes)
        rows = nearest(boxes, found.xyxy, self._policy.same_iou / 2)
        missed = {track_id for track_id, row in zip(expected, rows, strict=True) if row is None}
        missed &= span.at(before).keys()
        for track_id in missed:
            found = self._with_new(found, self._search_about(span.frames[index], expected[track_id]))
        rows = nearest(boxes, found.xyxy, self._policy.same_iou / 2)
        missed &= {track_id for track_id, row in zip(expected, rows, strict=True) if row is None}
        if index - before < 2 or not missed:
            return found
        return self._with_new(found, self._walk(span, missed, range(before + 1, index + 1)))

    def _with_new(self, faces: Faces, more: Faces) -> Faces:
        """Add to `faces` those of `more` that are not among them."""
        is_new = (geometry.iou(more.xyxy, faces.xyxy) < self._policy.same_iou).all(axis=1)
        return _joined(faces, more[np.flatnonzero(is_new)])

    def _search_about(self, frame: Frame, xyxy: Float32) -> Faces:
        """Search the surroundings of a (4,) box like a whole picture, for a face of about its size."""
        side = float(np.max(xyxy[2:] - xyxy[:2]))
        centre = (xyxy[:2] + xyxy[2:]) / 2
        corners = np.concatenate([np.floor(centre - side * _REACH), np.ceil(centre + side * _REACH)])
        left, top, right, bottom = (
            geometry.clip(corners, frame.picture.width, frame.picture.height).astype(int).tolist()
        )
        if right <= left or bottom <= top:
            return Faces.empty()
        with self._stats.time("refine"):
            return self._detector.detect(
                [frame.picture], [(left, top, right, bottom)], min_face_pixels=max(side * _SMALLER, _LEAST_FACE)
            )[0]

    def _walk(self, span: Span, track_ids: set[int], indices: range) -> Faces:
        """Follow tracks frame by frame; return what is found in the last frame, which the tracker is not given yet."""
        found = Faces.empty()
        for index in indices:
            boxes = [box for key, box in self._tracker.predict(span.seconds(index)).items() if key in track_ids]
            found = self._look(span.frames[index], np.stack(boxes))
            if not len(found):
                break
            if index < indices[-1]:
                self._update(span, index, found)
        return found

    def _updated(self, frame: Frame, faces: Faces) -> list[Track]:
        with self._stats.time("track"):
            return [track for track in self._tracker.update(frame, faces) if track.is_detected]

    def _update(self, span: Span, index: int, faces: Faces) -> None:
        span.note(index, self._updated(span.frames[index], faces))

    def _follow_back(self, span: Span) -> None:
        """Follow the faces of the closing search that the look before it did not see, back to where they came in."""
        last, before = span.looks[-1], span.looks[-2]
        trails = {
            track_id: BoxMotion(track.xyxy, -span.seconds(last))
            for track_id, track in span.at(last).items()
            if before not in span.seen[track_id]
        }
        # Where nothing lies between the searches, the first has seen all there is.
        for index in reversed(span.looks[:-1] if len(span.frames) > 2 else []):
            trails = {track_id: motion for track_id, motion in trails.items() if index not in span.seen[track_id]}
            if not trails:
                return
            trails = self._step_back(span, index, trails)

    def _step_back(self, span: Span, index: int, trails: dict[int, BoxMotion]) -> dict[int, BoxMotion]:
        """Look for each trail's face one look earlier; return the trails that go on."""
        now = -span.seconds(index)
        expected = np.stack([motion.predicted(now) for motion in trails.values()])
        found = self._look(span.frames[index], expected)
        rows = nearest(expected, found.xyxy, self._policy.same_iou / 2)
        going_on: dict[int, BoxMotion] = {}
        for (track_id, motion), row in zip(trails.items(), rows, strict=True):
            if row is None:
                continue
            other = same(span.at(index), found.xyxy[row], self._policy.same_iou)
            if other is not None:
                self._join(span, index, track_id, other)
                continue
            span.note(index, [seen_track(span.seen[track_id], found, row, track_id, span.seconds(index))])
            motion.measure(found.xyxy[row], now)
            going_on[track_id] = motion
        return going_on

    def _join(self, span: Span, index: int, track_id: int, other: int) -> None:
        """Make one track of two, where the newer is the continuation of one that was lost after `index`."""
        if max(span.seen[other]) > index:
            return  # both are seen later: two faces that stand close
        if track_id in span.at(0) or not self._tracker.rejoin(track_id, other):
            return
        first_seen = span.seen[other][index].first_seen_seconds
        for later, track in span.seen.pop(track_id).items():
            span.seen[other][later] = replace(track, track_id=other, first_seen_seconds=first_seen)

    def _drop_doubtful(self, span: Span) -> None:
        """Keep sightings of a low score only between sure ones; of a track that was sure before, up to the last one."""
        for track_id, own in list(span.seen.items()):
            sure = [index for index, track in own.items() if track.score >= self._policy.sure_score]
            if not sure:
                del span.seen[track_id]
                continue
            first = 0 if track_id in self._believed else min(sure)
            span.seen[track_id] = {index: track for index, track in own.items() if first <= index <= max(sure)}
            self._believed.add(track_id)

    def _filled(self, span: Span) -> list[list[Track]]:
        """Return the tracks of every frame, those between looks included."""
        self._gaps.fill(span)
        for track_id, own in span.seen.items():
            self._since[track_id] = min(self._since.get(track_id, np.inf), span.seconds(min(own)))
            for index, track in own.items():
                own[index] = replace(track, first_seen_seconds=self._since[track_id])
        tracks = [span.at(index).values() for index in range(len(span.frames) - 1)]
        return [sorted(own, key=lambda track: track.track_id) for own in tracks]


def _joined(first: Faces, second: Faces) -> Faces:
    return Faces(
        np.concatenate([first.xyxy, second.xyxy]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.landmarks, second.landmarks]),
    )
