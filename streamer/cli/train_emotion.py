"""`streamer train-emotion`: labelled pictures to an emotion net, in a file that `emotion.path` takes."""

from __future__ import annotations

import enum
import logging
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import DeviceName
from streamer.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streamer.config import Config
    from streamer.devices import Device
    from streamer.emotion.ferplus_file import EmotionWeights
    from streamer.emotion.training import Pass
    from streamer.emotion.training_torch import Recipe
    from streamer.emotion_examples import Examples
    from streamer.queues import StopRequest
    from streamer.sinks.files import PartFile
    from streamer.types import Float32

_LOG = logging.getLogger(__name__)
_SUFFIX = ".safetensors"


class Start(enum.StrEnum):
    """What the weights are before training."""

    FACES = "faces"
    RANDOM = "random"


def train_emotion(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Pictures: a folder a class; or pictures and votes.csv; or FER+ as SPLIT_votes.csv and mosaics.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The net, .safetensors; beside it its .log.csv."),
    ],
    valid: Annotated[
        Path | None,
        typer.Option(
            "--valid",
            metavar="DIR",
            help="Pictures to judge on; default: FER+'s valid split, or every tenth picture, which is not trained on.",
        ),
    ] = None,
    cropped: Annotated[
        bool,
        typer.Option(
            "--cropped", help="The pictures are faces cut as FER's are, and used whole; default: faces are looked for."
        ),
    ] = False,
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=10_000, help="Passes over the pictures.")] = 16,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0.01,
            max=100_000,
            help="Time for training, without reading; default: no limit.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31, help="Of all that is drawn by lot.")] = 0,
    blocks: Annotated[int, typer.Option("--blocks", min=1, max=13, help="Residual blocks of the net.")] = 12,
    start: Annotated[
        Start, typer.Option("--start", help="faces: from dlib's net for faces, which is better; random: from nothing.")
    ] = Start.FACES,
    learning_rate: Annotated[
        float,
        typer.Option("--learning-rate", min=1e-6, max=1, help="The highest; it rises to it, then falls to half of it."),
    ] = 4e-4,
    teachers: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher",
            metavar="FILE",
            help="A net of an earlier training, from whose answers half is learnt; may be given several times.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="Threads to train on; default: all cores.")
    ] = None,
    device: DeviceName = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE, and start afresh; default: refuse, or continue.")
    ] = False,
) -> None:
    """Train a net that reads emotions; stopped by Ctrl-C, the same command goes on where it was."""
    from streamer.cli.inputs import make_folders
    from streamer.cli.progress import stop_on_signals
    from streamer.config import load_config
    from streamer.devices import limit_threads, select_device
    from streamer.emotion.ferplus_file import read_own, teacher_file
    from streamer.emotion.training_torch import Recipe
    from streamer.sinks.files import check_output

    recipe = Recipe(
        blocks=blocks,
        epochs=epochs,
        seed=seed,
        peak_rate=learning_rate,
        budget_seconds=None if minutes is None else 60 * minutes,
    )
    make_folders([output])
    files = _Files(output)
    check_output(output, sources=[], suffixes=[_SUFFIX], overwrite=overwrite)
    goes_on = files.checkpoint.exists() and not overwrite
    check_output(files.log, sources=[], suffixes=[files.log.suffix], overwrite=overwrite or goes_on)
    config = load_config(None, (), flags={"runtime.device": device, "runtime.threads": threads})
    nets = [read_own(teacher_file(path)) for path in teachers or ()]
    chosen = select_device(config.runtime.device, config.runtime.threads, "torch")
    with stop_on_signals() as stop, _claimed(output) as part:
        examples = _examples(folder, valid, config, cropped=cropped, seed=seed, threads=chosen.threads, stop=stop)
        limit_threads(chosen)  # what looked for faces may have set others
        examples = _taught(examples, nets, chosen, stop)
        if overwrite:
            files.checkpoint.unlink(missing_ok=True)
        _train(examples, recipe, start, chosen, files, part, stop)


class _Files:
    """What a training leaves: the net, and beside it its log and, until it is complete, its state."""

    def __init__(self, net: Path) -> None:
        self.net, self.log, self.checkpoint = net, net.with_suffix(".log.csv"), net.with_suffix(".checkpoint")


