"""Adds up a results file line by line: people, tracks, curves, moments. Memory grows with tracks, not with frames.

Somebody is who the frames call them; a track's first name counts for its frames before it, too, as in
sinks/results_names.py, unless it was renamed in between.
"""

from __future__ import annotations

from collections import defaultdict

from streamer.recorded import Record, RecordedEvent, RecordedFace, RecordedFrame, RecordedHeader, RecordedSummary
from streamer.reports.subjects import Subject
from streamer.reports.tallies import LABEL_OF, Intervals, Tally, merged
from streamer.reports.values import Gathered, Person, TrackSum
from streamer.times import FrameSteps

MAX_EVENTS = 200  # that a page shows
# Of a crowd's tracks the shortest lose their curves, which nobody would look at, when there are more than this.
_MAX_UNNAMED_CURVES = 256

Who = tuple[int, str | None]  # a track, and what it was called


def _order(person: Person) -> tuple[bool, float, tuple[int, ...]]:
    # To the millisecond: sums of steps differ in their last digits.
    return person.name is None, -round(person.tally.seconds, 3), person.track_ids


class Gatherer:
    """Takes the records of one results file in order; `finish` returns what they come to."""

    def __init__(self, header: RecordedHeader) -> None:
        self._header = header
        self._steps = FrameSteps(1 / max(header.declared_fps, 1e-3))
        # A frame counts when it is known how long it stands, and what happened in it.
        self._waiting: RecordedFrame | None = None
        self._decided: set[int] = set()  # tracks that had a name, or were renamed: what was before stays as it is
        self._tallies: dict[Who, Tally] = {}
        self._last_names: dict[int, str | None] = {}
        self._named: dict[str, Subject] = defaultdict(Subject)
        self._unnamed: dict[int, Subject] = defaultdict(Subject)
        self._with_curves: set[int] = set()  # of the unnamed
        self._frames = self._most = self._event_count = 0
        self._start_seconds = self._end_seconds = 0.0
        self._anybody = Intervals()
        self._events: list[RecordedEvent] = []
        self._is_whole = False

    def add(self, record: Record) -> None:
        """Take the next line's record."""
        if isinstance(record, RecordedFrame):
            step_seconds = self._steps.advance(record.pts_seconds)
            if self._waiting is None:
                self._start_seconds = record.pts_seconds
            elif step_seconds is not None:
                self._count(self._waiting, step_seconds)
            self._waiting = record
        elif isinstance(record, RecordedEvent):
            self._event_count += 1
            if len(self._events) < MAX_EVENTS:
                self._events.append(record)
            if record.kind == "renamed" and record.track_id is not None:
                self._decided.add(record.track_id)
        elif isinstance(record, RecordedSummary):
            self._is_whole = True

    def finish(self) -> Gathered:
        """Return what the file comes to."""
        if self._waiting is not None:
            self._count(self._waiting, self._steps.last_seconds)
            self._waiting = None
        return Gathered(
            header=self._header,
            frames=self._frames,
            start_seconds=self._start_seconds,
            end_seconds=max(self._end_seconds, self._start_seconds),
            seconds_with_anybody=self._anybody.seconds,
            most_at_once=self._most,
            people=self._people(),
            tracks=self._tracks(),
            events=tuple(self._events),
            event_count=self._event_count,
            is_whole=self._is_whole,
        )

    def _count(self, frame: RecordedFrame, step_seconds: float) -> None:
        self._frames += 1
        self._most = max(self._most, len(frame.faces))
        self._end_seconds = frame.pts_seconds + step_seconds
        if frame.faces:
            self._anybody.add(frame.pts_seconds, self._end_seconds)
        for face in frame.faces:
            self._count_face(frame, face, step_seconds)
        if len(self._with_curves) > _MAX_UNNAMED_CURVES:
            self._lose_short_curves({face.track_id for face in frame.faces})

    def _count_face(self, frame: RecordedFrame, face: RecordedFace, step_seconds: float) -> None:
        track_id, name = face.track_id, face.name
        if face.identity is not None or track_id not in self._last_names:
            self._last_names[track_id] = name
        if name is not None and track_id not in self._decided:
            self._name(track_id, name)
        tally = self._tallies.get((track_id, name))
        if tally is None:
            tally = self._tallies[track_id, name] = Tally()
        tally.add(frame.pts_seconds, step_seconds, None if face.emotion is None else LABEL_OF[face.emotion.label])
        subject = self._named[name] if name is not None else self._unnamed[track_id]
        subject.add(frame, face, step_seconds)
        if name is None and subject.curve is not None:
            self._with_curves.add(track_id)

    def _name(self, track_id: int, name: str) -> None:
        """Give a track's frames so far its first name."""
        self._decided.add(track_id)
        before = self._tallies.pop((track_id, None), None)
        if before is not None:
            self._tallies[track_id, name] = before
            self._named[name].absorb(self._unnamed.pop(track_id))
            self._with_curves.discard(track_id)

    def _lose_short_curves(self, present: set[int]) -> None:
        """Let go of half of the unnamed curves; not of who is in view now."""
        absent = sorted(self._with_curves - present, key=lambda track_id: self._tallies[track_id, None].seconds)
        for track_id in absent[: _MAX_UNNAMED_CURVES // 2]:
            self._unnamed[track_id].lose_curve()
            self._with_curves.discard(track_id)

    def _people(self) -> tuple[Person, ...]:
        who: dict[str | int, list[Who]] = defaultdict(list)
        for track_id, name in self._tallies:
            who[track_id if name is None else name].append((track_id, name))
        people = [self._person(every) for every in who.values()]
        return tuple(sorted(people, key=_order))

    def _person(self, every: list[Who]) -> Person:
        track_id, name = every[0]
        subject = self._unnamed[track_id] if name is None else self._named[name]
        return Person(
            name=name,
            track_ids=tuple(sorted(track_id for track_id, _ in every)),
            tally=merged(self._tallies[one] for one in every),
            curve=subject.curve,
            moments=subject.moments,
            portrait=subject.portrait,
        )

    def _tracks(self) -> tuple[TrackSum, ...]:
        parts: dict[int, list[Tally]] = defaultdict(list)
        for (track_id, _), tally in self._tallies.items():
            parts[track_id].append(tally)
        return tuple(
            TrackSum(track_id, self._last_names[track_id], merged(parts[track_id])) for track_id in sorted(parts)
        )
