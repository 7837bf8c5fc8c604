"""Makes a report: reads each results file once, cuts the pictures, and names the files when all of them are whole."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator, Sequence
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
from streamer.reports.thumbnails import cut_moments, face_alone, with_surroundings
from streamer.reports.values import Gathered, Moment
from streamer.reports.videos import find_video
from streamer.reports.views import FileContents

PAGE_SUFFIXES = (".html", ".htm")
# Of the work on one file; the rest is for its pictures.
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


def make_report(plan: ReportPlan, on_share: Callable[[float], None] = lambda _: None) -> tuple[str, ...]:
    """Make a report.

    Args:
        plan: What is wanted.
        on_share: Called with how much of the work is done, 0..1.

    Returns:
        Why there are no pictures of some files, a sentence each.

    Raises:
        SourceOpenError: A results file is none, or damaged, or a video that was named is another's.
        SinkError: A file cannot be written. None is half-written; the page is as it was, or not there, and so are the
            tables, but where the fault came as late as files were given their names.
    """
    # Who may not read the results may not read the report; the owner writes it.
    mode = reduce(int.__and__, (path.stat().st_mode & 0o666 for path in plan.results)) | 0o600
    progress = _Progress(plan.results, on_share)
    with contextlib.ExitStack() as stack:
        page = ReportFile(plan.page, mode)
        stack.callback(page.remove)
        writers = _table_writers(plan, mode, stack)
        tables = TableSet(writers)
        contents = [
            _file_contents(path, video, plan, tables, progress)
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
    return tuple(dict.fromkeys(one.note for one in contents if one.note))


class _Progress:
    """Turns what is read and cut into the share of the work that is done: each file has the part of its size."""

    def __init__(self, paths: Sequence[Path], on_share: Callable[[float], None]) -> None:
        self._sizes = {path: path.stat().st_size for path in paths}
        self._total = max(sum(path.stat().st_size for path in paths), 1)
        self._on_share = on_share
        self._begun = self._own = 0.0
        self._read = 0

    def begin(self, path: Path) -> None:
        """The next file is read."""
        self._begun, self._own, self._read = self._begun + self._own, self._sizes[path] / self._total, 0

    def on_line(self, line: Line) -> None:
        """One more of its lines is read."""
        self._read += len(line.raw)
        self._on_share(min(self._begun + _READING_SHARE * self._read / self._total, 1.0))

    def on_pictures(self, share: float) -> None:
        """So many of its pictures are cut, 0..1."""
        self._on_share(min(self._begun + self._own * (_READING_SHARE + (1 - _READING_SHARE) * share), 1.0))


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
    path: Path, video: Path | None, plan: ReportPlan, tables: TableSet, progress: _Progress
) -> FileContents:
    progress.begin(path)
    lines = _told(read_lines(path), progress.on_line)
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
    note = ""
    if found is not None:
        hides_unnamed = _blurs_unknown(first.fields)
        note = _note(found.why_not, hides_unnamed, bool(gathered.unnamed))
        if found.path is not None:
            frame = face_alone if hides_unnamed else with_surroundings
            wanted = _wanted(gathered, hides_unnamed)
            pictures = cut_moments(found.path, header.declared_fps, wanted, frame, progress.on_pictures)
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


def _note(why_not: str, hides_unnamed: bool, has_unnamed: bool) -> str:
    if why_not:
        return f"There are no pictures: {why_not}; --video FILE tells where it is."
    if hides_unnamed and has_unnamed:
        return "There are no pictures of unknown faces: they were blurred in the video, too."
    return ""


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