def _examples(
    folder: Path, valid: Path | None, config: Config, *, cropped: bool, seed: int, threads: int, stop: StopRequest
) -> Examples:
    """Read, cut and align the pictures."""
    from streamer.cli.progress import share_meter
    from streamer.emotion_examples import read_examples
    from streamer.models import Models

    detector = Models(config).photo_detector()
    with share_meter("reading pictures") as show:

        def go_on(share: float) -> None:
            _leave_if_asked(stop)
            show(share)

        examples = read_examples(folder, valid, detector, cropped=cropped, seed=seed, threads=threads, on_share=go_on)
    for note in examples.notes:
        typer.echo(printable(f"note: {note}"))
    return examples


def _taught(examples: Examples, teachers: list[EmotionWeights], device: Device, stop: StopRequest) -> Examples:
    """Ask teachers about the pictures, where there are any."""
    from streamer.cli.progress import share_meter
    from streamer.devices import computes_bfloat16
    from streamer.emotion.teaching_torch import taught

    with share_meter("asking teachers") as show:

        def go_on(share: float) -> None:
            _leave_if_asked(stop)
            show(share)

        bfloat16 = computes_bfloat16(device)
        data = taught(examples.training, teachers, device.torch_device, bfloat16=bfloat16, on_share=go_on)
    return replace(examples, training=data)


@contextmanager
def _claimed(path: Path) -> Iterator[PartFile]:
    """Keep FILE's place until the net is written, so that two runs do not train into one file."""
    from streamer.sinks.files import PartFile, write_error

    try:
        part = PartFile(path)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield part
    except OSError as error:  # of the log or the checkpoint, too
        raise write_error(path if error.filename is None else Path(error.filename), error) from error
    finally:
        part.remove()


def _train(
    examples: Examples, recipe: Recipe, start: Start, device: Device, files: _Files, part: PartFile, stop: StopRequest
) -> None:
    """Train to the end and write the net, or leave a checkpoint."""
    from streamer.cli.progress import share_meter
    from streamer.devices import computes_bfloat16
    from streamer.emotion.ferplus_file import encoded
    from streamer.emotion.training import finished, train
    from streamer.emotion.training_torch import Training

    weights, bfloat16 = _start(start, recipe), computes_bfloat16(device)
    training = Training(recipe, examples.training, weights, device.torch_device, bfloat16=bfloat16)
    if files.checkpoint.exists():
        training.restore(files.checkpoint)
        typer.echo(printable(f"{files.checkpoint}: going on where it was, {training.share:.0%} done"))

    def go_on(share: float) -> None:
        _leave_if_asked(stop)
        show(share)

    try:
        with share_meter(f"training on {len(examples.training.pictures)} pictures") as show:
            train(training, examples.valid, files.checkpoint, files.log, on_batch=go_on, on_pass=_tell)
    except KeyboardInterrupt:
        done = 100 * training.share
        _LOG.warning("%s holds %.0f %% of it; the same command, without --overwrite, goes on", files.checkpoint, done)
        raise
    net = finished(training, examples.valid, examples.prior)
    part.write(encoded(net))
    part.sync()
    part.publish()
    files.checkpoint.unlink()
    accuracy, balanced = examples.valid.accuracies(training.logits(examples.valid.pictures))
    typer.echo(
        printable(
            f"{files.net}: {accuracy:.1%} of {len(examples.valid.classes)} pictures told right, {balanced:.1%} on "
            f"average over the emotions; {training.seconds / 60:.1f} min; see {files.log} for each pass, and "
            "`streamer evaluate emotion` for more"
        )
    )


def _start(start: Start, recipe: Recipe) -> Mapping[str, Float32]:
    from streamer.emotion.dlib_start import from_dlib, random_start
    from streamer.recognition.dlib_resnet import read

    return from_dlib(read(), recipe.blocks) if start is Start.FACES else random_start(recipe.blocks, recipe.seed)


def _tell(done: Pass) -> None:
    _LOG.info(
        "pass %d: loss %.4f, %.1f %% told right, %.1f %% on average over the emotions",
        done.epoch,
        done.loss,
        100 * done.valid_accuracy,
        100 * done.valid_balanced_accuracy,
    )


def _leave_if_asked(stop: StopRequest) -> None:
    if stop.is_set():
        raise KeyboardInterrupt
