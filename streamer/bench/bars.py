"""The bars of `streamer bench --check`: ratios and shares, never times, so that they hold on any machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streamer.bench import figures
from streamer.bench.figures import Figures, VideoFigures


@dataclass(frozen=True, slots=True)
class Bars:
    """What every video must reach; None: not checked. What is checked and was not measured is missed.

    Attributes:
        ceiling: `process` in frames a second, as a share of decoding and encoding alone.
        recall: Of `process`, for faces of 40 px and more.
        precision: The same.
        naive: How many times as fast as the naive loop `process` is.
        detection: How many times as fast as facenet-pytorch's our detection of every frame is.
    """

    ceiling: float | None = None
    recall: float | None = None
    precision: float | None = None
    naive: float | None = None
    detection: float | None = None


def missed(measured: Figures, bars: Bars) -> list[str]:
    """Return for each bar that was missed what was reached and what was to be; empty: all were reached."""
    return [
        f"{video.name}: {what} {_fault(value, bar)}"
        for video in measured.videos
        for what, value, bar in _wanted(video, bars)
        if bar is not None and (value is None or value < bar)
    ]


def _fault(value: float | None, bar: float | None) -> str:
    return "was not measured" if value is None else f"is {value:.3f}, which is less than {bar:g}"


def _wanted(video: VideoFigures, bars: Bars) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield what can be checked of a video: what it is, its value (None: not measured), its bar."""
    process, ceiling, naive = (video.of(name) for name in (figures.PROCESS, figures.CEILING, figures.NAIVE))
    detection, peer = video.of(figures.DETECTION), video.of(figures.PEER_DETECTION)
    yield "the share of the ceiling", process.times(ceiling).median if process and ceiling else None, bars.ceiling
    yield "the multiple of the naive loop", process.times(naive).median if process and naive else None, bars.naive
    multiple = detection.times(peer).median if detection and peer else None
    yield "the multiple of facenet-pytorch's detection", multiple, bars.detection
    if process is not None and process.accuracy is not None:
        large = process.accuracy.shown.large
        # Where there is no face there is none to miss.
        if large.recall.total > 0:
            yield "the recall of faces of 40 px and more", large.recall.value, bars.recall
        if large.precision.total > 0:
            yield "the precision of faces of 40 px and more", large.precision.value, bars.precision
