"""From what a results file comes to, to what the page shows of it: who gets a line of their own, and what is said."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from streamer.recorded import RecordedEvent
from streamer.reports import charts
from streamer.reports.charts import Axis
from streamer.reports.curves import CurvePoints
from streamer.reports.tallies import ABSTAINED, Intervals, Tally, union
from streamer.reports.texts import counted, length, page_text, percent
from streamer.reports.values import Gathered, Moment, Person
from streamer.reports.views import (
    Bar,
    CurveRow,
    FileContents,
    FileView,
    MomentView,
    PersonView,
    Share,
    TableRow,
    Tick,
    TimelineRow,
)
from streamer.times import clock
from streamer.types import EMOTIONS

# How many get emotion curves and a line of the timeline of their own: a crowd's tracks are folded.
MAX_NAMED, MAX_UNNAMED = 40, 8
MAX_TABLE_ROWS = 100
_MAX_TIMES = 20  # that a timeline's line lists
ABSTAINED_TEXT = "not sure"
LABEL_TEXTS = (*EMOTIONS, ABSTAINED_TEXT)
# Who is there for less than this share of the time has an axis of their own, or their curve would be a few px wide.
_OWN_AXIS = 0.4
# Below this an emotion's curve lies on its base.
_SEEN = 0.02


def file_view(contents: FileContents) -> FileView:
    """Return what the template shows of one file."""
    found = contents.gathered
    axis = Axis(found.start_seconds, found.end_seconds)
    shown = _with_lines(found)
    folded = [*found.named[MAX_NAMED:], *found.unnamed[MAX_UNNAMED:]]
    frame_seconds = 1 / max(found.header.declared_fps, 1e-3)
    return FileView(
        title=page_text(found.header.source) or "a source without a name",
        file=page_text(contents.path),
        caption=(
            f"{found.header.width} × {found.header.height} px, {found.header.declared_fps:.4g} fps; "
            f"results written on {contents.written_at:%Y-%m-%d at %H:%M}"
        ),
        facts=_facts(contents),
        notes=_notes(contents),
        models=tuple((page_text(name), f"{sha256[:12]}…") for name, sha256 in contents.models.items()),
        axis=axis,
        ticks=_ticks(axis),
        timeline=tuple(_timeline_row(person, axis) for person in shown),
        others=_others(folded, axis) if folded else None,
        people=tuple(
            _person_view(person, axis, frame_seconds, contents.pictures) for person in shown if person.curve is not None
        ),
        folded=f"Those in view longest are shown; {counted(len(folded), 'more is', 'more are')} in the table below."
        if folded
        else "",
        table=tuple(_table_row(person, found.seconds) for person in found.people[:MAX_TABLE_ROWS]),
        table_left_out=max(len(found.people) - MAX_TABLE_ROWS, 0),
        events=tuple(_event_row(event) for event in found.events),
        events_left_out=found.event_count - len(found.events),
    )


def shown_people(found: Gathered) -> list[Person]:
    """Return those whose emotions are shown."""
    return [person for person in _with_lines(found) if person.curve is not None]


def _with_lines(found: Gathered) -> list[Person]:
    """Return those who have a line of the timeline of their own."""
    return [*found.named[:MAX_NAMED], *found.unnamed[:MAX_UNNAMED]]


def _ticks(axis: Axis) -> tuple[Tick, ...]:
    step, times = axis.ticks()
    return tuple(Tick(round(100 * axis.share(time), 2), clock(time, 1 if step < 1 else 0)) for time in times)


def _facts(contents: FileContents) -> tuple[tuple[str, str], ...]:
    found = contents.gathered
    in_view = percent(found.seconds_with_anybody / found.seconds) if found.seconds > 0 else "–"
    return (
        ("Length", length(found.seconds)),
        ("Known people", f"{len(found.named):,}"),
        ("Unknown tracks", f"{len(found.unnamed):,}"),
        ("Somebody in view", in_view),
        ("Most at once", f"{found.most_at_once:,}"),
        ("Frames", f"{found.frames:,}"),
    )


def _notes(contents: FileContents) -> tuple[str, ...]:
    found = contents.gathered
    notes = []
    if not found.is_whole:
        notes.append("The results file was cut off before its end; this is what it holds.")
    if not found.frames:
        notes.append("It holds no frame.")
    elif not found.people:
        notes.append("No face was seen.")
    if contents.note:
        notes.append(contents.note)
    return tuple(notes)


def title_of(person: Person) -> str:
    """Return what somebody without a name is called."""
    return f"Unknown, track {person.track_ids[0]}"


def _name(person: Person) -> str | None:
    return None if person.name is None else page_text(person.name) or "\ufffd"


def _timeline_row(person: Person, axis: Axis) -> TimelineRow:
    return _row_of(person.tally.intervals, axis, _name(person), title_of(person))


def _others(people: Sequence[Person], axis: Axis) -> TimelineRow:
    together = union(person.tally.intervals for person in people)
    return _row_of(together, axis, None, f"{len(people):,} more")


def _row_of(intervals: Intervals, axis: Axis, name: str | None, title: str) -> TimelineRow:
    drawn = [
        Bar(
            round(charts.BAR_WIDTH * axis.share(start), 2),
            round(charts.BAR_WIDTH * (axis.share(end) - axis.share(start)), 2),
            _stretch(start, end),
        )
        for start, end in charts.bars(intervals, axis)
    ]
    times = [_stretch(start, end) for start, end in intervals]
    return TimelineRow(
        name,
        title,
        length(intervals.seconds),
        tuple(drawn),
        tuple(times[:_MAX_TIMES]),
        max(len(times) - _MAX_TIMES, 0),
    )


def _stretch(start: float, end: float) -> str:
    return f"{clock(start)} – {clock(end)} ({length(end - start)})"


def _person_view(person: Person, whole: Axis, frame_seconds: float, pictures: Mapping[Moment, bytes]) -> PersonView:
    assert person.curve is not None
    points = person.curve.points()
    first, last = person.tally.span
    shares = person.tally.shares()
    axis = whole if last - first > _OWN_AXIS * whole.seconds else Axis(first, last)
    return PersonView(
        name=_name(person),
        title=title_of(person),
        facts=(
            f"{length(person.tally.seconds)} in view, {percent(person.tally.seconds / whole.seconds)}",
            f"{clock(first)} – {clock(last)}",
            counted(len(person.track_ids), "track"),
        ),
        portrait=_data_uri(pictures.get(person.portrait)) if person.portrait is not None else None,
        shares=_shares(shares) if shares is not None else (),
        rows=tuple(_curve_row(points, place, axis, frame_seconds) for place in range(len(EMOTIONS))),
        strip=tuple(
            (kind_of(label), round(start, 1), round(end - start, 1))
            for label, start, end in charts.label_strip(points, axis, frame_seconds)
        ),
        moments=tuple(
            MomentView(
                str(moment.emotion), percent(moment.probability), clock(moment.pts_seconds), str(_data_uri(jpeg))
            )
            for moment in sorted(person.moments, key=lambda one: one.pts_seconds)
            if (jpeg := pictures.get(moment)) is not None
        ),
        width_text=_width_text(points, frame_seconds),
        axis=axis,
        ticks=_ticks(axis),
    )


def kind_of(label: int) -> str:
    """Return a label's class in the style sheet."""
    return "abstained" if label == ABSTAINED else EMOTIONS[label]


