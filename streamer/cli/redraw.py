"""`streamer process --redraw`: recorded results onto their video again, and how a file's run ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamer.cli.options import INTERRUPTED
from streamer.cli.output import printable
from streamer.errors import UsageError

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.runner import RunReport


def check_redraw(paths: Sequence[Path], asked: Sequence[object]) -> None:
    """Refuse what makes no sense beside --redraw; `asked`: the other options' values."""
    if len(paths) != 1:
        raise UsageError(f"--redraw names the results of one video, and {len(paths)} are given; redraw them one by one")
    if any(asked):
        raise UsageError(
            "--redraw draws what was recorded and looks at nothing anew; leave out --no-video, --results, --people, "
            "--keep-embeddings and --detect-every"
        )


def redraw_video(config: Config, path: Path, recorded: Path, video: Path, overwrite: bool) -> int:
    """Draw recorded results onto their video. Return the exit code."""
    from streamer.api import Processor
    from streamer.cli.inputs import check_exists, make_folders
    from streamer.cli.progress import meter, stop_on_signals

    check_exists(path)
    make_folders([video])
    with stop_on_signals() as stop, meter() as shown:
        report = Processor(config, stop=stop).redraw(
            path,
            recorded,
            video,
            overwrite=overwrite,
            on_open=lambda source: shown.begin(source.info),
            on_result=shown.advance,
        )
    return tell(path, report, [video], overwrite)


def tell(path: Path, report: RunReport, outputs: Sequence[Path], overwrite: bool) -> int:
    """Print how a file's run ended, and return the exit code."""
    if report.is_interrupted:
        typer.echo(printable(f"{path}: interrupted after {report.stats.frames} frames"), err=True)
    if report.stats.frames and not (report.is_interrupted and overwrite):
        written = " and ".join(str(output) for output in outputs)
        skipped = f", {report.stats.skipped} damaged packets skipped" if report.stats.skipped else ""
        rate = f"{report.stats.frames} frames at {report.stats.fps:.1f} fps{skipped}"
        typer.echo(printable(f"{path}: {rate}; wrote {written}"))
    return INTERRUPTED if report.is_interrupted else 0
