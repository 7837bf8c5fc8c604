"""Names recorded tracks anew, from their stored looks, against the gallery as it is now; the video is not needed.

Each track's looks are voted on in order of time, as in a run. With hindsight, what is the answer at the end of a
stretch holds for all of it, and who is in the picture together is known before names are given: each name goes to the
most similar of those that claim it at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamer.labels import LabelPolicy
from streamer.recognition.people import Gallery
from streamer.recognition.vote import TrackEvidence
from streamer.recorded import RecordedEvent, RecordedFrame, RecordedLook, RecordedTrack
from streamer.recorded_tracks import TracksFile, check_dimension, read_tracks
from streamer.recordings import Line
from streamer.sinks.results_lines import Fields, Json, event, frame_with_identities, identity_json
from streamer.sinks.rewriting import rewrite
from streamer.stages import Matcher
from streamer.types import Event, Identity


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a track that one person fills.

    Attributes:
        start_seconds: From here on; -inf: from its first frame.
        end_seconds: Up to here, exclusive; inf: to its last frame.
        identity: Who it is; None: there is nobody to compare with.
    """

    start_seconds: float
    end_seconds: float
    identity: Identity | None

    @property
    def name(self) -> str | None:
        """Their name; None: unknown."""
        return self.identity.name if self.identity is not None else None


@dataclass(frozen=True, slots=True)
class Relabelling:
    """What was changed in a file.

    Attributes:
        tracks: So many had looks to go by.
        named: By name, how many tracks have it now and had not.
        unnamed: So many tracks had a name, and have none now.
    """

    tracks: int
    named: Mapping[str, int]
    unnamed: int


def relabel(path: Path, gallery: Gallery, matcher: Matcher, *, to: Path | None = None) -> Relabelling:
    """Name the tracks of one results file anew, in frames, events and tracks alike.

    Args:
        path: A results file that holds looks.
        gallery: Who may be named; where that is nobody, nobody is assessed.
        matcher: Over that gallery.
        to: Where to write; None: in place of the file, in one step.

    Raises:
        StreamerError: See `read_tracks` and `rewrite`; the file is as it was.
    """
    found = read_tracks(path, gallery.embedder)
    check_dimension(found, gallery)
    asked = matcher if gallery.people else None
    stretches = {track_id: stretches_of(track.looks, asked) for track_id, track in found.tracks.items() if track.looks}
    settled = one_name_at_once(found, stretches)
    rewrite(path, _Relabeller(settled).lines, to=to)
    return _compared(found, settled)


def stretches_of(
    looks: Sequence[RecordedLook], matcher: Matcher | None, policy: LabelPolicy | None = None
) -> list[Stretch]:
    """Vote on a track's looks, in order of time.

    As in labels.py, so many looks in a row at somebody else begin a new stretch; with hindsight it begins with the
    first of these, and they are evidence of it alone.
    """
    if matcher is None:
        return [Stretch(-math.inf, math.inf, None)]
    policy = policy if policy is not None else LabelPolicy()
    answers = matcher.match(np.stack([look.vector for look in looks]))
    ended: list[Stretch] = []
    start, evidence, doubted = -math.inf, TrackEvidence(), list[RecordedLook]()
    known: Identity | None = None
    for look, answer in zip(looks, answers, strict=True):
        dissents = known is not None and answer.name != known.name and look.quality >= evidence.best_quality / 2
        if not dissents:
            _add(evidence, [*doubted, look])
            doubted.clear()
            known = _answer(matcher, evidence)
            continue
        doubted.append(look)
        needed = policy.looks_to_rename if answer.name is not None else policy.looks_to_unname
        if len(doubted) >= needed:
            ended.append(Stretch(start, doubted[0].pts_seconds, known))
            start, evidence = doubted[0].pts_seconds, TrackEvidence()
            _add(evidence, doubted)
            doubted.clear()
            known = _answer(matcher, evidence)
    _add(evidence, doubted)
    return [*ended, Stretch(start, math.inf, _answer(matcher, evidence))]


def _add(evidence: TrackEvidence, looks: Sequence[RecordedLook]) -> None:
    for look in looks:
        evidence.add(look.vector, look.quality)


def _answer(matcher: Matcher, evidence: TrackEvidence) -> Identity:
    return replace(matcher.match(evidence.mean()[None])[0], samples=evidence.samples)


