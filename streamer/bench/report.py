"""The figures as tables of at most 100 columns, for a terminal or a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from streamer.bench import figures
from streamer.bench.accuracy import Scores
from streamer.bench.figures import Figures, Growth, Measurement, Spread, TruthFigures, VideoFigures
from streamer.bench.values import Machine, StageCost
from streamer.errors import printable

WIDTH = 100
_NONE = "–"


def print_report(measured: Figures, console: Console) -> None:
    """Write everything to a console."""
    for part in report(measured):
        console.print(part)
        console.print()


def report(measured: Figures) -> Iterator[RenderableType]:
    """Yield what is printed, part by part."""
    yield _plain(*_head(measured))
    for video in measured.videos:
        size = f"{video.width} × {video.height}, {video.fps:g} fps"
        frames = max((run.frames for one in video.measurements for run in one.runs), default=0)
        yield _plain(
            f"{video.name}: {size}, {frames} frames; medians of {measured.repeat}",
            f"reference: {video.reference}, score above .9",
        )
        yield _speeds(video)
        yield _plain(
            "fps: frames a second from opening the video to the closed outputs. of ceiling: of what decoding and "
            "encoding alone reach, in the same repeat. CPU ms: processor time of a frame, all threads. MiB: the most "
            "that the process held. faces: found in a frame. whole s: the process from its start to its end, loading "
            "and warming up included."
        )
        yield _accuracies(video)
        yield _plain(
            "recall / precision: boxes that overlap the reference's by an IoU of .5, one to one. seen: only boxes "
            "that were detected in their frame, not predicted. IoU: median of the matched. switches: of track ids on "
            "a face of the reference."
        )
        yield from _names(video)
        process = video.of(figures.PROCESS)
        if process is not None:
            yield _stages(process)
            yield _plain(
                "p50 … p99: time of one call in the run of middle speed, where stages run side by side. CPU: of all "
                "threads, stages inside left out, in a run of its own where one stage runs after the other."
            )
    if measured.truth:
        yield _truth(measured.truth)
    for growth in measured.growth:
        yield _growth(growth)
        slopes = growth.slopes_ms()
        if growth.by == "faces" and slopes is not None:
            yield _plain(f"a further face takes {slopes[0]:.2f} ms a frame; CPU time {slopes[1]:.2f} ms")
    if measured.notes:
        yield _plain(*measured.notes)


def _plain(*lines: str) -> Text:
    return Text("\n".join(printable(line) for line in lines))


def _head(measured: Figures) -> Iterator[str]:
    machine = measured.machine
    yield f"{measured.date}   {measured.command}"
    yield _hardware(machine)
    yield "   ".join(f"{name} {version or 'absent'}" for name, version in machine.versions.items())
    yield f"nets on {machine.device} by {machine.backend}; threads: {_threads(measured)}"


def _hardware(machine: Machine) -> str:
    parts = [
        machine.cpu,
        f"{machine.physical_cores or '?'} cores, {machine.usable_cpus} usable CPUs",
        f"{machine.memory_mib / 1024:.0f} GiB",
        f"GPU: {machine.gpu or 'none'}",
        machine.system,
        *([] if machine.load is None else [f"load {machine.load:.2f} before"]),
    ]
    return ", ".join(parts)


def _threads(measured: Figures) -> str:
    for video in measured.videos:
        process = video.of(figures.PROCESS)
        if process is not None and process.runs[0].threads:
            threads = ", ".join(f"{name} {count}" for name, count in process.runs[0].threads.items())
            return f"{threads}; decoder and x264 choose their own"
    return "not known"


def _table(headings: Sequence[str]) -> Table:
    """Return a table whose first column is text, and all others numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right", no_wrap=True)
    return table


def _fps(spread: Spread) -> tuple[str, str]:
    """Return the median, and the least and the most."""
    digits = 1 if spread.median >= 10 else 2
    return f"{spread.median:.{digits}f}", f"{spread.least:.{digits}f}–{spread.most:.{digits}f}"


