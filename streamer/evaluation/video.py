"""Evaluates a results file against a truth, both read frame by frame side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import UsageError, printable
from streamer.evaluation.face_files import FrameFaces, ResultsFrames, read_truth
from streamer.evaluation.tracking import TrackingFigures, TrackingTally

# Of a frame's duration: so far apart may the times of one frame lie in two files.
_TOLERANCE = 0.45


@dataclass(frozen=True, slots=True)
class VideoFigures:
    """What a results file came to.

    Attributes:
        tracking: The figures.
        frames: Of the truth that were judged.
        absent: Of them, those that the results lack; their faces count as missed.
        is_cut: The results end without a summary, cut off by a crash.
        beyond: Frames of the truth behind the end of results that were cut off; they are not judged.
    """

    tracking: TrackingFigures
    frames: int
    absent: int
    is_cut: bool
    beyond: int


def evaluate_video(
    results: Path, truth: Path, *, min_face_pixels: float = 0.0, on_frame: Callable[[], None] = lambda: None
) -> VideoFigures:
    """Judge every frame of the truth by what the results say of it.

    Args:
        results: A results file; one that was cut off is used up to its last whole line.
        truth: See `face_files`.
        min_face_pixels: Smaller faces are not judged.
        on_frame: Called after each frame.

    Raises:
        SourceOpenError: A file is absent, or not as it must be.
        UsageError: The two have no frame in common.
    """
    ours = ResultsFrames(results)
    frames_found = iter(ours)
    tally = TrackingTally(min_face_pixels)
    frames = absent = beyond = 0
    for pair in paired(frames_found, read_truth(truth), _TOLERANCE / max(ours.declared_fps, 1e-3)):
        if pair.is_behind_all and not ours.is_whole:
            beyond += 1
            continue
        frames += 1
        absent += pair.found is None
        tally.add(pair.found if pair.found is not None else pair.true.of(()), pair.true)
        on_frame()
    if frames == absent:
        raise UsageError(f"{printable(results)} and {printable(truth)} have no frame in common; are they of one video?")
    for _ in frames_found:  # to its end, which tells whether it was cut off
        pass
    return VideoFigures(tally.figures(), frames, absent, not ours.is_whole, beyond)


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """One frame of a truth beside what was found in it.

    Attributes:
        found: None: the results do not have the frame.
        true: What the truth says.
        is_behind_all: The results ended before this frame.
    """

    found: FrameFaces | None
    true: FrameFaces
    is_behind_all: bool


def paired(results: Iterator[FrameFaces], truth: Iterable[FrameFaces], tolerance_seconds: float) -> Iterator[FramePair]:
    """Yield every frame of a truth with that of the results, by its index, or by its time where it has none.

    Both are in order. Frames of the results that the truth does not have are passed over.
    """
    current = next(results, None)
    for true in truth:
        place, tolerance = _place(true, true), 0.0 if true.index is not None else tolerance_seconds
        while current is not None and _place(current, true) < place - tolerance:
            current = next(results, None)
        if current is not None and _place(current, true) <= place + tolerance:
            yield FramePair(current, true, False)
            current = next(results, None)
        else:
            yield FramePair(None, true, current is None)


def _place(frame: FrameFaces, like: FrameFaces) -> float:
    """Return where a frame stands: its index if `like` has one, else its time."""
    place = frame.index if like.index is not None else frame.pts_seconds
    assert place is not None  # results have both, and all frames of a truth the same
    return place
