"""`streamer live`: a camera or stream in a window, and into whatever outputs are asked for beside it."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.naming import check_one_source_of_names
from streamer.cli.options import (
    INTERRUPTED,
    BackendName,
    ConfigFile,
    DeviceName,
    EncoderChoice,
    GalleryFolder,
    MatcherFile,
    Overrides,
    PeopleFolder,
)
from streamer.cli.output import print_error
from streamer.errors import UsageError
from streamer.live_choices import LiveChoices, LiveTargets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamer.config import Config
    from streamer.live_session import LiveSession
    from streamer.queues import StopRequest

_LOG = logging.getLogger(__name__)

_NO_CAMERA = "no camera was found; plug one in, or watch a stream: streamer live --camera URL"


def live(
    camera: Annotated[
        str,
        typer.Option(
            "--camera",
            metavar="N|PATH|URL",
            help="Camera number or device, or a stream's URL; default: 0.",
            show_default=False,
        ),
    ] = "0",
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="WxH", help="Size to ask the camera for, in pixels; default: its own choice."),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", metavar="RATE", help="Frames a second to ask the camera for; default: its own choice."),
    ] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option("--pixel-format", metavar="FOURCC", help="Such as MJPG or YUYV; default: the camera's choice."),
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the cameras with their modes, and end.")] = False,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="Open no window; needs another output; default: a window.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", metavar="FILE.mp4", help="Annotated video to write; default: none, until r is pressed."
        ),
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", metavar="FILE.jsonl", help="Results file to write; default: none.")
    ] = None,
    publish: Annotated[
        str | None,
        typer.Option("--publish", metavar="RTSP_URL", help="Where to publish the annotated picture; default: nowhere."),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mirror the window's picture at first; default: no.")
    ] = False,
    blur: Annotated[
        bool | None,
        typer.Option(
            "--blur", help="Make faces without a name unrecognisable at first; default: no.", show_default=False
        ),
    ] = None,
    people: PeopleFolder = None,
    gallery: GalleryFolder = None,
    matcher: MatcherFile = None,
    device: DeviceName = None,
    backend: BackendName = None,
    encoder: EncoderChoice = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist; default: refuse.")
    ] = False,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Watch a camera or a stream in a window: who is there, and what they show. Press h there for its keys."""
    if list_them:
        _list()
        return
    from streamer.config import load_config

    config = load_config(
        config_file,
        overrides or (),
        flags={
            "source.camera_size": size,
            "source.camera_fps": fps,
            "source.camera_pixel_format": pixel_format,
            "annotate.blur_unknown": blur,
            "recognition.gallery": gallery,
            "recognition.matcher_file": matcher,
            "runtime.device": device,
            "runtime.backend": backend,
            "sinks.encoder": encoder,
        },
    )
    check_one_source_of_names(people, config.recognition.matcher_file)
    targets = LiveTargets(record, results, publish, overwrite)
    has_window = _check_outputs(targets, wants_window=not no_window)
    code = _watch(config, LiveChoices(camera, people, targets, has_window=has_window, is_mirrored=mirror))
    if code:
        raise typer.Exit(code)


def _list() -> None:
    from streamer.sources.camera_list import camera_lines, list_cameras

    for line in camera_lines(list_cameras()) or [_NO_CAMERA]:
        typer.echo(line)


def _check_outputs(targets: LiveTargets, *, wants_window: bool) -> bool:
    """Refuse what could not be written; return whether there is to be a window.

    Raises:
        UsageError: There would be neither a window nor another output.
        SinkError: An output cannot be written.
    """
    from streamer.sinks.window import WITHOUT_WINDOW, window_problem

    problem = window_problem() if wants_window else None
    if not targets and problem is not None:
        raise UsageError(f"{problem}; {WITHOUT_WINDOW}")
    if not targets and not wants_window:
        raise UsageError("--no-window shows nothing: ask for an output with --record, --results or --publish")
    if problem is not None:
        _LOG.warning("%s; going on without a window", problem)
    if targets.files:
        _check_files(targets)
    return wants_window and problem is None


def _check_files(targets: LiveTargets) -> None:
    from streamer.cli.inputs import make_folders
    from streamer.sinks.files import check_output
    from streamer.sinks.results import RESULTS_SUFFIXES
    from streamer.sinks.video import VIDEO_SUFFIXES

    make_folders(targets.files)
    for path, suffixes in ((targets.record, VIDEO_SUFFIXES), (targets.results, RESULTS_SUFFIXES)):
        if path is not None:
            check_output(path, sources=(), suffixes=suffixes, overwrite=targets.overwrite)


def _watch(config: Config, choices: LiveChoices) -> int:
    """Run until the user ends it; return the exit code."""
    from streamer.cli.progress import stop_on_signals

    with stop_on_signals() as stop:

        def start() -> LiveSession:
            from streamer.live_plan import plan_live
            from streamer.live_session import LiveSession

            return LiveSession(plan_live(config, choices, stop), stop)

        session = _shown(config, choices, start, stop) if choices.has_window else _unseen(start, stop)
        code = INTERRUPTED if stop.is_set() else 0
        end = session.finish()
        _tell(session)
        if not end.is_whole:
            _leave_at_once(code, end.error)
        if end.error is not None:
            raise end.error
    return code


def _shown(config: Config, choices: LiveChoices, start: Callable[[], LiveSession], stop: StopRequest) -> LiveSession:
    """Show a run in a window until that is closed."""
    from streamer.live_keys import Controls
    from streamer.live_loop import WindowLoop
    from streamer.live_view import LiveView
    from streamer.policies import annotate_style

    view = LiveView(annotate_style(config), config.annotate.font)
    loop = WindowLoop(start, view, Controls(blur=config.annotate.blur_unknown, mirror=choices.is_mirrored))
    with _finished_on_error(loop.session):
        loop.run(stop)
    return loop.session


def _unseen(start: Callable[[], LiveSession], stop: StopRequest) -> LiveSession:
    """Wait for the end of a run without a window."""
    from streamer.live_loop import watch

    session = start()
    with _finished_on_error(session):
        watch(session, stop)
    return session


@contextmanager
def _finished_on_error(session: LiveSession) -> Iterator[None]:
    """Finish a run, files and all, also where showing it fails; that failure is the one to tell."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            session.finish()
        raise


def _tell(session: LiveSession) -> None:
    """Log what has become of a run."""
    summary = session.stats.summary()
    if not summary.frames:
        return
    shown = next((stage for stage in summary.stages if stage.name == "shown"), None)
    ages = f", shown at most {shown.seconds.p95 * 1000:.0f} ms old (95 %)" if shown is not None else ""
    _LOG.info("%d frames, %.1f a second, %d dropped%s", summary.frames, summary.fps, summary.dropped, ages)


def _leave_at_once(code: int, error: Exception | None) -> None:
    """End the process although a thread hangs in a driver or a dead connection, which nothing could end."""
    if error is not None:
        from streamer.cli import explained

        line, code = explained(error)
        print_error(line)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