def _speeds(video: VideoFigures) -> Table:
    ceiling, naive = video.of(figures.CEILING), video.of(figures.NAIVE)
    table = _table(["speed", "fps", "least–most", "of ceiling", "× naive", "CPU ms", "MiB", "faces", "whole s"])
    for one in video.measurements:
        table.add_row(
            one.name,
            *_fps(one.fps),
            f"{one.times(ceiling).median:.2f}" if ceiling is not None else _NONE,
            f"{one.times(naive).median:.1f}" if naive is not None else _NONE,
            f"{one.cpu_ms_per_frame.median:.1f}",
            f"{one.peak_mib.median:.0f}",
            _number(one.runs[0].faces_per_frame, 2),
            f"{Spread.over([run.command_seconds for run in one.runs]).median:.1f}",
        )
    return table


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _accuracies(video: VideoFigures) -> Table:
    table = _table(
        ["recall / precision", "from 40 px", "any size", "seen, from 40 px", "seen, any size", "IoU", "switches"]
    )
    for one in video.measurements:
        if one.accuracy is None:
            continue
        every, detected = one.accuracy.shown, one.accuracy.detected
        table.add_row(
            one.name,
            _pair(every.large),
            _pair(every.all_sizes),
            _pair(detected.large),
            _pair(detected.all_sizes),
            _number(every.median_iou, 3),
            _NONE if one.accuracy.id_switches is None else str(one.accuracy.id_switches),
        )
    return table


def _pair(scores: Scores) -> str:
    return f"{_number(scores.recall.value, 3)}/{_number(scores.precision.value, 3)}"


def _names(video: VideoFigures) -> Iterator[Text]:
    given = [(one.name, one.accuracy.names) for one in video.measurements if one.accuracy and one.accuracy.names]
    if given:
        lines = (f"{way}: " + ", ".join(f"{name} {count}" for name, count in names.items()) for way, names in given)
        yield _plain("names given, and to how many faces over all frames", *lines)


def _stages(process: Measurement) -> Table:
    """Show the stages of the run of middle speed, and the processor time of each from the profile."""
    middle = sorted(process.runs, key=lambda run: run.fps)[len(process.runs) // 2]
    costs = {stage.name: stage for stage in process.profile.stages} if process.profile is not None else {}
    table = _table(["stages of process", "calls", "p50 ms", "p95 ms", "p99 ms", "CPU ms/frame"])
    for stage in middle.stages:
        table.add_row(
            stage.name,
            str(stage.calls),
            *(f"{value:.2f}" for value in (stage.p50_ms, stage.p95_ms, stage.p99_ms)),
            _own(costs.get(stage.name)),
        )
    if process.profile is not None:
        inside = sum(stage.own_cpu_ms_per_frame for stage in process.profile.stages)
        table.add_row("between them", "", "", "", "", f"{process.profile.cpu_ms_per_frame - inside:.2f}")
        table.add_row("all", "", "", "", "", f"{process.profile.cpu_ms_per_frame:.2f}")
    return table


def _own(stage: StageCost | None) -> str:
    return _NONE if stage is None else f"{stage.own_cpu_ms_per_frame:.2f}"


def _truth(every: Sequence[TruthFigures]) -> Table:
    table = _table(["drawn scene", "recall", "precision", "id switches", "right names", "false names"])
    for one in every:
        scores = one.scores
        table.add_row(
            one.name,
            _number(scores.recall.value, 3),
            _number(scores.precision.value, 3),
            str(scores.id_switches),
            _number(scores.names.value, 3),
            str(scores.false_names),
        )
    return table


_HEADINGS = {"faces": "drawn faces", "size": "height px", "streams": "videos at once"}


def _growth(growth: Growth) -> Table:
    table = _table(
        [_HEADINGS[growth.by], "fps", "least–most", "ms/frame", "of ceiling", "CPU ms", "MiB", "faces", "recall"]
    )
    for point in growth.points:
        process = point.process
        table.add_row(
            str(point.amount),
            *_fps(process.fps),
            f"{1e3 / process.fps.median:.1f}",
            f"{process.times(point.ceiling).median:.2f}" if point.ceiling is not None else _NONE,
            f"{process.cpu_ms_per_frame.median:.1f}",
            f"{process.peak_mib.median:.0f}",
            _number(process.runs[0].faces_per_frame, 1),
            _number(point.recall, 3),
        )
    return table
