"""TrackLabeller: which tracks are due for which model, and what each track's labels are now.

An identity belongs to the track, not to the frame: it rests on the track's evidence so far (recognition/vote.py), with
"unknown" as one of the answers, and may change as better evidence comes. All due crops of a round (one frame of each
source) go through a model in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from streamer.emotion.smoothing import EmotionSmoother
from streamer.recognition.vote import TrackEvidence, one_name_once, shorter_side, view_quality
from streamer.stages import Embedder, EmotionClassifier, Matcher
from streamer.stats import RunStats
from streamer.types import Annotation, Emotion, Event, Float32, Frame, Identity, Look, Track

# Times are compared with a millisecond of grace: 0.2 s is five frames at 25 fps also where they are rounded.
_GRACE_SECONDS = 1e-3
# Similarity by which a rival must be better to take a name over: views of one person differ by about as much.
_HOLDER_ADVANTAGE = 0.02


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """When a track is due for a model; every duration in seconds of stream time.

    Attributes:
        embed_every_seconds: While the identity is unsure.
        refresh_seconds: While it is sure.
        sure_probability: From here on an answer is sure, once it rests on `sure_samples` views.
        sure_samples: See there.
        looks_to_rename: So many looks in a row at somebody else replace all evidence before; one is enough for a track
            that is back from absence.
        looks_to_unname: The same for looks at nobody in the gallery; one look fewer after absence.
        better_quality: A view better by this factor than the best so far is embedded early.
        absence_seconds: A track back after so long is embedded at once: somebody else may stand there.
        min_face_pixels: Smaller faces are not embedded, nor their emotion read: there is too little to see.
        embeddings_per_frame: At most so many tracks of a frame are embedded, the longest waiting first.
        emotion_every_seconds: How often the emotion is read.
        emotion_smoothing_seconds: Time constant of the emotion.
        left_after_seconds: A track not seen for so long has left.
        keep_looks: Each view that is embedded goes into its annotation.
    """

    embed_every_seconds: float = 0.4
    refresh_seconds: float = 3.0
    sure_probability: float = 0.9
    sure_samples: int = 3
    looks_to_rename: int = 2
    looks_to_unname: int = 3
    better_quality: float = 1.4
    absence_seconds: float = 0.5
    min_face_pixels: float = 24.0
    embeddings_per_frame: int = 32
    emotion_every_seconds: float = 0.12
    emotion_smoothing_seconds: float = 0.5
    left_after_seconds: float = 1.0
    keep_looks: bool = False


@dataclass(frozen=True, slots=True)
class Recognition:
    """The two models that say who somebody is; they belong together.

    Attributes:
        embedder: Looks at faces.
        matcher: None: nobody is enrolled, so nobody is assessed, but looks are kept.
    """

    embedder: Embedder
    matcher: Matcher | None


@dataclass(frozen=True, slots=True)
class Labelled:
    """One frame's tracks with their labels, and what happened."""

    annotations: tuple[Annotation, ...]
    events: tuple[Event, ...]


@dataclass(slots=True)
class _Labels:
    """What is known of one track; times in stream seconds, long ago where it has not happened."""

    smoother: EmotionSmoother
    evidence: TrackEvidence = field(default_factory=TrackEvidence)
    dissents: int = 0  # looks in a row that said somebody else than the identity does
    identity: Identity | None = None
    emotion: Emotion | None = None
    look: Look | None = None  # in the frame in hand
    announced_name: str | None = None
    is_new: bool = True
    embedded_seconds: float = -np.inf
    emotion_seconds: float = -np.inf
    detected_seconds: float = -np.inf
    came_back_seconds: float = -np.inf
    shown_seconds: float = -np.inf


@dataclass(frozen=True, slots=True)
class _View:
    """One track in one frame, beside what is known of it."""

    frame: Frame
    track: Track
    labels: _Labels

    @property
    def now(self) -> float:
        return self.frame.pts_seconds

    @property
    def landmarks(self) -> Float32:
        if self.track.landmarks is None:
            raise AssertionError("only views with landmarks are due for a model")
        return self.track.landmarks