def one_name_at_once(found: TracksFile, stretches: Mapping[int, Sequence[Stretch]]) -> dict[int, list[Stretch]]:
    """Leave a name that tracks claim while they are in the picture together to the most similar; others are unknown."""
    settled = {track_id: list(own) for track_id, own in stretches.items()}
    claims = [
        (-identity.similarity, track_id, place)
        for track_id, own in settled.items()
        for place, stretch in enumerate(own)
        if (identity := stretch.identity) is not None and identity.name is not None
    ]
    held: dict[str | None, list[tuple[int, Stretch]]] = {}
    for _, track_id, place in sorted(claims):
        stretch = settled[track_id][place]
        rivals = held.setdefault(stretch.name, [])
        if any(_meet(found, (track_id, stretch), rival) for rival in rivals):
            settled[track_id][place] = replace(stretch, identity=_unknown(stretch.identity))
        else:
            rivals.append((track_id, stretch))
    return settled


def _meet(found: TracksFile, first: tuple[int, Stretch], second: tuple[int, Stretch]) -> bool:
    """Say whether two tracks may be in one frame during these stretches."""
    pair = (min(first[0], second[0]), max(first[0], second[0]))
    if pair not in found.together:
        return False
    begin, end = found.together[pair]
    return max(begin, first[1].start_seconds, second[1].start_seconds) <= end and begin < min(
        first[1].end_seconds, second[1].end_seconds
    )


def _unknown(identity: Identity | None) -> Identity | None:
    if identity is None:
        return None
    return replace(identity, name=None, probability=max(0.5, 1 - identity.probability))


class _Relabeller:
    """Passes a file's lines on with the names that were settled."""

    def __init__(self, settled: Mapping[int, Sequence[Stretch]]) -> None:
        self._settled = settled
        self._announced: dict[int, str | None] = {}
        self._news: list[Event] = []  # of the frame in hand; they follow the events that are recorded of it

    def lines(self, lines: Iterator[Line]) -> Iterator[Line | Fields]:
        for line in lines:
            record = line.record
            if isinstance(record, RecordedEvent):
                yield from self._event(line, record)
                continue
            for happened in self._news:
                yield _object(event(happened))
            self._news = []
            if isinstance(record, RecordedFrame):
                yield self._frame(line, record)
            elif isinstance(record, RecordedTrack) and record.track_id in self._settled:
                yield {**line.fields, "name": self._settled[record.track_id][-1].name}
            else:
                yield line

    def _frame(self, line: Line, frame: RecordedFrame) -> Fields:
        # Of a track without looks what was recorded stands.
        taken = {face.name for face in frame.faces if face.track_id not in self._settled}
        given: dict[int, Json] = {}
        for track_id in (face.track_id for face in frame.faces if face.track_id in self._settled):
            identity = self._identity(track_id, frame.pts_seconds)
            if identity is not None and identity.name is not None and identity.name in taken:
                identity = _unknown(identity)
            given[track_id] = identity_json(identity)
            self._announce(track_id, identity.name if identity is not None else None, frame.pts_seconds)
        return frame_with_identities(line.fields, given)

    def _identity(self, track_id: int, now: float) -> Identity | None:
        return next(stretch.identity for stretch in self._settled[track_id] if now < stretch.end_seconds)

    def _announce(self, track_id: int, name: str | None, now: float) -> None:
        """Note what is new of a track, as labels.py tells it."""
        before = self._announced.get(track_id)
        if name != before:
            self._news.append(Event("identified" if before is None else "renamed", now, track_id, name))
        self._announced[track_id] = name

    def _event(self, line: Line, recorded: RecordedEvent) -> Iterator[Line | Fields]:
        track_id = recorded.track_id
        if track_id is None or track_id not in self._settled or recorded.kind == "appeared":
            yield line
        elif recorded.kind not in ("identified", "renamed"):
            yield {**line.fields, "name": self._announced.get(track_id)}


def _object(line: Json) -> Fields:
    assert isinstance(line, dict)
    return line


def _compared(found: TracksFile, settled: Mapping[int, Sequence[Stretch]]) -> Relabelling:
    changes = [(found.tracks[track_id].name, own[-1].name) for track_id, own in settled.items()]
    return Relabelling(
        tracks=len(settled),
        named=Counter(after for before, after in changes if after is not None and after != before),
        unnamed=sum(before is not None and after is None for before, after in changes),
    )
