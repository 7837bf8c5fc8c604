"""TrackLabeller: which tracks are due for which model, and what is known of whom they show.

An identity belongs to a person, not to a frame or a place: it rests on all looks at the face so far (dossiers.py,
recognition/vote.py), with "unknown" as one of the answers, and may change as better evidence comes. All due crops of a
round (one frame of each source) go through a model in one call. What a frame then says of its faces is decided when it
leaves (lookahead.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.answering import Word, answer_anew, nobody, single_answers, take_answers
from streamer.budget import Budget
from streamer.casebook import Casebook
from streamer.dossiers import Dossier, Face, Glance
from streamer.effort import FULL, Effort
from streamer.label_policy import LabelPolicy
from streamer.reading import EmotionReader
from streamer.recognition.vote import is_whole, shorter_side, view_quality
from streamer.stages import Embedder, EmotionClassifier, Matcher
from streamer.stats import RunStats
from streamer.types import Frame, Look, Track

__all__ = ["LabelPolicy", "Recognition", "TrackLabeller", "Word"]

# Times are compared with a millisecond of grace: 0.2 s is five frames at 25 fps also where they are rounded.
_GRACE_SECONDS = 1e-3
_CUT_OFF_QUALITY = 0.2
# Between close looks at a face; what it shows changes no faster.
_CLOSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Recognition:
    """The two models that say who somebody is; they belong together.

    Attributes:
        embedder: Looks at faces.
        matcher: None: nobody is enrolled, so nobody is assessed; people are told apart, and looks are kept.
    """

    embedder: Embedder
    matcher: Matcher | None


@dataclass(slots=True)
class _Lane:
    """What is kept of one source."""

    casebook: Casebook
    budget: Budget
    can_wait: bool


class TrackLabeller:
    """Finds out whom the tracks of any number of sources show, and their emotions.

    Args:
        recognition: None: nobody is identified.
        emotion: None: no emotion is read.
        policy: When a track is due.
        stats: Where the models' times go, the cutting of their crops included.
    """

    def __init__(
        self,
        recognition: Recognition | None,
        emotion: EmotionClassifier | None,
        policy: LabelPolicy | None = None,
        stats: RunStats | None = None,
    ) -> None:
        self._recognition = recognition
        self.policy = policy if policy is not None else LabelPolicy()
        self._stats = stats if stats is not None else RunStats()
        self._reader = EmotionReader(emotion, self.policy.emotion, self._stats) if emotion is not None else None
        self._lanes: dict[str, _Lane] = {}
        # Filled by other threads; each operation on these is atomic.
        self._news: deque[tuple[Matcher | None, Sequence[Word]]] = deque()
        self._close: set[tuple[str, int]] = set()

    @property
    def matcher(self) -> Matcher | None:
        """What says who a vector is; None: nobody is identified."""
        return self._recognition.matcher if self._recognition is not None else None

    def know(self, matcher: Matcher | None, words: Sequence[Word] = ()) -> None:
        """Know other people from the next frame on, in which everybody has the name that they have then.

        It may be called from any thread, and is taken up when the next frame is labelled.

        Args:
            matcher: Over the people who are known now; None: there is nobody.
            words: What was said of faces that are seen.

        Raises:
            ValueError: Nobody is looked at, so nobody can be known.
        """
        if self._recognition is None:
            raise ValueError("a labeller without an embedder can know nobody")
        self._news.append((matcher, tuple(words)))

    def look_closely(self, source_id: str, track_id: int) -> None:
        """Look at a track's face whenever there is a chance to, until `look_as_usual`; from any thread."""
        self._close.add((source_id, track_id))

    def look_as_usual(self, source_id: str, track_id: int) -> None:
        """Look at a track's face no more often than is needed to name it; from any thread."""
        self._close.discard((source_id, track_id))

    def begin(self, source_id: str, *, can_wait: bool = False) -> None:
        """Forget all tracks of a source; `can_wait`: its frames wait until it is sure whom they show."""
        remembered_seconds = self.policy.look_ahead_seconds if can_wait else 0.0
        self._close -= {one for one in self._close.copy() if one[0] == source_id}  # its ids begin anew
        notices_changes = self._recognition is not None
        self._lanes[source_id] = _Lane(
            Casebook(self.policy, remembered_seconds, notices_changes=notices_changes),
            Budget(self.policy.embeddings_per_second),
            can_wait,
        )

    def cut(self, source_id: str) -> None:
        """End the tracks of a source, because a new shot begins."""
        if source_id in self._lanes:
            self._lanes[source_id].casebook.cut()

    def label(
        self, frames: Sequence[Frame], tracks: Sequence[Sequence[Track]], effort: Effort = FULL
    ) -> list[list[Face]]:
        """Find out more about the faces in one frame of each source.

        Args:
            frames: At most one frame a source.
            tracks: The tracks in each.
            effort: How much looks at faces may cost; of no effect where frames can wait.

        Returns:
            The faces of each frame, in the order of its tracks.
        """
        if self._recognition is not None and self._news:
            self._recognition = self._hear(self._recognition)
        for frame in frames:
            if frame.source_id not in self._lanes:
                self.begin(frame.source_id)
        faces = [
            self._lanes[frame.source_id].casebook.see(frame, own) for frame, own in zip(frames, tracks, strict=True)
        ]
        efforts = [FULL if self._lanes[frame.source_id].can_wait else effort for frame in frames]
        placed = [[face for face in own if _has_landmarks(face.track)] for own in faces]
        if self._recognition is not None:
            due = [self._due_for_embedding(*one) for one in zip(frames, placed, efforts, strict=True)]
            self._identify(self._recognition, frames, due)
        if self._reader is not None:
            self._reader.read(frames, placed, efforts)
        for face in (face for own in faces for face in own):
            face.emotion = face.dossier.emotion
        return faces

    def _due_for_embedding(self, frame: Frame, faces: Sequence[Face], effort: Effort) -> list[Face]:
        """Return the faces of one frame to embed now, the longest waiting (so new ones) first, within the budget."""
        large = [face for face in faces if shorter_side(face.track) >= self.policy.min_face_pixels]
        due = [face for face in large if self._is_due_for_embedding(face) or self._is_due_closely(face, frame)]
        due.sort(key=lambda face: (face.trail.embedded_seconds, face.dossier.track_id))
        budget = self._lanes[frame.source_id].budget
        chosen = due[: budget.refill(frame.pts_seconds, effort.looks)]
        budget.spend(len(chosen))
        return chosen

    def _is_due_closely(self, face: Face, frame: Frame) -> bool:
        waited = face.seconds - face.trail.embedded_seconds + _GRACE_SECONDS
        return waited >= _CLOSE_SECONDS and (frame.source_id, face.dossier.track_id) in self._close

    def _is_due_for_embedding(self, face: Face) -> bool:
        policy, trail, dossier = self.policy, face.trail, face.dossier
        waited = face.seconds - trail.embedded_seconds + _GRACE_SECONDS
        if trail.wants_look or waited >= policy.refresh_seconds:
            return True
        if trail.dissent or trail.turn_seconds is not None:
            return waited >= (policy.first_looks_seconds if trail.is_merged else policy.recheck_seconds)
        if trail.is_merged or dossier.evidence.samples < policy.sure_samples:
            return waited >= policy.first_looks_seconds
        is_better = view_quality(face.track) > policy.better_quality * dossier.evidence.best_quality
        if is_better and waited >= policy.embed_every_seconds / 2:
            return True
        if waited < policy.embed_every_seconds:
            return False
        return trail.is_seen_otherwise or not dossier.is_sure(policy)

    def _identify(self, recognition: Recognition, frames: Sequence[Frame], due: Sequence[Sequence[Face]]) -> None:
        """Look at faces, let each source's casebook judge, and answer anew where something new is known."""
        views = [(frame, face) for frame, own in zip(frames, due, strict=True) for face in own]
        if not views:
            return
        with self._stats.time("embed"):
            crops = np.stack([recognition.embedder.crop(frame.picture, face.landmarks) for frame, face in views])
            vectors = recognition.embedder.embed(crops)
        matcher = recognition.matcher
        answers = [
            nobody(answer) if answer.name in face.dossier.denied else answer
            for (_, face), answer in zip(views, single_answers(vectors, matcher), strict=True)
        ]
        whole = [is_whole(frame.picture, face.landmarks) for frame, face in views]
        qualities = [
            view_quality(face.track) * (1 if all_there else _CUT_OFF_QUALITY)
            for (_, face), all_there in zip(views, whole, strict=True)
        ]
        if self.policy.keep_looks:
            for (_, face), vector, quality, crop in zip(views, vectors, qualities, crops, strict=True):
                face.look = Look(vector, quality, crop)
        glances = iter(
            Glance(face.seconds, *rest)
            for (_, face), *rest in zip(views, vectors, qualities, answers, whole, strict=True)
        )
        changed: list[Dossier] = []
        for frame, own in zip(frames, due, strict=True):
            changed += self._lanes[frame.source_id].casebook.judge([(face, next(glances)) for face in own])
        if matcher is not None:
            take_answers(changed, matcher, self.policy)

    def _hear(self, recognition: Recognition) -> Recognition:
        """Take up whom others say is known now, and answer anew who everybody is."""
        matcher = recognition.matcher
        while self._news:
            matcher, words = self._news.popleft()
            for word in words:
                if word.source_id in self._lanes:
                    casebook = self._lanes[word.source_id].casebook
                    casebook.hear(word.track_id, word.name, is_theirs=word.is_theirs)
        for lane in list(self._lanes.values()):
            answer_anew(lane.casebook.dossiers(), lane.casebook.trails, matcher, self.policy)
        return replace(recognition, matcher=matcher)


def _has_landmarks(track: Track) -> bool:
    # A detector without landmarks may give five equal ones.
    return track.landmarks is not None and float(np.ptp(track.landmarks)) > 1.0
