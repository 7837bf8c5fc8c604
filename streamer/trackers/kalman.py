"""Following faces by motion and overlap: a `Tracker` with two score thresholds and time in seconds.

Method: ByteTrack (Zhang et al., ECCV 2022): sure detections are assigned first, doubtful ones only continue tracks and
never start one; and, as in DeepSORT's matching cascade (Wojke et al., ICIP 2017), tracks that were seen just before are
assigned before lost ones. Boxes are compared a quarter larger than they are, as in C-BIoU (Yang et al., WACV 2023), so
that a small face that moved by its own width is still the same face. No appearance and no identity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import lap
import numpy as np
import numpy.typing as npt

from streamer import geometry
from streamer.trackers.motion import BoxMotion
from streamer.types import Faces, Float32, Frame, Track

_GROWTH = 0.25  # of a side, on each edge, before boxes are compared
_SURE_OVERLAP = 0.2  # least overlap of grown boxes that joins a sure detection to a track
_DOUBTFUL_OVERLAP = 0.4  # the same for a detection below the high threshold
_FRESH_SECONDS = 0.25  # a track seen within that time is assigned before those lost for longer
_LEAST_VISIBLE = 0.35  # of a predicted box inside the picture; below that the face has walked out

Rows = npt.NDArray[np.intp]


@dataclass(slots=True)
class _Life:
    """What the tracker remembers of one track."""

    track_id: int
    motion: BoxMotion
    latest: Track


class KalmanTracker:
    """Follows the faces of one source.

    Args:
        high_score: Only detections of at least this score start a track, 0..1.
        max_predicted_seconds: How long an unconfirmed box is still shown at its predicted place.
        max_searched_seconds: How long `predict` goes on naming an unconfirmed track's box.
        max_lost_seconds: How long a lost track waits to be found again by a detection where it should be.
    """

    def __init__(
        self,
        *,
        high_score: float = 0.9,
        max_predicted_seconds: float = 0.06,
        max_searched_seconds: float = 0.4,
        max_lost_seconds: float = 1.0,
    ) -> None:
        self._high_score = high_score
        self._max_predicted_seconds = max_predicted_seconds
        self._max_searched_seconds = max_searched_seconds
        self._max_lost_seconds = max_lost_seconds
        self._lives: list[_Life] = []
        self._next_id = 1

    def predict(self, pts_seconds: float) -> dict[int, Float32]:
        """Return by track_id the (4,) float32 px boxes where the tracks worth a look should stand at `pts_seconds`."""
        return {
            life.track_id: life.motion.predicted(pts_seconds)
            for life in self._lives
            if pts_seconds - life.latest.last_seen_seconds <= self._max_searched_seconds
        }

    def update(self, frame: Frame, faces: Faces | None) -> list[Track]:
        """Assign detections to tracks, start new ones, drop those lost too long.

        Args:
            frame: The frame that was looked at.
            faces: What was found; None: nobody looked; empty: looked, found none.

        Returns:
            The tracks now in the picture, by track_id: detected ones, and predicted ones for a short while.
        """
        now = frame.pts_seconds
        self._lives = [life for life in self._lives if now - life.latest.last_seen_seconds <= self._max_lost_seconds]
        detected: list[Track] = []
        if faces is not None:
            detected = self._take(faces, now)
        seen = {track.track_id for track in detected}
        predicted = [self._predicted(life, frame) for life in self._lives if life.track_id not in seen]
        shown = detected + [track for track in predicted if track is not None]
        return sorted(shown, key=lambda track: track.track_id)

    def rejoin(self, newer: int, older: int) -> bool:
        """Let the track `newer` go on as `older`, of which it turned out to be the continuation; False: it cannot."""
        lives = {life.track_id: life for life in self._lives}
        if newer not in lives or older not in lives:
            return False
        first_seen = lives[older].latest.first_seen_seconds
        lives[newer].track_id = older
        lives[newer].latest = replace(lives[newer].latest, track_id=older, first_seen_seconds=first_seen)
        self._lives = [life for life in self._lives if life is not lives[older]]
        return True

    def cut(self) -> None:
        """End all tracks."""
        self._lives.clear()

    def _take(self, faces: Faces, now: float) -> list[Track]:
        sure = np.flatnonzero(faces.scores >= self._high_score)
        doubtful = np.flatnonzero(faces.scores < self._high_score)
        ages = np.array([now - life.latest.last_seen_seconds for life in self._lives])
        fresh, lost = (np.flatnonzero(rows).tolist() for rows in (ages <= _FRESH_SECONDS, ages > _FRESH_SECONDS))
        # Where a lost face should be by now is a guess, so who was seen just before goes first.
        pairs = self._assign(fresh, faces, sure, now, _SURE_OVERLAP)
        pairs += self._assign(lost, faces, _without(sure, pairs), now, _SURE_OVERLAP)
        waiting = [index for index in range(len(self._lives)) if index not in {life for life, _ in pairs}]
        pairs += self._assign(waiting, faces, doubtful, now, _DOUBTFUL_OVERLAP)
        tracks = [self._continue(self._lives[life], faces, row, now) for life, row in pairs]
        taken = {row for _, row in pairs}
        return tracks + [self._start(faces, int(row), now) for row in sure if row not in taken]

    def _assign(
        self,
        waiting: list[int],
        faces: Faces,
        rows: Rows,
        now: float,
        least: float,
    ) -> list[tuple[int, int]]:
        """Return (index of a life, row of faces) pairs of the assignment with the largest total overlap."""
        if not waiting or not len(rows):
            return []
        expected = np.stack([self._lives[index].motion.predicted(now) for index in waiting])
        overlaps = geometry.iou(_grown(expected), _grown(faces.xyxy[rows]))
        # Jonker and Volgenant's algorithm; a pair that overlaps less than `least` is dearer than leaving both alone.
        _, columns, _ = lap.lapjv(1 - overlaps.astype(np.float64), extend_cost=True, cost_limit=1 - least)
        return [(waiting[i], int(rows[j])) for i, j in enumerate(columns) if j >= 0]

    def _start(self, faces: Faces, row: int, now: float) -> Track:
        track = _track(self._next_id, faces, row, now, now)
        self._lives.append(_Life(self._next_id, BoxMotion(faces.xyxy[row], now), track))
        self._next_id += 1
        return track

    @staticmethod
    def _continue(life: _Life, faces: Faces, row: int, now: float) -> Track:
        life.motion.measure(faces.xyxy[row], now)
        life.latest = _track(life.track_id, faces, row, life.latest.first_seen_seconds, now)
        return life.latest

    def _predicted(self, life: _Life, frame: Frame) -> Track | None:
        """Return the track at its predicted place; None where it has been lost too long or has left the picture."""
        latest = life.latest
        if frame.pts_seconds - latest.last_seen_seconds > self._max_predicted_seconds:
            return None
        whole = life.motion.predicted(frame.pts_seconds)[None]
        inside = geometry.clip(whole, frame.picture.width, frame.picture.height)
        if geometry.areas(inside)[0] < _LEAST_VISIBLE * geometry.areas(whole)[0]:
            return None
        return Track(
            track_id=latest.track_id,
            xyxy=inside[0],
            landmarks=None,
            score=latest.score,
            is_detected=False,
            first_seen_seconds=latest.first_seen_seconds,
            last_seen_seconds=latest.last_seen_seconds,
        )


def _without(rows: Rows, pairs: list[tuple[int, int]]) -> Rows:
    return np.setdiff1d(rows, np.array([row for _, row in pairs], np.intp))


def _grown(xyxy: Float32) -> Float32:
    margins = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0) * np.float32(_GROWTH)
    return np.concatenate([xyxy[:, :2] - margins, xyxy[:, 2:] + margins], axis=1)


def _track(track_id: int, faces: Faces, row: int, first_seen_seconds: float, now: float) -> Track:
    return Track(
        track_id=track_id,
        xyxy=faces.xyxy[row],
        landmarks=faces.landmarks[row],
        score=float(faces.scores[row]),
        is_detected=True,
        first_seen_seconds=first_seen_seconds,
        last_seen_seconds=now,
    )
