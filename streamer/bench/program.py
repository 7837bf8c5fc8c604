"""One benchmark from its options to its figures: makes what is measured, and has everything measured."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.bench.children import Children, scratch_folder
from streamer.bench.figures import Figures, Growth, TruthFigures
from streamer.bench.growth import Subject, by_faces, by_size, by_streams
from streamer.bench.scenes import faces_scene, truth_scene, write_known_person, write_scene
from streamer.bench.session import Session, measure_truth, measure_video, video_info
from streamer.bench.values import Machine, Task
from streamer.config import Config, as_yaml
from streamer.errors import UsageError, printable
from streamer.sources.scene import Scene

_LOG = logging.getLogger(__name__)

_GROWTH_SECONDS = 4.0
_DRAWN = "drawn scene"


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be measured, and how.

    Attributes:
        videos: Empty: a drawn scene.
        people: Photos, one folder a person; None: in drawn scenes one of the two, in videos nobody.
        config: The settings.
        command: What was typed.
        repeat: How often everything is measured, at least 1.
        naive_frames: So many frames of the naive loop; 0: it is left out.
        seconds: The first so many seconds of each video; None: all.
        faces: Numbers of drawn faces to grow by; empty: not measured, like the two below.
        sizes: Heights, px.
        streams: Numbers of videos at once.
        scene_height: Of the drawn scenes that grow by faces, px.
        timeout_seconds: After which one measurement has failed.
    """

    videos: tuple[Path, ...]
    people: Path | None
    config: Config
    command: str
    repeat: int = 3
    naive_frames: int = 35
    seconds: float | None = None
    faces: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    streams: tuple[int, ...] = ()
    scene_height: int = 1080
    timeout_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A drawn scene as a file, and photos of the one of its two people who is enrolled."""

    scene: Scene
    video: Path
    people: Path
    known: str


def run_benchmark(options: Options, children: Children | None = None) -> Figures:
    """Measure everything that is asked for.

    Args:
        options: What that is.
        children: What measures; None: processes of our own interpreter.

    Raises:
        StreamerError: An option makes no sense, a video cannot be read, or a measurement failed; nothing is left.
    """
    _check(options)
    date = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    with scratch_folder() as folder:
        config = folder / "settings.yaml"
        config.write_text(as_yaml(options.config), encoding="utf-8")
        children = children if children is not None else Children(options.timeout_seconds)
        machine = _machine(children, config, folder)
        session = Session(
            children, folder, config, machine, options.repeat, options.naive_frames, end_seconds=options.seconds
        )
        drawn, notes = _drawn(options, folder)
        if machine.peer_problem:
            notes.append(f"no naive loop and no independent reference: {machine.peer_problem}")
        subjects = [(video, printable(video.name), options.people) for video in options.videos]
        if drawn is not None and not subjects:
            subjects = [(drawn.video, _DRAWN, options.people or drawn.people)]
        videos = tuple(measure_video(session, *subject) for subject in subjects)
        truth: list[TruthFigures] = []
        if drawn is not None:
            truth = measure_truth(session, drawn.video, drawn.scene, drawn.people, drawn.known)
        growth = _growth(session, options, Subject(subjects[0][0], subjects[0][2]), drawn)
        return Figures(
            options.command, date, options.repeat, machine, videos, tuple(truth), tuple(growth), tuple(notes)
        )


def _check(options: Options) -> None:
    """Refuse what cannot be measured before anything is. Raises StreamerError."""
    source = options.config.source
    if source.start_seconds > 0 or source.end_seconds is not None:
        raise UsageError(
            "a benchmark begins where the video does, so source.start_seconds and end_seconds cannot be set"
        )
    for video in options.videos:
        video_info(video)
    if options.people is not None and not options.people.is_dir():
        raise UsageError(f"--people {printable(options.people)} is not a folder; give one with a folder a person")
    for amount in options.faces:
        faces_scene(amount, options.scene_height, _GROWTH_SECONDS)


def _machine(children: Children, config: Path, folder: Path) -> Machine:
    _LOG.info("looking at the machine")
    return children.describe_machine(Task("machine", Path(), folder, config))


def _drawn(options: Options, folder: Path) -> tuple[_Drawn | None, list[str]]:
    """Draw the scene whose truth is known; None, and why in a note, where the portraits for it are not installed."""
    try:
        scene = truth_scene()
        known = write_known_person(folder / "people")
    except UsageError as error:
        if not options.videos:
            raise
        return None, [f"nothing is compared with the truth: {error}"]
    video = folder / "drawn-scene.mp4"
    write_scene(scene, video)
    return _Drawn(scene, video, folder / "people", known), []


def _growth(session: Session, options: Options, subject: Subject, drawn: _Drawn | None) -> Sequence[Growth]:
    growth: list[Growth] = []
    if options.faces:
        people = options.people or (drawn.people if drawn is not None else None)
        growth.append(by_faces(session, options.faces, options.scene_height, _GROWTH_SECONDS, people))
    if options.sizes:
        growth.append(by_size(session, options.sizes, subject))
    if options.streams:
        growth.append(by_streams(session, options.streams, subject))
    return growth
