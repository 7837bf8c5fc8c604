"""When it is in doubt who stands behind a track: after an absence, a sudden change, or a merge of two boxes.

Doubts are cheap, and settled by looks: here nobody is told from anybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer import geometry
from streamer.dossiers import Face, Trail
from streamer.label_policy import LabelPolicy
from streamer.recognition.glimpse import glimpse, is_other
from streamer.types import Frame, Track

# Two boxes have come apart where they overlap by less than this share of what merges them.
_APART = 0.5
# A glimpse that is older than this says nothing of a sudden change.
_GLIMPSE_SECONDS = 0.5


def note_sight(trail: Trail, frame: Frame, track: Track, policy: LabelPolicy, *, notices_changes: bool) -> None:
    """Note that a trail's face is seen in a frame, and whether it was away or has changed.

    Args:
        trail: The trail.
        frame: The frame.
        track: The trail's track in it.
        policy: After how long a face was away.
        notices_changes: It is compared with the frame before.
    """
    now, away = frame.pts_seconds, frame.pts_seconds - trail.detected_seconds
    trail.detected_seconds = now
    if np.isfinite(away) and away > policy.absence_seconds:
        trail.turn(now)
    if notices_changes and track.landmarks is not None:
        seen = glimpse(frame.picture, track.landmarks)
        if trail.glimpse is not None and away <= _GLIMPSE_SECONDS and is_other(trail.glimpse, seen):
            trail.turn(now)
        trail.glimpse = seen
    if not (trail.wants_look or trail.is_merged or trail.dissent):
        trail.doubt_seconds = None  # it was only out of sight for a moment


def note_merges(faces: Sequence[Face], policy: LabelPolicy) -> None:
    """Note which faces of a frame overlap, so that their tracks may change places, and which have come apart."""
    if not faces:
        return
    boxes = np.stack([face.track.xyxy for face in faces])
    overlaps = geometry.iou(boxes, boxes)
    np.fill_diagonal(overlaps, 0)
    for face, overlap in zip(faces, overlaps.max(axis=1).tolist(), strict=True):
        trail = face.trail
        if overlap >= policy.merge_iou:
            trail.is_merged = trail.was_merged = True
            trail.doubt(face.seconds)
        elif trail.is_merged and overlap < _APART * policy.merge_iou:
            trail.is_merged, trail.wants_look = False, True
