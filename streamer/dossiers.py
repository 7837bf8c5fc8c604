"""Dossiers: what is known of each person in a source's frames, and which of them stands behind which track.

A tracker follows places, a dossier is about a person. A track (here with all that is kept of it: a trail) has one
dossier all its life as a rule; casebook.py says when it gets another. A dossier's number is what results call
`track_id`, so that ids change only where people do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from streamer.emotion.smoothing import EmotionSmoother
from streamer.label_policy import LabelPolicy
from streamer.recognition.glimpse import Glimpse, is_other
from streamer.recognition.vote import TrackEvidence
from streamer.types import Emotion, Float32, Identity, Look, Track


@dataclass(slots=True, eq=False)
class Told:
    """What results have said so far of one track_id; times in stream seconds."""

    name: str | None = None
    was_named: bool = False
    has_appeared: bool = False
    has_left: bool = False
    first_seconds: float | None = None
    shown_seconds: float = -np.inf


@dataclass(slots=True, eq=False)
class Dossier:
    """What is known of one person; times in stream seconds.

    Attributes:
        track_id: What results call the person's track.
        smoother: Of the emotion.
        begin_seconds: The first frame that it is about, since it was last taken up.
        evidence: What was seen of the face.
        identity: The answer that it has come to; None: not assessed.
        doubts: How often in a row the evidence has said otherwise than `identity` without being sure.
        was_sure: The answer was sure when it was given.
        candidates: The names that the evidence allows, best first; None: not asked since it last changed.
        emotion: As it now stands.
        shown_seconds: The last frame that it is about.
        is_known: That it is not about an earlier person has been settled.
        comparisons: How many looks were compared with earlier people's.
        left_trail: The trail that it was on when somebody else turned out to stand there.
        told: What results have said.
        lost_to: By name, who had the better claim to it in a frame that showed both.
        denied: Names that somebody who saw the face said are not its person's.
    """

    track_id: int
    smoother: EmotionSmoother
    begin_seconds: float
    evidence: TrackEvidence = field(default_factory=TrackEvidence)
    identity: Identity | None = None
    doubts: int = 0
    was_sure: bool = False
    candidates: tuple[Identity, ...] | None = None
    emotion: Emotion | None = None
    shown_seconds: float = -np.inf
    is_known: bool = False
    comparisons: int = 0
    left_trail: Trail | None = None
    told: Told = field(default_factory=Told)
    lost_to: dict[str, Dossier] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)

    @property
    def name(self) -> str | None:
        """The name that the evidence has come to, if any."""
        return self.identity.name if self.identity is not None else None

    def is_sure(self, policy: LabelPolicy) -> bool:
        """Say whether more looks would hardly change the answer."""
        return (
            self.identity is not None
            and self.doubts == 0
            and self.evidence.samples >= (policy.sure_samples if self.name is not None else policy.unknown_samples)
            and self.identity.probability >= policy.sure_probability
        )

    def learn(self, vector: Float32, quality: float) -> None:
        """Take the (D,) unit vector of a look as evidence."""
        self.evidence.add(vector, quality)
        self.candidates = None

    def likeness(self, other: Dossier) -> float:
        """Return the mean cosine between the views of two faces.

        A mean of cosines has the mean of their distribution and less spread, so a threshold for two single views holds.
        """
        return float(self.evidence.mean() @ other.evidence.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """One look at a track's face.

    Attributes:
        seconds: When.
        vector: (D,) float32 unit vector.
        quality: What the view is worth.
        answer: What it says by itself.
        is_whole: The picture's edge does not cut the face off; if it does, the face looks like somebody else's.
    """

    seconds: float
    vector: Float32
    quality: float
    answer: Identity
    is_whole: bool = True


@dataclass(slots=True, eq=False)
class Face:
    """One track in one frame, and whom it shows; `dossier` and `is_shown` may still change while the frame waits.

    It holds no picture: trails keep faces for longer than frames are kept.
    """

    seconds: float
    track: Track
    trail: Trail
    dossier: Dossier
    emotion: Emotion | None = None
    look: Look | None = None
    is_shown: bool = True

    @property
    def landmarks(self) -> Float32:
        """The track's landmarks, which it must have."""
        if self.track.landmarks is None:
            raise AssertionError("only faces with landmarks are due for a model")
        return self.track.landmarks


@dataclass(slots=True, eq=False)
class Trail:
    """One track of the tracker; times in stream seconds, long ago where it has not happened.

    Attributes:
        dossier: Whom it shows now.
        faces: The latest ones, back to as long ago as frames may wait.
        dissent: The looks in a row that said somebody else.
        wants_look: Somebody else may stand there since the last look.
        doubt_seconds: Since when somebody else may stand there; None: it is known who does.
        turn_seconds: The frame in which the face came back or changed; None: since the last look it did neither.
        is_merged: Its box overlaps another one.
        was_merged: It did since the last look that showed who stands there.
        is_over: It will not be seen again.
        glimpse: The last one.
        embedded_glimpse: The one of the last look.
    """

    dossier: Dossier
    faces: deque[Face] = field(default_factory=deque)
    dissent: list[Glance] = field(default_factory=list)
    wants_look: bool = False
    doubt_seconds: float | None = None
    turn_seconds: float | None = None
    is_merged: bool = False
    was_merged: bool = False
    is_over: bool = False
    glimpse: Glimpse | None = None
    embedded_glimpse: Glimpse | None = None
    embedded_seconds: float = -np.inf
    emotion_seconds: float = -np.inf
    detected_seconds: float = -np.inf
    shown_seconds: float = -np.inf

    @property
    def is_seen_otherwise(self) -> bool:
        """Say whether the face looks another way than when it was last embedded."""
        before, now = self.embedded_glimpse, self.glimpse
        return before is not None and now is not None and is_other(before, now)

    def doubt(self, since: float) -> None:
        """Note that somebody else may stand there from now on."""
        self.doubt_seconds = since if self.doubt_seconds is None else self.doubt_seconds

    def turn(self, now: float) -> None:
        """Note that the face came back or changed in this frame."""
        self.doubt(now)
        self.turn_seconds, self.wants_look = now, True

    def settle(self) -> None:
        """Note that a look has shown who stands there."""
        self.dissent, self.wants_look, self.turn_seconds = [], False, None
        self.was_merged = self.is_merged
        self.doubt_seconds = self.doubt_seconds if self.is_merged else None

    def end(self) -> None:
        """Note that it will not be seen again."""
        self.is_over = True
        self.faces.clear()
