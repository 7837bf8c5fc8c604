"""What one measurement is asked for and what it answers, and how both travel to a child process and back as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args, get_origin, get_type_hints

_Value = TypeVar("_Value")

Kind = Literal["ceiling", "naive", "reference", "detect", "process", "results", "profile", "machine"]


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement, for one child process.

    Attributes:
        kind: `ceiling`: decode and encode, nothing between. `naive`: a loop over facenet-pytorch. `reference`: only
            its detection. `detect`: ours alone. `process`: all of ours into a video and a results file. `results`: the
            same without the video. `profile`: the same as `process`, one stage after the other in one thread.
            `machine`: measure nothing, tell what there is.
        video: What is read; of `machine` none.
        folder: An empty folder for outputs.
        config: A YAML file of settings; None: the defaults. The environment's settings are in it already.
        overrides: `section.key=value`, over those of the file.
        people: Photos, one folder a person, enrolled before the clock starts; None: nobody is named.
        most_frames: The first so many frames only, of the kinds that are not ours; None: all.
        end_seconds: Stream time at which to stop, exclusive; None: at the video's end.
        streams: So many times the video goes through one pipeline side by side.
    """

    kind: Kind
    video: Path
    folder: Path
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    people: Path | None = None
    most_frames: int | None = None
    end_seconds: float | None = None
    streams: int = 1

    @property
    def boxes(self) -> Path:
        """Where `reference` and `detect` put the boxes that they found."""
        return self.folder / "boxes.json"

    def results(self, stream: int = 0) -> Path:
        """Return where `process` and `results` put the results file of a stream."""
        return self.folder / f"{stream}.jsonl"


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage of ours cost.

    Attributes:
        name: The stage's.
        calls: How often it ran; a call may serve several frames.
        p50_ms: Milliseconds that half of the calls do not exceed.
        p95_ms: The same for 95 %.
        p99_ms: The same for 99 %.
        wall_ms_per_frame: Time in it, over all frames.
        cpu_ms_per_frame: Processor time, over all frames; stages inside it included. Of a `profile` that of the whole
            process while the stage ran, with all threads of decoder, nets and encoder; of other runs, where stages run
            side by side, only that of the threads that called it.
        own_cpu_ms_per_frame: The same without the stages inside it; these may be added up.
    """

    name: str
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    wall_ms_per_frame: float
    cpu_ms_per_frame: float
    own_cpu_ms_per_frame: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one child process measured.

    Attributes:
        frames: How many went through, of all streams together.
        seconds: From opening the input to the closed output; loading nets, enrolling and warming up come before.
        cpu_seconds: Processor time of the whole process in that span, all threads.
        peak_mib: The most memory that the process held at any time, loading and warming up included.
        faces: How many were found, in all frames together.
        stages: Ours only.
        threads: What was bounded to how many threads.
        command_seconds: The process from its start to its end; what a user waits.
    """

    frames: int
    seconds: float
    cpu_seconds: float
    peak_mib: float = 0.0
    faces: int | None = None
    stages: tuple[StageCost, ...] = ()
    threads: dict[str, int] = field(default_factory=dict)
    command_seconds: float = 0.0

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_ms_per_frame(self) -> float:
        """Processor time of a frame, milliseconds."""
        return 1e3 * self.cpu_seconds / max(self.frames, 1)

    @property
    def faces_per_frame(self) -> float | None:
        """Faces found in a frame; None: none were looked for."""
        return None if self.faces is None else self.faces / max(self.frames, 1)


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured on.

    Attributes:
        cpu: The processor's model.
        physical_cores: Hyper-threads not counted; None: the system does not say.
        usable_cpus: So many threads may run at once.
        memory_mib: Of the whole machine.
        gpu: An NVIDIA GPU that works; None: there is none.
        system: Name and release of the operating system.
        device: What our nets run on.
        backend: What computes them unless it is set.
        backends: What could compute them here, on a CPU.
        peer_problem: Why facenet-pytorch cannot be imported, so that there is neither naive loop nor independent
            reference; empty: it can.
        versions: Of Python and the packages that compute, None: not installed.
        load: Processes that wanted a CPU over the last minute, on average; None: the system does not say.
    """

    cpu: str
    physical_cores: int | None
    usable_cpus: int
    memory_mib: int
    gpu: str | None
    system: str
    device: str
    backend: str
    backends: tuple[str, ...]
    peer_problem: str
    versions: dict[str, str | None]
    load: float | None


def to_json(value: Task | Run | Machine) -> str:
    """Return a value in one line."""
    return json.dumps(dataclasses.asdict(value), default=str)


def from_json(kind: type[_Value], text: str) -> _Value:
    """Return the value of class `kind` that `to_json` wrote."""
    return cast("_Value", _decoded(kind, json.loads(text)))


def _decoded(annotation: object, value: object) -> object:
    """Make of plain JSON what `annotation` says: JSON knows neither paths nor tuples nor classes."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation)
        return annotation(
            **{name: _decoded(hints[name], item) for name, item in cast("dict[str, object]", value).items()}
        )
    parts = get_args(annotation)
    if get_origin(annotation) is tuple:
        return tuple(_decoded(parts[0], item) for item in cast("list[object]", value))
    if value is not None and (annotation is Path or Path in parts):
        return Path(str(value))
    return value
