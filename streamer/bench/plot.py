"""The figures as one picture: speed with the recall beside it, where the processor's time goes, and growth.

Needs matplotlib, which the demo extra brings.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.bench import figures
from streamer.bench.figures import Figures, Growth, Measurement, VideoFigures
from streamer.bench.values import Run
from streamer.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

_INK, _GREY, _BLUE, _GREEN = "#222222", "#b0b4ba", "#3b6fb6", "#2e8b57"
# Stages in the order of a frame's way; what others there are comes behind. Neighbours differ in lightness.
_COLOURS = {
    "read": "#4e79a7",
    "plan": "#a0cbe8",
    "prepare": "#c7651a",
    "pyramid": "#f28e2b",
    "pnet": "#ffbe7d",
    "rnet": "#e15759",
    "onet": "#ff9d9a",
    "nms": "#d4a6c8",
    "detect": "#b07aa1",
    "refine": "#9d7660",
    "track": "#d7b5a6",
    "label": "#86bcb6",
    "embed": "#499894",
    "emotion": "#f1ce63",
    "draw": "#b6992d",
    "video": "#59a14f",
    "results": "#8cd17d",
}
_TITLES = {
    "faces": ("Cost of a frame by faces in it", "faces drawn", "ms a frame"),
    "size": ("Speed by size", "height, px", "frames a second"),
    "streams": ("Speed by videos at once", "videos at once", "frames a second, all together"),
}


def check_plotting() -> None:
    """Raise UsageError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            'a plot needs matplotlib, which is not installed; install it with: pip install "streamer[demo]"'
        )


def draw_plot(measured: Figures, path: Path) -> None:
    """Draw everything into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = 2 * len(measured.videos) + (1 if measured.growth else 0)
    heights = [3.4, 2.3] * len(measured.videos) + ([3.2] if measured.growth else [])
    figure = Figure(figsize=(10.5, 1.0 + sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subfigures(rows, 1, height_ratios=heights, squeeze=False)[:, 0]
    for place, video in enumerate(measured.videos):
        speed, recall = parts[2 * place].subplots(1, 2, sharey=True, width_ratios=[3, 2])
        _draw_speed(speed, video)
        _draw_recall(recall, video)
        parts[2 * place].suptitle(f"{video.name}, {video.width} × {video.height}", fontweight="bold", x=0.01, ha="left")
        _draw_stages(parts[2 * place + 1], video)
    if measured.growth:
        axes = parts[-1].subplots(1, len(measured.growth), squeeze=False)[0]
        for one, growth in zip(axes, measured.growth, strict=True):
            _draw_growth(one, growth)
    machine = measured.machine
    figure.supxlabel(
        f"{machine.cpu}, {machine.physical_cores or machine.usable_cpus} cores, GPU: {machine.gpu or 'none'}; "
        f"medians of {measured.repeat}, whiskers from least to most; {measured.date[:10]}",
        fontsize=8,
        color="#666666",
    )
    figure.savefig(path, dpi=110)


def _shown(video: VideoFigures) -> list[Measurement]:
    """Return what has a bar, the topmost first: the ceiling is the scale, not a bar."""
    return [one for one in video.measurements if one.name != figures.CEILING]


def _draw_speed(axes: Axes, video: VideoFigures) -> None:
    ceiling = video.of(figures.CEILING)
    if ceiling is None:
        raise AssertionError("the ceiling is always measured")
    shown = _shown(video)
    for place, one in enumerate(shown):
        share = one.times(ceiling)
        colour = _GREY if one.accuracy is None else _BLUE if one.name == figures.PROCESS else "#8fb0dc"
        spread = [[share.median - share.least], [share.most - share.median]]
        axes.barh(place, share.median, color=colour, xerr=spread, error_kw={"ecolor": _INK, "capsize": 2})
        fps = f"{one.fps.median:.1f}" if one.fps.median >= 10 else f"{one.fps.median:.2f}"
        axes.text(share.most + 0.015, place, f"{fps} fps", va="center", fontsize=8, color=_INK)
    axes.axvline(1.0, color=_INK, linewidth=1)
    axes.set_xlim(0, max(1.0, *(one.times(ceiling).most for one in shown)) * 1.18)
    axes.set_yticks(range(len(shown)), [one.name for one in shown], fontsize=9)
    axes.invert_yaxis()
    axes.set_title(f"speed, as a share of the ceiling ({ceiling.fps.median:.0f} fps)", fontsize=10, loc="left")
    _tidy(axes)


def _draw_recall(axes: Axes, video: VideoFigures) -> None:
    lowest = 1.0
    for place, one in enumerate(_shown(video)):
        if one.accuracy is None:
            continue
        large, every = one.accuracy.shown.large, one.accuracy.shown.all_sizes
        for value, colour, marker in (
            (large.recall.value, _GREEN, "o"),
            (every.recall.value, _GREEN, "|"),
            (large.precision.value, _BLUE, "o"),
        ):
            if value is not None:
                lowest = min(lowest, value)
                axes.plot(value, place, marker, color=colour, markersize=7, alpha=0.85)
    axes.set_xlim(min(0.9, lowest - 0.02), 1.005)
    axes.plot([], [], "o", color=_GREEN, label="recall, 40 px")
    axes.plot([], [], "|", color=_GREEN, label="recall, any size")
    axes.plot([], [], "o", color=_BLUE, label="precision, 40 px")
    axes.legend(fontsize=7, loc="best", framealpha=0.9)
    axes.set_title("against detection on every frame", fontsize=10, loc="left")
    _tidy(axes)


def _draw_stages(part: SubFigure, video: VideoFigures) -> None:
    """Stack each stage's own processor time, of `process` and of every-frame detection, each on its own scale."""
    profiled = [(one, one.profile) for one in video.measurements if one.profile is not None]
    every = part.subplots(len(profiled), 1, squeeze=False)[:, 0]
    labels: dict[str, Artist] = {}
    for axes, (one, profile) in zip(every, profiled, strict=True):
        labels |= _stack(axes, profile)
        axes.set_yticks([0], [one.name], fontsize=9)
    if profiled:
        every[0].set_title("processor time of a frame, ms, all threads (scales differ)", fontsize=10, loc="left")
        ordered = [name for name in _COLOURS if name in labels] + [name for name in labels if name not in _COLOURS]
        handles = [labels[name] for name in ordered]
        part.legend(handles, ordered, fontsize=7, ncols=10, loc="outside lower center", frameon=False)


