"""`streamer report`: what was recorded as one page to read, and as tables for pandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import Overwrite
from streamer.cli.output import printable
from streamer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.reports.making import ReportPlan

_TABLES_HELP = "faces (a row a face a frame), tracks, events and people"


def report(
    results: Annotated[
        list[str], typer.Argument(metavar="RESULTS...", help="Results files of `process`, or patterns such as *.jsonl.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.html",
            help="The page; default: beside the results file under its name, of several report.html beside the first.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="DIR", help=f"Also write CSV tables there: {_TABLES_HELP}.")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="DIR", help="Also write the same tables as Parquet files; needs pyarrow."),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Title of the page; default: what it is of.")
    ] = None,
    video: Annotated[
        list[Path] | None,
        typer.Option(
            "--video",
            metavar="FILE|DIR",
            help="Where the video is, for the pictures: one a results file, in order, or a folder; "
            "default: where it was, or beside the results.",
        ),
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Cut faces from the video into the page; default: do.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write a page that tells who was there when and with which emotions; it needs no network to be read.

    Tables have one thing a row; a cell is empty where nothing is known. All begin with results (the file), source.

    faces: frame_index, pts_seconds, track_id, name, similarity, probability (of the name, or of being unknown; both
    empty: not looked up), x1, y1, x2, y2 (px), score, detected (false: predicted), emotion (empty with probabilities:
    not sure), neutral, happiness, surprise, sadness, anger, disgust, fear (probabilities).

    tracks: track_id, name, first_seconds, last_seconds, seconds (in view), frames, assessed_seconds (emotion looked
    at), and shares of these: neutral, happiness, surprise, sadness, anger, disgust, fear, not_sure.

    people: name, track_id (of who has no name), tracks, share (of the video), and from first_seconds on as in tracks.

    events: pts_seconds, kind, track_id, name.

    In CSV a text that a spreadsheet would take for a formula (it begins with = + - @) has an apostrophe before it.
    """
    from streamer.cli.inputs import check_exists, expand
    from streamer.cli.progress import share_meter
    from streamer.reports.making import ReportPlan, make_report

    paths = expand(results)
    for path in paths:
        check_exists(path)
    plan = ReportPlan(
        results=tuple(paths),
        page=output if output is not None else _default_page(paths),
        videos=_videos(video or [], paths),
        title=title,
        csv=csv,
        parquet=parquet,
        has_pictures=pictures,
    )
    _check(plan, overwrite=overwrite)
    with share_meter("reading results") as on_share:
        notes = make_report(plan, on_share)
    for note in notes:
        typer.echo(printable(note), err=True)
    for path in (plan.page, *(folder for folder in (csv, parquet) if folder is not None)):
        typer.echo(printable(str(path)))


def _default_page(paths: Sequence[Path]) -> Path:
    return paths[0].with_suffix(".html") if len(paths) == 1 else paths[0].with_name("report.html")


def _videos(given: Sequence[Path], paths: Sequence[Path]) -> tuple[Path | None, ...]:
    if not given:
        return (None,) * len(paths)
    if len(given) == 1 and given[0].is_dir():
        return (given[0],) * len(paths)
    if len(given) != len(paths):
        raise UsageError(
            f"--video is given {len(given)} times for {len(paths)} results files; give one for each, or their folder"
        )
    return tuple(given)


def _check(plan: ReportPlan, *, overwrite: bool) -> None:
    """Refuse what could not be written, or would destroy something, before the work. Raises SinkError, UsageError."""
    from streamer.cli.inputs import make_folders
    from streamer.reports.making import PAGE_SUFFIXES
    from streamer.reports.parquet_files import check_parquet
    from streamer.sinks.files import check_output, check_suffix

    check_suffix(plan.page, PAGE_SUFFIXES)
    if plan.parquet is not None:
        check_parquet()
    inputs = [*plan.results, *(path for path in plan.videos if path is not None and path.is_file())]
    make_folders(plan.outputs)
    for path in plan.outputs:
        suffixes = PAGE_SUFFIXES if path == plan.page else (path.suffix,)
        check_output(path, sources=inputs, suffixes=suffixes, overwrite=overwrite)
