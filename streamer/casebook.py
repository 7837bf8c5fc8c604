"""Casebook: decides whose dossier stands behind each of a source's tracks, frame by frame.

A track's dossier is exchanged where looks at its face say that it is somebody else's (two crossed, one left and another
came), and an old one is taken up again where somebody is back, also after a shot cut. Everything is decided from looks
(embeddings), from glimpses and from stream time; no model is run here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.dissent import agrees, is_believed, may_be_same, was_half_seen
from streamer.dossiers import Dossier, Face, Glance, Trail
from streamer.doubts import note_merges, note_sight
from streamer.emotion.smoothing import EmotionSmoother
from streamer.label_policy import LabelPolicy
from streamer.recognition.vote import TrackEvidence
from streamer.revival import returning
from streamer.types import Frame, Track

# So many people who have left are remembered at most, the latest ones.
_MOST_LOST = 500
# So many looks at a new face are compared with those who were there before: the first often see only half of it.
_MOST_COMPARISONS = 6
_MOMENT_SECONDS = 1e-6  # between two frames there is more


class Casebook:
    """The dossiers of one source.

    Args:
        policy: When somebody else is believed to stand there.
        remembered_seconds: How far back a face's dossier may still be changed.
        notices_changes: Faces are compared from frame to frame; of use only where they are embedded.
    """

    def __init__(self, policy: LabelPolicy, remembered_seconds: float, *, notices_changes: bool) -> None:
        self._policy, self._remembered_seconds = policy, remembered_seconds
        self._notices_changes = notices_changes
        self._trails: dict[int, Trail] = {}
        self._lost: list[Dossier] = []
        self._next_id = 1

    def see(self, frame: Frame, tracks: Sequence[Track]) -> list[Face]:
        """Take the tracks of the next frame and return its faces."""
        now = frame.pts_seconds
        limit = now - self._policy.left_after_seconds
        self._end([key for key, trail in self._trails.items() if trail.shown_seconds < limit])
        self._lost = [old for old in self._lost if old.shown_seconds >= now - self._policy.revive_seconds]
        faces = [self._face(frame, track) for track in tracks]
        if self._notices_changes:
            note_merges(faces, self._policy)
        return faces

    def cut(self) -> None:
        """End all trails: a new shot begins, in which nobody stands where they stood."""
        self._end(list(self._trails))

    @property
    def trails(self) -> list[Trail]:
        """The tracks that may still be seen."""
        return list(self._trails.values())

    def dossiers(self) -> list[Dossier]:
        """Return all dossiers whose name may still be shown, or decide whose name is."""
        found = [trail.dossier for trail in self._trails.values()] + self._lost
        found += [face.dossier for trail in self._trails.values() for face in trail.faces]
        found += [holder for dossier in list(found) for holder in dossier.lost_to.values()]
        return list({id(dossier): dossier for dossier in found}.values())

    def hear(self, track_id: int, name: str, *, is_theirs: bool) -> None:
        """Take somebody's word that a track's face is, or is not, a person's; of one that is gone it is of no use."""
        for dossier in self.dossiers():
            if dossier.track_id != track_id:
                continue
            if not is_theirs:
                dossier.denied.add(name)
                continue
            dossier.denied.discard(name)
            dossier.lost_to.pop(name, None)
            # Whoever is seen beside the face is not that person, then.
            for trail in self._trails.values():
                if trail.dossier is not dossier and trail.shown_seconds == dossier.shown_seconds:
                    trail.dossier.lost_to[name] = dossier

    def _end(self, keys: Sequence[int]) -> None:
        for key in keys:
            trail = self._trails.pop(key)
            trail.end()
            self._lose(trail.dossier)

    def _lose(self, dossier: Dossier) -> None:
        if dossier.evidence.samples:
            self._lost = [*self._lost[1 - _MOST_LOST :], dossier]

    def _new_dossier(self, begin_seconds: float, like: Dossier | None = None) -> Dossier:
        """Return an empty dossier; `like`: about the same person as far as results go."""
        smoother = EmotionSmoother(self._policy.emotion)
        if like is not None:
            new = Dossier(like.track_id, smoother, begin_seconds, told=like.told, is_known=True, lost_to=like.lost_to)
            if self._policy.same_similarity is not None:  # otherwise it may be anybody
                new.denied = like.denied
            return new
        self._next_id += 1
        return Dossier(self._next_id - 1, smoother, begin_seconds)

    def _face(self, frame: Frame, track: Track) -> Face:
        now = frame.pts_seconds
        trail = self._trails.get(track.track_id)
        if trail is None:
            trail = self._trails[track.track_id] = Trail(self._new_dossier(now))
            trail.dossier.told.first_seconds = track.first_seen_seconds
        if track.is_detected:
            note_sight(trail, frame, track, self._policy, notices_changes=self._notices_changes)
        else:
            trail.doubt(now)
        trail.shown_seconds = trail.dossier.shown_seconds = now
        face = Face(now, track, trail, trail.dossier)
        trail.faces.append(face)
        while trail.faces[0].seconds < now - self._remembered_seconds:
            trail.faces.popleft()
        return face

    # ---- what looks at faces say

    def judge(self, looks: Sequence[tuple[Face, Glance]]) -> list[Dossier]:
        """Take looks at faces of one frame; return the dossiers about which something new is known."""
        trails: list[Trail] = []
        glances: list[Glance] = []
        for face, glance in looks:
            trail = face.trail
            trail.embedded_seconds, trail.wants_look = glance.seconds, False
            trail.embedded_glimpse = trail.glimpse
            if agrees(trail, glance, self._policy):
                self._confirm(trail, glance)
            elif not glance.is_whole or not self._dissents(trail, glance):
                continue
            trails.append(trail)
            glances.append(glance)
        self._revive(trails, glances, max((glance.seconds for _, glance in looks), default=0.0))
        return [trail.dossier for trail in trails]

    def _confirm(self, trail: Trail, glance: Glance) -> None:
        """Take a look that agrees as evidence, and those before it that did not but may show the same person, too.

        Left out, those that happened to agree with the first look would decide alone.
        """
        dossier = trail.dossier
        # Another face before or behind this one may be in the view of a merged one.
        if not trail.is_merged or not dossier.evidence.samples:
            known = dossier.evidence.mean() if trail.dissent else glance.vector
            for odd in trail.dissent:
                if may_be_same(odd, known, self._policy):
                    dossier.learn(odd.vector, odd.quality)
            dossier.learn(glance.vector, glance.quality)
        trail.settle()

    def _dissents(self, trail: Trail, glance: Glance) -> bool:
        """Note a look at somebody else; say whether it is believed now that somebody else stands there."""
        trail.dissent.append(glance)
        trail.doubt(glance.seconds)
        if not is_believed(trail, self._policy):
            return False
        self._turn_over(trail)
        return True

    def _turn_over(self, trail: Trail) -> None:
        """Give a trail a new dossier from the moment on at which somebody else came to stand there."""
        old, same = trail.dossier, self._policy.same_similarity
        since = min(trail.dissent[0].seconds, trail.turn_seconds if trail.turn_seconds is not None else np.inf)
        evidence = TrackEvidence()
        for glance in trail.dissent:
            evidence.add(glance.vector, glance.quality)
        if was_half_seen(trail, evidence, since, self._policy):
            # The same person, of whom all frames so far get the better answer.
            old.evidence, old.candidates, old.comparisons = evidence, None, 0
            trail.settle()
            return
        if same is None or float(evidence.mean() @ old.evidence.mean()) >= same:
            # The same person, or nobody can say: what was known was wrong, and the id stays.
            new = self._new_dossier(since, like=old)
        else:
            new = self._new_dossier(since)
            new.told.first_seconds = since
            old.left_trail = trail
            self._lose(old)
        new.evidence = evidence
        new.shown_seconds, old.shown_seconds = trail.shown_seconds, since - _MOMENT_SECONDS
        self._bind(trail, old, new, since)
        self._hide_unseen(trail, since)
        trail.dossier, trail.emotion_seconds = new, -np.inf
        trail.settle()

    @staticmethod
    def _bind(trail: Trail, old: Dossier, new: Dossier, since: float) -> None:
        """Let those of a trail's faces from `since` on that showed `old` show `new`."""
        for face in trail.faces:
            if face.dossier is old and face.seconds >= since:
                face.dossier = new

    @staticmethod
    def _hide_unseen(trail: Trail, since: float) -> None:
        """Show nobody in the frames between the last of one person and the first of the next."""
        for face in reversed(trail.faces):
            if face.seconds < since:
                if face.track.is_detected:
                    return
                face.is_shown = False

    # ---- who is back

    def _revive(self, fresh: Sequence[Trail], glances: Sequence[Glance], now: float) -> None:
        """Give the trails of new dossiers the old ones of those who are back."""
        rows = [
            row
            for row, (trail, glance) in enumerate(zip(fresh, glances, strict=True))
            if glance.is_whole and self._may_be_back(trail.dossier)
        ]
        if not rows or self._policy.revive_seconds == 0:
            return
        hidden = [trail.dossier for trail in self._trails.values() if trail.shown_seconds < now]
        back = returning(
            [(fresh[row].dossier, glances[row]) for row in rows],
            [old for old in [*self._lost, *hidden] if old.evidence.samples],
            self._policy,
        )
        for row, old in zip(rows, back, strict=True):
            fresh[row].dossier.comparisons += 1
            if old is not None:
                self._take_up(fresh[row], old)

    def _may_be_back(self, dossier: Dossier) -> bool:
        return not dossier.is_known and dossier.comparisons < _MOST_COMPARISONS

    def _take_up(self, trail: Trail, old: Dossier) -> None:
        """Let a trail go on under an old dossier, which learns what its new one knew."""
        new = trail.dossier
        self._release(old, trail, new.begin_seconds)
        was_here = any(face.dossier is old for face in trail.faces)
        for face in trail.faces:
            # Short mistakes between an old dossier's faces are put right, too.
            is_mistake = was_here and face.seconds > old.shown_seconds
            if face.dossier is new or (is_mistake and face.dossier.evidence.samples < self._policy.sure_samples):
                face.dossier = old
        old.evidence.absorb(new.evidence)
        new.smoother.inherit(old.smoother)
        old.candidates, old.smoother, old.emotion = None, new.smoother, new.emotion
        old.begin_seconds, old.shown_seconds = new.begin_seconds, trail.shown_seconds
        old.denied |= new.denied
        old.is_known, trail.dossier = True, old

    def _release(self, old: Dossier, taker: Trail, since: float) -> None:
        """Let nobody but the taker have a dossier any more from a moment on."""
        self._lost = [dossier for dossier in self._lost if dossier is not old]
        for key in [key for key, trail in self._trails.items() if trail.dossier is old]:
            self._trails.pop(key).end()
        if old.left_trail is not None and old.left_trail is not taker:
            self._bind(old.left_trail, old, old.left_trail.dossier, since)
        old.left_trail = None
