"""What a results file comes to, as values that a page or a table is made of."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.recorded import RecordedEvent, RecordedHeader
from streamer.reports.curves import Curve
from streamer.reports.tallies import Tally

Box = tuple[float, ...]  # x1, y1, x2, y2 px


@dataclass(frozen=True, slots=True)
class Moment:
    """A face in one frame, worth a picture.

    Attributes:
        index: Of the frame.
        pts_seconds: Of the frame.
        box: x1, y1, x2, y2 px.
        emotion: What it shows; None: it is only the best view of somebody.
        probability: Of that emotion.
    """

    index: int
    pts_seconds: float
    box: Box
    emotion: str | None = None
    probability: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One who has a name, over all their tracks, or one track that has none.

    Attributes:
        name: None: not in the gallery, or not assessed.
        track_ids: Theirs.
        tally: Their time.
        curve: Their emotions; None: they were never assessed, or it was let go of for want of room.
        moments: The strongest of each emotion that they showed, in the order of EMOTIONS.
        portrait: The largest view of them; None: they were never seen, only predicted.
    """

    name: str | None
    track_ids: tuple[int, ...]
    tally: Tally
    curve: Curve | None
    moments: tuple[Moment, ...]
    portrait: Moment | None


@dataclass(frozen=True, slots=True, eq=False)
class TrackSum:
    """One track: its last name, and its time, whatever it was called in it."""

    track_id: int
    name: str | None
    tally: Tally


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A results file, read to its end.

    Attributes:
        header: Its first line.
        frames: How many it tells of.
        start_seconds: When the first is shown.
        end_seconds: When the last has been.
        seconds_with_anybody: How long a face was in view.
        most_at_once: The most faces in one frame.
        people: Those with a name first, and of each kind the ones in view longest first.
        tracks: In order of their numbers.
        events: The first ones.
        event_count: How many there are.
        is_whole: It ends with a summary; False: it was cut off.
    """

    header: RecordedHeader
    frames: int
    start_seconds: float
    end_seconds: float
    seconds_with_anybody: float
    most_at_once: int
    people: tuple[Person, ...]
    tracks: tuple[TrackSum, ...]
    events: tuple[RecordedEvent, ...]
    event_count: int
    is_whole: bool

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds

    @property
    def named(self) -> tuple[Person, ...]:
        """The people who have a name."""
        return tuple(person for person in self.people if person.name is not None)

    @property
    def unnamed(self) -> tuple[Person, ...]:
        """The tracks that have none."""
        return tuple(person for person in self.people if person.name is None)
