"""`streamer bench`: how fast it is beside what limits it, and how much it finds at that speed."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import ConfigFile, DeviceName, Overrides
from streamer.errors import StreamerError, UsageError

if TYPE_CHECKING:
    from streamer.bench.bars import Bars
    from streamer.bench.figures import Figures

_CEILING_BAR, _RECALL_BAR, _PRECISION_BAR = 0.3, 0.97, 0.95
_LONGEST_LIST = 16


def bench(
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VIDEO...]", help="Videos to measure, or patterns; default: a drawn scene of 12 s."),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            "--people", metavar="DIR", help="Photos, one folder a person; default: nobody is named in videos."
        ),
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", metavar="N", min=1, max=100, help="Times all is measured; default: 3.")
    ] = 3,
    naive_frames: Annotated[
        int,
        typer.Option(
            "--naive-frames", metavar="N", min=0, help="Frames of the naive loop; 0: leave it out; default: 35."
        ),
    ] = 35,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="SECONDS", min=0.1, help="Only the beginning of each video; default: all."),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option("--faces", metavar="N,N,...", help="Measure drawn scenes of so many faces, too; default: none."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="PX,PX,...",
            help="Measure the first video at these heights in pixels, too; default: none.",
        ),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(
            "--streams", metavar="N,N,...", help="Measure the first video so many times at once, too; default: none."
        ),
    ] = None,
    scene_size: Annotated[
        int,
        typer.Option(
            "--scene-size", metavar="PX", min=180, max=4320, help="Height in pixels of --faces scenes; default: 1080."
        ),
    ] = 1080,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE.json", help="Write all figures there; default: nowhere.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Draw the figures there; needs matplotlib; default: nowhere."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist; default: refuse.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest time of one measurement; default: 900."),
    ] = 900.0,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 where a bar below is missed; default: only measure.")
    ] = False,
    least_ceiling: Annotated[
        float | None,
        typer.Option("--least-ceiling", metavar="SHARE", help="Bar: speed as a share of the ceiling; default: 0.3."),
    ] = None,
    least_recall: Annotated[
        float | None,
        typer.Option("--least-recall", metavar="SHARE", help="Bar: recall, faces of 40 px and more; default: 0.97."),
    ] = None,
    least_precision: Annotated[
        float | None,
        typer.Option("--least-precision", metavar="SHARE", help="Bar: precision of the same; default: 0.95."),
    ] = None,
    least_naive: Annotated[
        float | None,
        typer.Option("--least-naive", metavar="TIMES", help="Bar: speed over the naive loop's; default: none."),
    ] = None,
    least_detect: Annotated[
        float | None,
        typer.Option(
            "--least-detect", metavar="TIMES", help="Bar: detection over facenet-pytorch's in speed; default: none."
        ),
    ] = None,
    device: DeviceName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Measure speed, memory and accuracy beside decoding and encoding alone, and beside a naive loop.

    Everything is measured in child processes, one after the other and all again; keep the machine idle meanwhile.
    """
    from streamer.bench.bars import Bars
    from streamer.bench.program import Options, run_benchmark
    from streamer.cli.inputs import expand
    from streamer.config import load_config

    bars = Bars(least_ceiling, least_recall, least_precision, least_naive, least_detect)
    bars = _checked_bars(bars, check)
    config = load_config(config_file, overrides or (), flags={"runtime.device": device})
    paths = expand(videos or ())
    _check_outputs(paths, json_file, plot, overwrite)
    options = Options(
        videos=tuple(paths),
        people=people,
        config=config,
        command=shlex.join(["streamer", *sys.argv[1:]]),
        repeat=repeat,
        naive_frames=naive_frames,
        seconds=seconds,
        faces=_amounts("--faces", faces, 0, 100),
        sizes=_amounts("--size", size, 90, 4320),
        streams=_amounts("--streams", streams, 1, 64),
        scene_height=scene_size // 2 * 2,
        timeout_seconds=timeout,
    )
    with _ended_by_signals():
        measured = run_benchmark(options)
    _print(measured)
    _write(measured, json_file, plot)
    _judge(measured, bars)


def _checked_bars(given: Bars, check: bool) -> Bars:
    """Return the bars to check: those given, and where none is given for what matters most, usual ones."""
    from streamer.bench.bars import Bars

    if not check:
        if given != Bars():
            raise UsageError("a bar (--least-…) is only looked at with --check; add that, or leave the bar out")
        return given
    return Bars(
        _CEILING_BAR if given.ceiling is None else given.ceiling,
        _RECALL_BAR if given.recall is None else given.recall,
        _PRECISION_BAR if given.precision is None else given.precision,
        given.naive,
        given.detection,
    )


def _amounts(option: str, text: str | None, least: int, most: int) -> tuple[int, ...]:
    """Return the whole numbers of a list like `0,1,4`, rising, each once."""
    if text is None:
        return ()
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and least <= int(word) <= most for word in words):
        raise UsageError(f"{option} {text}: give whole numbers from {least} to {most} with commas between")
    amounts = sorted({int(word) for word in words})
    if len(amounts) > _LONGEST_LIST:
        raise UsageError(f"{option} {text}: {len(amounts)} are too many; give at most {_LONGEST_LIST}")
    return tuple(amounts)


def _check_outputs(videos: list[Path], json_file: Path | None, plot: Path | None, overwrite: bool) -> None:
    """Refuse outputs that could not be written, before anything is measured."""
    from streamer.sinks.files import check_output

    for path, suffix in ((json_file, ".json"), (plot, ".png")):
        if path is not None:
            check_output(path, sources=videos, suffixes=(suffix,), overwrite=overwrite)
    if plot is not None:
        from streamer.bench.plot import check_plotting

        check_plotting()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end everything as Ctrl-C does: children are ended, temporary files removed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(measured: Figures) -> None:
    from rich.console import Console

    from streamer.bench.report import WIDTH, print_report

    print_report(measured, Console(width=WIDTH, highlight=False))


def _write(measured: Figures, json_file: Path | None, plot: Path | None) -> None:
    from streamer.bench.document import as_json
    from streamer.sinks.files import write_error

    if json_file is not None:
        try:
            json_file.write_text(as_json(measured), encoding="utf-8")
        except OSError as error:
            raise write_error(json_file, error) from error
    if plot is not None:
        from streamer.bench.plot import draw_plot

        try:
            draw_plot(measured, plot)
        except OSError as error:
            raise write_error(plot, error) from error


def _judge(measured: Figures, bars: Bars) -> None:
    """Raise StreamerError, whose exit code is 1, for bars that were missed."""
    from streamer.bench.bars import missed

    faults = missed(measured, bars)
    if faults:
        raise StreamerError("missed: " + "; ".join(faults))
