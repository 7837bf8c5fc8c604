"""`streamer train`: photos to a trained matcher, one of the methods this project began with."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import BackendName, ConfigFile, DeviceName, Overrides
from streamer.cli.output import printable

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.queues import StopRequest
    from streamer.recognition.aligned import Net as FaceNet
    from streamer.recognition.enrol import PhotoReport
    from streamer.recognition.trained import TrainedMatcher
    from streamer.recognition.training_photos import TrainingPhotos
    from streamer.stages import Crops

_SUFFIX = ".matcher"


class MethodName(enum.StrEnum):
    """The methods; see `recognition.trained`."""

    KNN_PIXELS = "knn-pixels"
    KNN = "knn"
    CNN = "cnn"


def train(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos, one folder a person, named after them.")],
    method: Annotated[
        MethodName,
        typer.Option(
            "--method",
            help="knn-pixels: the 5 nearest photos by their pixels vote; knn: by dlib's face vectors; "
            "cnn: a small net trained from scratch.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: recordings/DIR.METHOD.matcher."),
    ] = None,
    strangers: Annotated[
        Path | None,
        typer.Option(
            "--strangers",
            metavar="DIR",
            help="Photos of other people, to see where unknown must begin; default: none.",
        ),
    ] = None,
    false_accept_rate: Annotated[
        float | None,
        typer.Option(
            "--false-accept-rate",
            metavar="SHARE",
            min=0,
            max=1,
            help="Share of strangers that may be named; default: a name must be more probable than not.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31, help="Of all that is drawn by lot; default: 0.")] = 0,
    device: DeviceName = None,
    backend: BackendName = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists; default: refuse.")] = False,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Train a matcher on people's photos; `--matcher FILE` of process and image then uses it in place of the gallery.

    These methods are here to be compared with. Only knn tells strangers well; the default, the gallery, is better.
    """
    from streamer.cli.inputs import DEFAULT_FOLDER, make_folders
    from streamer.cli.progress import share_meter, stop_on_signals
    from streamer.config import load_config
    from streamer.recognition.enrol import find_people
    from streamer.recognition.trained import train as train_matcher
    from streamer.sinks.files import check_output

    flags = {"runtime.device": device, "runtime.backend": backend}
    config = load_config(config_file, overrides or (), flags=flags)
    find_people(folder)  # what is wrong with folder or output is told before the nets are loaded
    path = output if output is not None else DEFAULT_FOLDER / f"{folder.resolve().name}.{method}{_SUFFIX}"
    make_folders([path])
    check_output(path, sources=[], suffixes=[path.suffix.lower()], overwrite=overwrite)
    with stop_on_signals() as stop:
        photos, others, net = _read(folder, strangers, config, stop)
        for note in photos.notes:
            typer.echo(printable(f"note: {note}"))
        began_at = time.monotonic()
        with share_meter(f"training {method}") as show:

            def go_on(share: float) -> None:
                _leave_if_asked(stop)
                show(share)

            matcher = train_matcher(
                method.value,
                photos.crops_by_name,
                seed=seed,
                strangers=others,
                false_accept_rate=false_accept_rate,
                on_progress=go_on,
                net=net,
            )
        _leave_if_asked(stop)
        matcher.save(path)
    _report(matcher, path, time.monotonic() - began_at)


def _read(
    folder: Path, strangers: Path | None, config: Config, stop: StopRequest
) -> tuple[TrainingPhotos, Crops | None, FaceNet]:
    """Cut the faces of all photos, and return what computes dlib's net, too."""
    from streamer.build import Models
    from streamer.cli.progress import share_meter
    from streamer.recognition.dlib_resnet import DlibEmbedder
    from streamer.recognition.enrol import find_people
    from streamer.recognition.training_photos import people_crops, stranger_crops

    models = Models(config)
    detector, net = models.photo_detector(), models.nets().face()
    embedder = DlibEmbedder(net)

    paths = [path for person in find_people(folder).people for path in person.paths]
    with share_meter("looking at photos") as show_photos:

        def tell(report: PhotoReport) -> None:
            _leave_if_asked(stop)
            show_photos((paths.index(report.path) + 1) / len(paths))
            if report.reason is not None:
                typer.echo(printable(f"{report.name}: {report.path.name}: not used: {report.reason}"))

        photos = people_crops(folder, detector, embedder, on_photo=tell)
    if strangers is None:
        return photos, None, net
    with share_meter("looking at strangers") as show:

        def go_on(done: int, count: int) -> None:
            _leave_if_asked(stop)
            show(done / count)

        return photos, stranger_crops(strangers, detector, embedder, on_done=go_on), net


def _leave_if_asked(stop: StopRequest) -> None:
    """End the command as Ctrl-C does; nothing has been written yet."""
    if stop.is_set():
        raise KeyboardInterrupt


def _report(matcher: TrainedMatcher, path: Path, seconds: float) -> None:
    content = matcher.content
    people, photos, rejection = len(content.names), sum(content.photo_counts), content.rejection
    typer.echo(
        printable(f"{content.method} learnt {people} people from {photos} photos in {seconds:.0f} s; wrote {path}")
    )
    if rejection.accepted == 0 and rejection.refused == 1:
        typer.echo(
            f"photos held out: the right person is the likeliest in {rejection.right:.0%}, but nothing tells them from "
            "strangers, so everybody is called unknown; give more photos, or try --method knn"
        )
        return
    typer.echo(
        f"photos held out: the right person is the likeliest in {rejection.right:.0%}; from similarity "
        f"{rejection.threshold:.3f} on, a face is named: {rejection.refused:.0%} of known faces are then called "
        f"unknown, and {rejection.accepted:.0%} of strangers are taken for somebody"
    )
