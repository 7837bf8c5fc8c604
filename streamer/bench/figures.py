"""What the runs of one benchmark come to: medians and spreads, ratios, growth, and what was found beside each speed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamer.bench.accuracy import Agreement
from streamer.bench.truth import TruthScores
from streamer.bench.values import Machine, Run

# What each way of going through a video is called, in tables, in JSON and in `VideoFigures.of`.
CEILING = "ceiling"
NAIVE = "naive loop"
PEER_DETECTION = "facenet-pytorch detect"
DETECTION = "detect, every frame"
PROCESS = "process"
EVERY_FRAME = "process, every frame"
RESULTS_ONLY = "process, results only"


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the ends of repeated measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def over(cls, values: Sequence[float]) -> Spread:
        """Sum up at least one measurement."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was found, against a reference that searched every frame.

    Attributes:
        shown: All boxes of a frame, those that were placed between two looks included.
        detected: Only the boxes that were seen in their frame.
        id_switches: How often the track that covers a face of the reference changes; None: nothing is tracked.
        names: To how many faces each name was given.
    """

    shown: Agreement
    detected: Agreement
    id_switches: int | None = None
    names: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One way of going through a video, measured several times.

    Attributes:
        name: Which way.
        runs: One a repeat.
        accuracy: Of the first run, for the result is the same in all; None: of a peer.
        profile: The same in one thread, for the processor time of each stage; None: not made.
    """

    name: str
    runs: tuple[Run, ...]
    accuracy: Accuracy | None = None
    profile: Run | None = None

    @property
    def fps(self) -> Spread:
        """Frames a second."""
        return Spread.over([run.fps for run in self.runs])

    @property
    def cpu_ms_per_frame(self) -> Spread:
        """Processor time of a frame, all threads, milliseconds."""
        return Spread.over([run.cpu_ms_per_frame for run in self.runs])

    @property
    def peak_mib(self) -> Spread:
        """The most memory that the process held, MiB."""
        return Spread.over([run.peak_mib for run in self.runs])

    def times(self, other: Measurement) -> Spread:
        """Return how many times as fast as `other` this is.

        Runs are compared with those of the same repeat, which stood beside them in time: what slows the whole machine
        down for a while slows both.
        """
        pairs = zip(self.runs, other.runs, strict=True)
        return Spread.over([ours.fps / theirs.fps for ours, theirs in pairs])


@dataclass(frozen=True, slots=True)
class VideoFigures:
    """All ways of going through one video.

    Attributes:
        name: The video's.
        width: Pixels.
        height: Pixels.
        fps: Frames a second when it is played.
        reference: Where the reference's boxes came from.
        measurements: In the order in which each repeat ran.
    """

    name: str
    width: int
    height: int
    fps: float
    reference: str
    measurements: tuple[Measurement, ...]

    def of(self, name: str) -> Measurement | None:
        """Return the measurement of that name; None: it was not made."""
        return next((one for one in self.measurements if one.name == name), None)


@dataclass(frozen=True, slots=True)
class TruthFigures:
    """One way of going through a drawn scene, against the truth about it."""

    name: str
    scores: TruthScores


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """`process` at one number of faces, height or number of streams.

    Attributes:
        amount: That number.
        process: Its runs; its frames a second are those of all streams together.
        ceiling: Decoding and encoding the same; None: not measured.
        recall: Of drawn faces, those that were found; None: there is no truth.
    """

    amount: int
    process: Measurement
    ceiling: Measurement | None = None
    recall: float | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """How the cost of `process` grows.

    Attributes:
        by: With what: `faces`, `size` or `streams`.
        points: By rising amount.
    """

    by: str
    points: tuple[GrowthPoint, ...]

    def slopes_ms(self) -> tuple[float, float] | None:
        """Return by how many milliseconds a frame takes longer for one more: passed, and of the processor.

        The slope of the straight line that fits the medians best by least squares; None: of fewer than two points.
        """
        if len(self.points) < 2:
            return None
        amounts = [float(point.amount) for point in self.points]
        passed = [1e3 / point.process.fps.median for point in self.points]
        computed = [point.process.cpu_ms_per_frame.median for point in self.points]
        return float(np.polyfit(amounts, passed, 1)[0]), float(np.polyfit(amounts, computed, 1)[0])


@dataclass(frozen=True, slots=True)
class Figures:
    """One benchmark.

    Attributes:
        command: What was typed.
        date: When it began, ISO 8601 with the time zone.
        repeat: How often everything was measured.
        machine: What it ran on.
        videos: One a video.
        truth: Of the drawn scene.
        growth: What was asked for.
        notes: What was left out, and why.
    """

    command: str
    date: str
    repeat: int
    machine: Machine
    videos: tuple[VideoFigures, ...]
    truth: tuple[TruthFigures, ...] = ()
    growth: tuple[Growth, ...] = ()
    notes: tuple[str, ...] = ()
