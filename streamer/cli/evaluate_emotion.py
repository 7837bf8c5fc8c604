"""`streamer evaluate emotion`: how well a net reads the emotions of labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.evaluate_emotion_report import matrix_title, show_emotions, show_matrix
from streamer.cli.options import AsJson, BackendName, ConfigFile, DeviceName, Overrides

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.emotion.labelled_pictures import LabelledPictures
    from streamer.evaluation.emotion import EmotionFigures


def emotion(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|LABELS.csv",
            help="Pictures: a folder for each emotion; or a table of columns image and emotion; or pictures and "
            "votes.csv; or FER+ as SPLIT_votes.csv and mosaics.",
        ),
    ],
    cropped: Annotated[
        bool,
        typer.Option(
            "--cropped",
            help="The pictures are faces cut as FER's are, and used whole, as the mosaics always are; default: faces "
            "are looked for.",
        ),
    ] = False,
    tau: Annotated[
        float | None,
        typer.Option(
            "--tau",
            metavar="T",
            min=0,
            max=1,
            help="How far the rarity of emotions in training is taken back, 0 to 1; default: as configured, 0.5.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Which split of DIR; default: valid, or all if it has none."),
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option("--matrix", metavar="FILE.png", help="Draw the confusion matrix there; default: nowhere."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a matrix that exists; default: refuse.")
    ] = False,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Tell how well emotions are read: accuracy, balanced accuracy, macro-F1, calibration error, confusion matrix.

    Of several faces in a picture the central one counts; pictures in which no face is found are counted for
    themselves. Of votes, more than half must be for one of the seven emotions, or the picture is not judged.
    """
    from streamer.config import load_config
    from streamer.emotion.labelled_pictures import list_pictures
    from streamer.evaluation.emotion_matrix import write_matrix
    from streamer.sinks.files import check_output
    from streamer.sinks.png import PNG_SUFFIXES

    flags = {
        "emotion.enabled": True,
        "emotion.tau": tau,
        "runtime.device": device,
        "runtime.backend": backend,
    }
    config = load_config(config_file, overrides or (), flags=flags)
    pictures = list_pictures(source, split)
    if matrix is not None:
        check_output(matrix, sources=[source], suffixes=PNG_SUFFIXES, overwrite=overwrite)
    figures = _judge(pictures, config, is_cropped=cropped or pictures.are_crops)
    if matrix is not None:
        write_matrix(matrix, figures, matrix_title(figures, config))
    show_emotions(figures, config, as_json=as_json)
    if matrix is not None and not as_json:
        show_matrix(matrix)


def _judge(pictures: LabelledPictures, config: Config, *, is_cropped: bool) -> EmotionFigures:
    """Load the nets and judge; faces are searched on as many threads as the nets may have."""
    from streamer.build import Models
    from streamer.cli.steps import steps
    from streamer.evaluation.emotion import evaluate_emotions
    from streamer.labelled_faces import face_cut, whole_cut

    models = Models(config)
    classifier = models.photo_emotion()
    assert classifier is not None  # emotion.enabled is set
    cut = whole_cut(classifier.crop_size) if is_cropped else face_cut(models.photo_detector(), classifier.crop)
    # On a GPU the net is one, and takes one picture after the other.
    threads = models.device.threads if models.device.torch_device == "cpu" else 1
    with steps("judging pictures", len(pictures.majority()[0])) as advance:
        return evaluate_emotions(pictures, classifier, cut, threads=threads, on_picture=advance)