def _width_text(points: CurvePoints, frame_seconds: float) -> str:
    if points.width_seconds <= 2 * frame_seconds:
        return ""
    return f"Each point is {points.width_seconds:g} s: their mean and, as a fine line above it, their highest value."


def _curve_row(points: CurvePoints, place: int, axis: Axis, frame_seconds: float) -> CurveRow:
    highest = float(points.highest[:, place].max(initial=0.0))
    paths = charts.curve_paths(points, place, axis, frame_seconds)
    return CurveRow(EMOTIONS[place], paths, percent(highest), highest >= _SEEN)


def _shares(shares: Sequence[float]) -> tuple[Share, ...]:
    return tuple(
        Share(kind_of(label), f"{LABEL_TEXTS[label]} {percent(share)}", round(100 * share, 2))
        for label, share in enumerate(shares)
        if share > 0
    )


def _data_uri(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def _table_row(person: Person, whole_seconds: float) -> TableRow:
    first, last = person.tally.span
    seconds = person.tally.seconds
    cells = (
        f"{seconds:.1f}",
        percent(seconds / whole_seconds) if whole_seconds > 0 else "–",
        clock(first),
        clock(last),
        *_share_cells(person.tally),
    )
    return TableRow(_name(person), title_of(person), cells)


def _share_cells(tally: Tally) -> tuple[str, ...]:
    shares = tally.shares()
    if shares is None:
        return ("",) * (ABSTAINED + 1)
    return tuple(percent(share) if share > 0 else "0" for share in shares)


def _event_row(event: RecordedEvent) -> tuple[str, str, str | None, str]:
    name = None if event.name is None else page_text(event.name)
    return clock(event.pts_seconds), page_text(event.kind), name, "" if event.track_id is None else str(event.track_id)
