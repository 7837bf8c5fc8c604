"""Makes a report: reads each results file once, cuts the pictures, and names the files when all of them are whole."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from streamer.json_checks import Fields
from streamer.recorded import RecordedHeader
from streamer.recordings import Line, read_lines
from streamer.reports.composing import shown_people
from streamer.reports.csv_files import CsvFile
from streamer.reports.gathering import Gatherer
from streamer.reports.page import page_html
from streamer.reports.parquet_files import ParquetFile
from streamer.reports.part_files import ReportFile
from streamer.reports.tables import TABLES, TableSet, TableWriter
from streamer.reports.thumbnails import cut_moments
from streamer.reports.values import Gathered, Moment
from streamer.reports.videos import find_video
from streamer.reports.views import FileContents, PictureNote

PAGE_SUFFIXES = (".html", ".htm")
# Of the whole work; the rest is for the pictures.
_READING_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """What is wanted.

    Attributes:
        results: The results files, at least one.
        page: Where the page goes.
        videos: Of each results file its video, or a folder to look in; None: look where it was.
        title: Of the page; None: what it is of.
        csv: Folder for CSV tables; None: none.
        parquet: Folder for Parquet tables; None: none.
        has_pictures: Faces are cut from the videos.
    """

    results: tuple[Path, ...]
    page: Path
    videos: tuple[Path | None, ...]
    title: str | None = None
    csv: Path | None = None
    parquet: Path | None = None
    has_pictures: bool = True

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files that will be written."""
        return (
            self.page,
            *(self.csv / f"{table.name}.csv" for table in TABLES if self.csv is not None),
            *(self.parquet / f"{table.name}.parquet" for table in TABLES if self.parquet is not None),
        )


@dataclass(frozen=True, slots=True)
class ReportDone:
    """What was made: so many pictures, and why there are none of some files."""

    pictures: int
    notes: tuple[str, ...]


def make_report(plan: ReportPlan, on_share: Callable[[float], None] = lambda _: None) -> ReportDone:
    """Make a report.

    Args:
        plan: What is wanted.
        on_share: Called with how much of the work is done, 0..1.

    Raises:
        SourceOpenError: A results file is none, or damaged, or a video that was named is another's.
        SinkError: A file cannot be written; there is none then, and what had its name has it still.
    """
    # Who may not read the results may not read the report; the owner writes it.
    mode = reduce(int.__and__, (path.stat().st_mode & 0o666 for path in plan.results)) | 0o600
    total_bytes = max(sum(path.stat().st_size for path in plan.results), 1)
    done_bytes = 0

    def on_line(line: Line) -> None:
        nonlocal done_bytes
        done_bytes += len(line.raw)
        on_share(_READING_SHARE * done_bytes / total_bytes)

    with contextlib.ExitStack() as stack:
        page = ReportFile(plan.page, mode)
        stack.callback(page.remove)
        writers = _table_writers(plan, mode, stack)
        tables = TableSet(writers)
        contents = [
            _file_contents(path, video, plan, tables, on_line)
            for path, video in zip(plan.results, plan.videos, strict=True)
        ]
        page.write(page_html(contents, plan.title).encode("utf-8"))
        every = [writer for some in writers.values() for writer in some]
        for writer in every:
            writer.finish()
        for writer in every:
            writer.publish()
        page.publish()
    on_share(1.0)
    pictures = sum(len(one.pictures) for one in contents)
    return ReportDone(pictures, tuple(dict.fromkeys(one.note.text for one in contents if one.note.text)))


def _table_writers(plan: ReportPlan, mode: int, stack: contextlib.ExitStack) -> dict[str, list[TableWriter]]:
    writers: dict[str, list[TableWriter]] = {table.name: [] for table in TABLES}
    for table in TABLES:
        makers = ((CsvFile, plan.csv), (ParquetFile, plan.parquet))
        for maker, folder in makers:
            if folder is not None:
                writer = maker(table, folder, mode)
                stack.callback(writer.remove)
                writers[table.name].append(writer)
    return writers


def _file_contents(
    path: Path, video: Path | None, plan: ReportPlan, tables: TableSet, on_line: Callable[[Line], None]
) -> FileContents:
    lines = _told(read_lines(path), on_line)
    first = next(lines)
    header = first.record
    assert isinstance(header, RecordedHeader)
    # Before a long reading: a video that does not fit is refused at once.
    found = find_video(path, header, first.fields, video) if plan.has_pictures else None
    gatherer = Gatherer(header)
    tables.begin(path, header)
    for line in lines:
        gatherer.add(line.record)
        tables.add(line.record)
    gathered = gatherer.finish()
    tables.end(gathered)
    pictures: dict[Moment, bytes] = {}
    note = PictureNote("")
    if found is not None:
        hides_unnamed = _blurs_unknown(first.fields)
        note = _note(found.why_not, hides_unnamed, bool(gathered.unnamed))
        if found.path is not None:
            pictures = cut_moments(found.path, header.declared_fps, _wanted(gathered, hides_unnamed))
    return FileContents(
        path=path,
        written_at=datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone(),
        gathered=gathered,
        models=_models(first.fields),
        pictures=pictures,
        note=note,
    )


def _told(lines: Iterator[Line], on_line: Callable[[Line], None]) -> Iterator[Line]:
    for line in lines:
        on_line(line)
        yield line


def _note(why_not: str, hides_unnamed: bool, has_unnamed: bool) -> PictureNote:
    if why_not:
        return PictureNote(f"There are no pictures: {why_not}; --video FILE tells where it is.")
    if hides_unnamed and has_unnamed:
        return PictureNote("There are no pictures of unknown faces: they were blurred in the video, too.", True)
    return PictureNote("", hides_unnamed)


def _wanted(gathered: Gathered, hides_unnamed: bool) -> list[Moment]:
    people = [one for one in shown_people(gathered) if one.name is not None or not hides_unnamed]
    portraits = [one.portrait for one in people if one.portrait is not None]
    return [*portraits, *(moment for one in people for moment in one.moments)]


def _models(fields: Fields) -> dict[str, str]:
    models = fields.get("models")
    assert isinstance(models, dict)  # recorded_fields.py has seen to it
    return {str(name): sha256 for name, sha256 in models.items() if isinstance(sha256, str)}


def _blurs_unknown(fields: Fields) -> bool:
    config = fields.get("config")
    annotate = config.get("annotate") if isinstance(config, dict) else None
    return isinstance(annotate, dict) and annotate.get("blur_unknown") is True