def _stack(axes: Axes, profile: Run) -> dict[str, Artist]:
    """Draw one bar of stages, in the order of a frame's way; return what stands for each in a legend."""
    order = list(_COLOURS)
    stages = sorted(profile.stages, key=lambda stage: order.index(stage.name) if stage.name in _COLOURS else len(order))
    left, whole, drawn = 0.0, profile.cpu_ms_per_frame, {}
    for stage in stages:
        width = stage.own_cpu_ms_per_frame
        colour = _COLOURS.get(stage.name, _GREY)
        drawn[stage.name] = axes.barh(0, width, left=left, color=colour, edgecolor="white", linewidth=0.4)[0]
        if width > 0.03 * whole:
            axes.text(left + width / 2, 0, f"{width:.1f}", ha="center", va="center", fontsize=7)
        left += width
    axes.text(left + 0.01 * whole, 0, f"{left:.1f} ms", va="center", fontsize=8)
    axes.set_xlim(0, whole * 1.1)
    _tidy(axes)
    return drawn


def _draw_growth(axes: Axes, growth: Growth) -> None:
    title, across, up = _TITLES[growth.by]
    amounts = [point.amount for point in growth.points]
    spreads = [point.process.fps for point in growth.points]
    if growth.by == "faces":
        axes.plot(amounts, [1e3 / one.median for one in spreads], "o-", color=_BLUE, label="time passed")
        axes.fill_between(
            amounts, [1e3 / one.most for one in spreads], [1e3 / one.least for one in spreads], color=_BLUE, alpha=0.15
        )
        computed = [point.process.cpu_ms_per_frame.median for point in growth.points]
        axes.plot(amounts, computed, "s--", color=_GREY, label="processor time")
        axes.legend(fontsize=8)
        slopes = growth.slopes_ms()
        title += f": {slopes[0]:.2f} ms each" if slopes is not None else ""
    else:
        axes.plot(amounts, [one.median for one in spreads], "o-", color=_BLUE, label="process")
        axes.fill_between(
            amounts, [one.least for one in spreads], [one.most for one in spreads], color=_BLUE, alpha=0.15
        )
        ceilings = [point.ceiling.fps.median for point in growth.points if point.ceiling is not None]
        if len(ceilings) == len(amounts):
            axes.plot(amounts, ceilings, "s--", color=_GREY, label="ceiling")
            axes.legend(fontsize=8)
    axes.set_xticks(amounts)
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x" if axes.get_yticklabels() else "both", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
