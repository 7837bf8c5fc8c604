"""`streamer process`: files in, annotated videos and results files out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.naming import check_one_source_of_names, enrolled
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
from streamer.cli.redraw import check_redraw, redraw_video, tell
from streamer.errors import StreamerError, UsageError

if TYPE_CHECKING:
    from streamer.api import Processor
    from streamer.build import Outputs
    from streamer.cli.progress import Meter


def process(
    inputs: Annotated[
        list[str], typer.Argument(metavar="VIDEO...", help="Videos, images, folders of images, or patterns like *.mp4.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PATH", help="Annotated video, or a folder; default: recordings/."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option("--results", metavar="FILE.jsonl", help="Results file, or a folder; default: beside the video."),
    ] = None,
    no_video: Annotated[bool, typer.Option("--no-video", help="Write the results file only; default: both.")] = False,
    start: Annotated[
        float | None, typer.Option("--start", metavar="SECONDS", help="Where to start; default: 0.")
    ] = None,
    end: Annotated[
        float | None, typer.Option("--end", metavar="SECONDS", help="Where to end; default: the file's end.")
    ] = None,
    people: PeopleFolder = None,
    gallery: GalleryFolder = None,
    matcher: MatcherFile = None,
    detect_every: Annotated[
        float | None,
        typer.Option(
            "--detect-every", metavar="SECONDS", help="Between whole-picture searches; 0: every frame; default: 0.6."
        ),
    ] = None,
    device: DeviceName = None,
    backend: BackendName = None,
    encoder: EncoderChoice = None,
    keep_embeddings: Annotated[
        bool | None,
        typer.Option(
            "--keep-embeddings",
            help="Keep face vectors and crops in the results file, private to you: for people strangers and relabel; "
            "default: no.",
            show_default=False,
        ),
    ] = None,
    redraw: Annotated[
        Path | None,
        typer.Option(
            "--redraw",
            metavar="RESULTS.jsonl",
            help="Draw the results of an earlier run, relabelled since perhaps, and look at nothing anew; default: no.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist; default: refuse.")
    ] = False,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Find, follow and name the faces of videos; write an annotated video and a results file for each."""
    from streamer.build import Outputs, encoding
    from streamer.cli.inputs import expand, results_paths, video_paths
    from streamer.config import load_config
    from streamer.sinks.encoders import check_encoder

    if no_video and output is not None:
        raise UsageError("-o names a video and --no-video asks for none; leave one of them out, or use --results")
    config = load_config(
        config_file,
        overrides or (),
        flags={
            "source.start_seconds": start,
            "source.end_seconds": end,
            "tracker.detect_every_seconds": detect_every,
            "recognition.gallery": gallery,
            "recognition.matcher_file": matcher,
            "runtime.device": device,
            "runtime.backend": backend,
            "sinks.encoder": encoder,
            "sinks.keep_embeddings": keep_embeddings,
        },
    )
    check_one_source_of_names(people, config.recognition.matcher_file)
    paths = expand(inputs)
    if redraw is not None:
        check_redraw(paths, asked=(no_video, results, people, keep_embeddings, detect_every))
        check_encoder(encoding(config))
        code = redraw_video(config, paths[0], redraw, video_paths(paths, output)[0], overwrite)
        if code:
            raise typer.Exit(code)
        return
    videos = None if no_video else video_paths(paths, output)
    records = results_paths(paths, results, videos)
    outputs = [Outputs(None, record) for record in records]
    if videos is not None:
        check_encoder(encoding(config))
        outputs = [Outputs(video, record) for video, record in zip(videos, records, strict=True)]

    from streamer.api import Processor
    from streamer.cli.progress import meter, stop_on_signals

    with stop_on_signals() as stop, meter() as shown:
        processor = Processor(config, stop=stop)
        jobs = list(zip(paths, outputs, strict=True))
        if people is not None:
            _check_only_job(jobs, overwrite)  # what is wrong is told before photos are looked at
            processor.gallery = enrolled(people, config, processor.models, stop)
        if config.recognition.matcher_file is not None:
            processor.models.trained()  # one that cannot be used is told once, not for every video
        code = _process_all(processor, jobs, overwrite, shown)
    if code:
        raise typer.Exit(code)


def _check_only_job(jobs: Sequence[tuple[Path, Outputs]], overwrite: bool) -> None:
    """Refuse at once what the only job would be refused for; of many, the others are still done."""
    from streamer.api import check_outputs
    from streamer.cli.inputs import check_exists, make_folders

    if len(jobs) == 1:
        path, outputs = jobs[0]
        check_exists(path)
        make_folders([output for output in (outputs.video, outputs.results) if output is not None])
        check_outputs(outputs, path, overwrite=overwrite)


def _process_all(processor: Processor, jobs: Sequence[tuple[Path, Outputs]], overwrite: bool, shown: Meter) -> int:
    """Process file after file; a bad one does not keep the others from being done. Return the exit code."""
    from streamer.cli.inputs import check_exists, make_folders

    code = 0
    for path, outputs in jobs:
        try:
            check_exists(path)
            make_folders([output for output in (outputs.video, outputs.results) if output is not None])
            report = processor.process(
                path,
                outputs,
                overwrite=overwrite,
                on_open=lambda source: shown.begin(source.info),
                on_result=shown.advance,
            )
        except StreamerError as error:
            if len(jobs) == 1:
                raise
            print_error(str(error))
            code = code or error.exit_code
            continue
        written = [output for output in (outputs.video, outputs.results) if output is not None]
        if tell(path, report, written, overwrite):
            return INTERRUPTED
    return code
