"""What the page's template is given: texts as people read them, and the insides of its charts; nothing is HTML yet."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamer.reports.charts import Axis, CurvePaths
from streamer.reports.values import Gathered, Moment


@dataclass(frozen=True, slots=True, eq=False)
class FileContents:
    """All that a page says of one results file.

    Attributes:
        path: The file.
        written_at: When it was written.
        gathered: What it comes to.
        models: Name and sha256 of the nets.
        pictures: Of moments.
        note: What a reader is told of the pictures, a sentence; empty: nothing.
    """

    path: Path
    written_at: datetime.datetime
    gathered: Gathered
    models: Mapping[str, str]
    pictures: Mapping[Moment, bytes]
    note: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a timeline: `x` and `width` in BAR_WIDTH, and what is said of it."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One line of the timeline; `name` None: a text of ours is its title."""

    name: str | None
    title: str
    seconds: str
    bars: tuple[Bar, ...]
    times: tuple[str, ...]
    more_times: int


@dataclass(frozen=True, slots=True)
class Share:
    """An emotion's share of the assessed time; `kind`: its class in the style sheet."""

    kind: str
    text: str
    percent: float


@dataclass(frozen=True, slots=True)
class CurveRow:
    """One emotion's curve, and its highest value as a text."""

    emotion: str
    paths: CurvePaths
    highest: str
    is_seen: bool


@dataclass(frozen=True, slots=True)
class MomentView:
    """A picture with its caption."""

    emotion: str
    percent: str
    time: str
    source: str  # a data URI


@dataclass(frozen=True, slots=True)
class Tick:
    """A round time; `percent`: where on the axis."""

    percent: float
    text: str


@dataclass(frozen=True, slots=True)
class PersonView:
    """Somebody's emotions."""

    name: str | None
    title: str
    facts: tuple[str, ...]
    portrait: str | None
    shares: tuple[Share, ...]
    rows: tuple[CurveRow, ...]
    strip: tuple[tuple[str, float, float], ...]
    moments: tuple[MomentView, ...]
    width_text: str
    axis: Axis
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class TableRow:
    """A line of the table of people."""

    name: str | None
    title: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """One results file's part of the page; `folded`: what is said of those who have no line of their own."""

    title: str
    file: str
    caption: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    axis: Axis
    ticks: tuple[Tick, ...]
    timeline: tuple[TimelineRow, ...]
    others: TimelineRow | None
    people: tuple[PersonView, ...]
    folded: str
    table: tuple[TableRow, ...]
    table_left_out: int
    events: tuple[tuple[str, str, str | None, str], ...]  # time, kind, name, track
    events_left_out: int


@dataclass(frozen=True, slots=True)
class PageView:
    """The whole page; `overview`: known people over all files, empty where there is only one."""

    title: str
    subtitle: str
    files: tuple[FileView, ...]
    overview: tuple[TableRow, ...]
