"""EmotionReader: reads the emotions of faces that are due, where their views tell any; all in one call of the net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamer.dossiers import Face
from streamer.effort import Effort
from streamer.emotion.legibility import View, is_well_placed, view_of
from streamer.emotion.policy import EmotionPolicy
from streamer.recognition.vote import shorter_side, view_quality
from streamer.stages import Crops, EmotionClassifier
from streamer.stats import RunStats
from streamer.types import Frame

# Times are compared with a millisecond of grace: 0.2 s is five frames at 25 fps also where they are rounded.
_GRACE_SECONDS = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class _Sight:
    """A face that is due, with its crop and what that is worth."""

    face: Face
    crop: Crops
    view: View


class EmotionReader:
    """Reads emotions.

    Args:
        classifier: What reads them.
        policy: When a face is due, and what views tell an emotion.
        stats: Where the net's times go, the cutting of its crops included.
    """

    def __init__(self, classifier: EmotionClassifier, policy: EmotionPolicy, stats: RunStats) -> None:
        self._classifier, self._policy, self._stats = classifier, policy, stats

    def read(self, frames: Sequence[Frame], faces: Sequence[Sequence[Face]], efforts: Sequence[Effort]) -> None:
        """Look at those faces of each frame that are due under its effort; each of them must have landmarks."""
        due = [
            (frame, face)
            for frame, own, effort in zip(frames, faces, efforts, strict=True)
            for face in own
            if self._is_due(face, effort)
        ]
        if not due:
            return
        with self._stats.time("emotion"):
            sights = [sight for frame, face in due if (sight := self._seen(frame, face)) is not None]
            if sights:
                rows = self._classifier.classify(np.stack([sight.crop for sight in sights]))
                for sight, row in zip(sights, rows, strict=True):
                    dossier = sight.face.dossier
                    dossier.emotion = dossier.smoother.update(row, sight.face.seconds, sight.view)

    def _is_due(self, face: Face, effort: Effort) -> bool:
        # A change under way is settled by looks at twice the rate; there are few of them.
        every = effort.look_seconds(self._policy.every_seconds) / (2 if face.dossier.smoother.is_changing else 1)
        return face.seconds - face.trail.emotion_seconds + _GRACE_SECONDS >= every

    def _seen(self, frame: Frame, face: Face) -> _Sight | None:
        """Return what is to be read; None where the view tells nothing, and probabilities are known already."""
        face.trail.emotion_seconds = face.seconds
        smoother = face.dossier.smoother
        is_placed = is_well_placed(face.landmarks, shorter_side(face.track), self._policy)
        if is_placed or smoother.emotion is None:
            crop = self._classifier.crop(frame.picture, face.landmarks)
            view = view_of(crop, view_quality(face.track), self._policy, is_placed=is_placed)
            if view.is_legible or smoother.emotion is None:
                return _Sight(face, crop, view)
        face.dossier.emotion = smoother.miss(face.seconds)
        return None
