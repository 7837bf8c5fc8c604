"""A track's first name, also for the frames before it was known: a file is finished when all of it can be known.

Nobody gets a name from before a `renamed` event: somebody else stood there then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamer.recorded import RecordedFrame
from streamer.recordings import Line
from streamer.sinks.results_lines import Fields, Json, frame_with_identities, identity_json
from streamer.types import FrameResult, Identity


@dataclass(frozen=True, slots=True)
class FirstName:
    """A track's first named answer.

    Attributes:
        index: Of the frame in which it came; the frames before it want the name.
        identity: The answer.
    """

    index: int
    identity: Identity


class FirstNames:
    """Notes when each track of a file gets its first name; memory grows with tracks, not with frames."""

    def __init__(self) -> None:
        self._undecided: set[int] = set()  # seen without a name so far
        self._decided: set[int] = set()
        self.late: dict[int, FirstName] = {}

    def add(self, result: FrameResult) -> None:
        """Take note of one frame."""
        for event in result.events:
            if event.kind == "renamed" and event.track_id is not None:
                self._decide(event.track_id)
        for annotation in result.annotations:
            track_id, identity = annotation.track.track_id, annotation.identity
            if track_id in self._decided:
                continue
            if identity is None or identity.name is None:
                self._undecided.add(track_id)
                continue
            if track_id in self._undecided:
                self.late[track_id] = FirstName(result.frame.index, identity)
            self._decide(track_id)

    def _decide(self, track_id: int) -> None:
        self._undecided.discard(track_id)
        self._decided.add(track_id)


def named_from_the_first_frame(lines: Iterator[Line], late: Mapping[int, FirstName]) -> Iterator[Line | Fields]:
    """Yield a file's lines with each track's first name in the frames before it was known.

    One name is given once a frame: a face that has it keeps it, and of two that want it the more similar one gets it.
    """
    strongest = sorted(late, key=lambda track_id: (-late[track_id].identity.similarity, track_id))
    for line in lines:
        frame = line.record
        if not isinstance(frame, RecordedFrame):
            yield line
            continue
        taken = {face.name for face in frame.faces if face.name is not None}
        unnamed = {face.track_id for face in frame.faces if face.name is None}
        given: dict[int, Json] = {}
        for track_id in strongest:
            first = late[track_id]
            if track_id in unnamed and frame.index < first.index and first.identity.name not in taken:
                taken.add(str(first.identity.name))
                given[track_id] = identity_json(first.identity)
        yield frame_with_identities(line.fields, given) if given else line
