"""What a frame's result says of its faces when the frame leaves: each name at most once, and what is new.

Names and events are made of what frames show, in the order in which they leave, so that they always fit each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.dossiers import Dossier, Face, Told
from streamer.recognition.vote import Claim, each_name_once
from streamer.stages import Matcher
from streamer.types import Annotation, Event, Frame, FrameResult, Identity, Track


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A frame and the faces in it, before it is said who they are.

    Attributes:
        frame: The frame.
        faces: Its faces.
        is_searched: The whole frame was searched.
        is_cut: A new shot begins with it.
    """

    frame: Frame
    faces: Sequence[Face]
    is_searched: bool
    is_cut: bool


class Teller:
    """Tells one source's sightings as results, in order.

    Args:
        matcher: Returns what says now what other names a face could have, or None: nobody is named.
        left_after_seconds: A track not shown for so long has left.
    """

    def __init__(self, matcher: Callable[[], Matcher | None], left_after_seconds: float) -> None:
        self._matcher, self._left_after_seconds = matcher, left_after_seconds
        self._here: dict[int, Told] = {}

    def tell(self, sighting: Sighting, *, is_last: bool = False) -> FrameResult:
        """Return the result of the next frame; `is_last`: all tracks leave with it."""
        now = sighting.frame.pts_seconds
        faces = sorted((face for face in sighting.faces if face.is_shown), key=lambda face: face.dossier.track_id)
        identities = self._identities(faces)
        events = [Event("cut", now)] if sighting.is_cut else []
        events += self._gone(now, -np.inf if sighting.is_cut else self._left_after_seconds)
        for face, identity in zip(faces, identities, strict=True):
            events += self._news(face, face.dossier.told.name if _is_withheld(face) else _name(identity))
        annotations = tuple(
            Annotation(_numbered(face), None if _is_withheld(face) else identity, face.emotion, face.look)
            for face, identity in zip(faces, identities, strict=True)
        )
        if is_last:
            events += self._gone(now, -np.inf)
        return FrameResult(sighting.frame, annotations, sighting.is_searched, tuple(events))

    def _identities(self, faces: Sequence[Face]) -> list[Identity | None]:
        names = Counter(face.dossier.name for face in faces if face.dossier.name is not None)
        is_barred = any(_is_barred(face.dossier, face.dossier.name) for face in faces)
        matcher = self._matcher()
        if matcher is None or (max(names.values(), default=0) < 2 and not is_barred):
            return [face.dossier.identity for face in faces]
        claims = [self._claim(face, matcher) for face in faces]
        given = each_name_once(claims)
        _remember_losers(faces, given)
        return [_resolved(face.dossier.identity, answer) for face, answer in zip(faces, given, strict=True)]

    @staticmethod
    def _claim(face: Face, matcher: Matcher) -> Claim:
        dossier = face.dossier
        if dossier.identity is None or dossier.name is None:
            return Claim(())
        if dossier.candidates is None:
            dossier.candidates = matcher.candidates(dossier.evidence.mean()[None])[0]
        others = [answer for answer in dossier.candidates if answer.name != dossier.name]
        answers = [answer for answer in (dossier.identity, *others) if not _is_barred(dossier, answer.name)]
        return Claim(answers, face.track.is_detected, dossier.told.name)

    def _gone(self, now: float, after_seconds: float) -> list[Event]:
        """Return an event for every track that has not been shown for long."""
        gone = [track_id for track_id, told in self._here.items() if told.shown_seconds < now - after_seconds]
        events = []
        for track_id in sorted(gone):
            told = self._here.pop(track_id)
            told.has_left = True
            events.append(Event("left", now, track_id, told.name))
        return events

    def _news(self, face: Face, name: str | None) -> list[Event]:
        """Return what is new of a track in this frame, and remember that it was told."""
        told, track_id, now, events = face.dossier.told, face.dossier.track_id, face.seconds, []
        self._here[track_id] = told
        told.shown_seconds = now
        if not told.has_appeared:
            events.append(Event("appeared", now, track_id))
        elif told.has_left:
            events.append(Event("revived", now, track_id, told.name))
        told.has_appeared, told.has_left = True, False
        if name != told.name:
            events.append(Event("identified" if not told.was_named else "renamed", now, track_id, name))
        told.name, told.was_named = name, told.was_named or name is not None
        return events


def _is_withheld(face: Face) -> bool:
    """Say whether nothing is said of who a face is: it came back or changed, and no look has shown yet whose it is.

    Only where frames do not wait, or no longer.
    """
    since = face.trail.turn_seconds
    return since is not None and face.seconds >= since and not face.trail.is_over


def _name(identity: Identity | None) -> str | None:
    return identity.name if identity is not None else None


def _is_barred(dossier: Dossier, name: str | None) -> bool:
    """Say whether a name that a face could have is denied, or of somebody seen beside it, with a better claim."""
    if name in dossier.denied:
        return True
    holder = dossier.lost_to.get(name) if name is not None else None
    return holder is not None and holder.name == name


def _remember_losers(faces: Sequence[Face], given: Sequence[Identity | None]) -> None:
    """Note who lost the name that it claims: it is not that person's, also when the holder is out of sight."""
    holders = {answer.name: face.dossier for face, answer in zip(faces, given, strict=True) if answer is not None}
    for face, answer in zip(faces, given, strict=True):
        name = face.dossier.name
        if name is None or (answer is not None and answer.name == name):
            continue
        holder = holders.get(name)
        if holder is not None:
            face.dossier.lost_to[name] = holder


def _resolved(identity: Identity | None, given: Identity | None) -> Identity | None:
    """Return what is shown of a face that was given a name, or none, among those that it could have."""
    if identity is None or identity.name is None or given is identity:
        return identity
    if given is None:
        return replace(identity, name=None, probability=max(0.5, 1 - identity.probability))
    return replace(given, samples=identity.samples)


def _numbered(face: Face) -> Track:
    told = face.dossier.told
    first = told.first_seconds if told.first_seconds is not None else face.track.first_seen_seconds
    return replace(face.track, track_id=face.dossier.track_id, first_seen_seconds=min(first, face.seconds))
