"""`streamer demo`: the whole way on a drawn scene of two portraits that installed packages ship."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import INTERRUPTED
from streamer.cli.output import printable

if TYPE_CHECKING:
    from streamer.api import Processor
    from streamer.recognition.gallery import Gallery
    from streamer.sources.synthetic import Portrait


def demo(
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write to; default: recordings.")
    ] = Path("recordings"),
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="SECONDS", min=0.2, max=12, help="Length of the scene; default: 12.")
    ] = 12.0,
) -> None:
    """Draw a scene in which an enrolled person and a stranger move about, and process it; replaces an earlier demo."""
    import dataclasses

    from streamer.api import Processor
    from streamer.build import Outputs
    from streamer.cli.inputs import make_folders
    from streamer.cli.progress import meter, stop_on_signals
    from streamer.sources.portraits import demo_scene, packaged_portraits
    from streamer.sources.synthetic import SyntheticSource

    stranger, known = packaged_portraits()
    outputs = Outputs(folder / "demo.mp4", folder / "demo.jsonl")
    make_folders([folder / "demo.mp4"])
    with stop_on_signals() as stop, meter() as shown:
        processor = Processor(stop=stop)
        processor.gallery = _gallery_of(known, processor)
        report = processor.process(
            SyntheticSource(dataclasses.replace(demo_scene(), seconds=seconds)),
            outputs,
            overwrite=True,
            on_open=lambda source: shown.begin(source.info),
            on_result=shown.advance,
        )
    typer.echo(f"{known.name} is enrolled, {stranger.name} is a stranger to the gallery.")
    typer.echo(f"{report.stats.frames} frames at {report.stats.fps:.1f} fps on {processor.models.device.name}")
    typer.echo(printable(f"annotated video: {outputs.video}"))
    typer.echo(printable(f"results:         {outputs.results}"))
    if report.is_interrupted:
        raise typer.Exit(INTERRUPTED)


def _gallery_of(portrait: Portrait, processor: Processor) -> Gallery:
    """Enrol one portrait, in memory."""
    import cv2

    from streamer.build import embedder_id
    from streamer.recognition.enrol import enrol_folder

    models = processor.models
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / (portrait.name or "?") / "portrait.png"
        photo.parent.mkdir()
        photo.write_bytes(cv2.imencode(".png", portrait.picture)[1].tobytes())
        return enrol_folder(
            Path(folder), models.photo_detector(), models.embedder, embedder_id(processor.config)
        ).gallery