class TrackLabeller:
    """Gives the tracks of any number of sources their names and emotions.

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
        self._recognition, self._emotion = recognition, emotion
        self._policy = policy if policy is not None else LabelPolicy()
        self._stats = stats if stats is not None else RunStats()
        self._known: dict[str, dict[int, _Labels]] = {}

    def label(self, frames: Sequence[Frame], tracks: Sequence[Sequence[Track]]) -> list[Labelled]:
        """Label one frame of each source.

        Args:
            frames: At most one frame a source.
            tracks: The tracks in each.

        Returns:
            One Labelled a frame.
        """
        views = [[self._view(frame, track) for track in own] for frame, own in zip(frames, tracks, strict=True)]
        legible = [[view for view in own if self._is_legible(view.track)] for own in views]
        if self._recognition is not None:
            self._identify(self._recognition, [view for own in legible for view in self._due_for_embedding(own)])
        if self._emotion is not None:
            self._read(self._emotion, [view for own in legible for view in own if self._is_due_for_emotion(view)])
        return [self._labelled(frame, own) for frame, own in zip(frames, views, strict=True)]

    def begin(self, source_id: str) -> None:
        """Forget all tracks of a source."""
        self._known.pop(source_id, None)

    def cut(self, frame: Frame) -> tuple[Event, ...]:
        """Forget the tracks of the frame's source, because a new shot begins with it; return what happened."""
        left = self._known.pop(frame.source_id, {})
        return (Event("cut", frame.pts_seconds), *(_left(frame, *item) for item in left.items()))

    def _view(self, frame: Frame, track: Track) -> _View:
        known = self._known.setdefault(frame.source_id, {})
        if track.track_id not in known:
            known[track.track_id] = _Labels(EmotionSmoother(self._policy.emotion_smoothing_seconds))
        labels = known[track.track_id]
        if track.is_detected:
            if frame.pts_seconds - labels.detected_seconds > self._policy.absence_seconds:
                labels.came_back_seconds = frame.pts_seconds
            labels.detected_seconds = frame.pts_seconds
        labels.shown_seconds = frame.pts_seconds
        return _View(frame, track, labels)

    def _is_legible(self, track: Track) -> bool:
        if track.landmarks is None or shorter_side(track) < self._policy.min_face_pixels:
            return False
        return float(np.ptp(track.landmarks)) > 1.0  # a detector without landmarks may give five equal ones

    def _due_for_embedding(self, views: list[_View]) -> list[_View]:
        """Return the views of one frame to embed now, the longest waiting first, within the budget."""
        due = [view for view in views if self._is_due_for_embedding(view)]
        due.sort(key=lambda view: (view.labels.embedded_seconds, view.track.track_id))
        return due[: self._policy.embeddings_per_frame]

    def _is_due_for_embedding(self, view: _View) -> bool:
        policy, labels = self._policy, view.labels
        waited = view.now - labels.embedded_seconds + _GRACE_SECONDS
        if labels.came_back_seconds > labels.embedded_seconds or waited >= policy.refresh_seconds:
            return True
        is_better = view_quality(view.track) > policy.better_quality * labels.evidence.best_quality
        if is_better and waited >= policy.embed_every_seconds / 2:
            return True
        is_sure = (
            labels.identity is not None
            and labels.dissents == 0
            and labels.evidence.samples >= policy.sure_samples
            and labels.identity.probability >= policy.sure_probability
        )
        return not is_sure and waited >= policy.embed_every_seconds

    def _is_due_for_emotion(self, view: _View) -> bool:
        return view.now - view.labels.emotion_seconds + _GRACE_SECONDS >= self._policy.emotion_every_seconds

    def _identify(self, recognition: Recognition, due: list[_View]) -> None:
        if not due:
            return
        with self._stats.time("embed"):
            crops = np.stack([recognition.embedder.crop(view.frame.picture, view.landmarks) for view in due])
            vectors = recognition.embedder.embed(crops)
        if self._policy.keep_looks:
            for view, vector, crop in zip(due, vectors, crops, strict=True):
                view.labels.look = Look(vector, view_quality(view.track), crop)
        if recognition.matcher is None:
            for view, vector in zip(due, vectors, strict=True):
                view.labels.evidence.add(vector, view_quality(view.track))
                view.labels.embedded_seconds = view.now
            return
        for view, vector, look in zip(due, vectors, recognition.matcher.match(vectors), strict=True):
            quality = view_quality(view.track)
            if self._is_somebody_else(view.labels, look, quality):
                view.labels.evidence, view.labels.dissents = TrackEvidence(), 0
            view.labels.evidence.add(vector, quality)
            view.labels.embedded_seconds = view.now
        answers = recognition.matcher.match(np.stack([view.labels.evidence.mean() for view in due]))
        for view, answer in zip(due, answers, strict=True):
            view.labels.identity = replace(answer, samples=view.labels.evidence.samples)

    def _is_somebody_else(self, labels: _Labels, look: Identity, quality: float) -> bool:
        """Say whether a track has gone over to somebody else, and count the looks that say so.

        The evidence's mean alone would turn only after as much new evidence as there is old.
        """
        known = labels.identity
        dissents = known is not None and look.name != known.name and quality >= labels.evidence.best_quality / 2
        labels.dissents = labels.dissents + 1 if dissents else 0
        needed = self._policy.looks_to_rename if look.name is not None else self._policy.looks_to_unname
        if labels.came_back_seconds > labels.embedded_seconds:
            needed -= 1
        return dissents and labels.dissents >= needed

    def _read(self, classifier: EmotionClassifier, due: list[_View]) -> None:
        if not due:
            return
        with self._stats.time("emotion"):
            crops = np.stack([classifier.crop(view.frame.picture, view.landmarks) for view in due])
            rows = classifier.classify(crops)
        for view, probabilities in zip(due, rows, strict=True):
            view.labels.emotion = view.labels.smoother.update(probabilities, view.now)
            view.labels.emotion_seconds = view.now

    def _labelled(self, frame: Frame, views: list[_View]) -> Labelled:
        identities = one_name_once([view.labels.identity for view in views], [_advantage(view) for view in views])
        annotations, events = [], self._departed(frame)
        for view, identity in zip(views, identities, strict=True):
            events += _news(view, identity.name if identity is not None else None)
            annotations.append(Annotation(view.track, identity, view.labels.emotion, view.labels.look))
            view.labels.look = None
        return Labelled(tuple(annotations), tuple(events))

    def _departed(self, frame: Frame) -> list[Event]:
        """Forget the tracks that have not been seen for long; return an event for each."""
        known = self._known.get(frame.source_id, {})
        limit = frame.pts_seconds - self._policy.left_after_seconds
        gone = [track_id for track_id, labels in known.items() if labels.shown_seconds < limit]
        return [_left(frame, track_id, known.pop(track_id)) for track_id in gone]


def _advantage(view: _View) -> float:
    """Return what a face has over others that claim its name: who is seen before who is not, who had it before."""
    labels = view.labels
    held = labels.identity is not None and labels.identity.name == labels.announced_name
    return (0.0 if view.track.is_detected else -1.0) + (_HOLDER_ADVANTAGE if held else 0.0)


def _left(frame: Frame, track_id: int, labels: _Labels) -> Event:
    return Event("left", frame.pts_seconds, track_id, labels.announced_name)


def _news(view: _View, name: str | None) -> list[Event]:
    """Return what is new of a track in this frame, and remember that it was announced."""
    labels, track_id, events = view.labels, view.track.track_id, []
    if labels.is_new:
        events.append(Event("appeared", view.now, track_id))
    if name is not None and labels.announced_name is None:
        events.append(Event("identified", view.now, track_id, name))
    elif name != labels.announced_name:
        events.append(Event("renamed", view.now, track_id, name))
    labels.is_new, labels.announced_name = False, name
    return events
