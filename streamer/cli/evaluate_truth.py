"""`streamer evaluate image|video`: what was said of pictures and videos against a truth that somebody wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.evaluate_truth_report import show_pictures, show_sheet, show_video
from streamer.cli.options import (
    AsJson,
    BackendName,
    ConfigFile,
    DeviceName,
    GalleryFolder,
    MatcherFile,
    Overrides,
    PeopleFolder,
)

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.evaluation.grid import Sheet
    from streamer.evaluation.labelled import ExpectedFace, JudgedFace
    from streamer.evaluation.pictures import PictureFigures
    from streamer.pictures import Picture
    from streamer.stills import ImageAnnotator


def image(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the pictures' paths start.")],
    truth: Annotated[
        Path,
        typer.Option(
            "--truth",
            metavar="LABELS.csv",
            help="Columns image and name, a row a face, unknown for a stranger; x and y inside the face, emotion.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="GRID.png", help="Draw all faces on a sheet there; default: nowhere."),
    ] = None,
    people: PeopleFolder = None,
    gallery: GalleryFolder = None,
    matcher: MatcherFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that exists; default: refuse.")
    ] = False,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find and name the faces of pictures whose truth is in a table, and tell which are right, wrong and missed.

    A row without x and y is about the face that was given its name, else about any face that no other row is about.
    """
    from streamer.config import load_config
    from streamer.evaluation.grid import Sheet
    from streamer.evaluation.labelled import check_known, read_labels
    from streamer.sinks.files import check_output
    from streamer.sinks.png import PNG_SUFFIXES

    flags = {
        "recognition.gallery": gallery,
        "recognition.matcher_file": matcher,
        "runtime.device": device,
        "runtime.backend": backend,
    }
    config = load_config(config_file, overrides or (), flags=flags)
    labels = read_labels(truth, folder)
    if output is not None:
        check_output(output, sources=[truth, *labels], suffixes=PNG_SUFFIXES, overwrite=overwrite)
    annotator, names = _annotator(people, config)
    check_known(truth, [face for faces in labels.values() for face in faces], names)
    sheet = Sheet() if output is not None else None
    figures = _judge_pictures(labels, annotator, sheet)
    if output is not None and sheet is not None:
        sheet.write(output, figures)
    show_pictures(figures, folder, as_json=as_json)
    if output is not None and sheet is not None and not as_json:
        show_sheet(output, sheet.left_out)


def _annotator(people: Path | None, config: Config) -> tuple[ImageAnnotator, tuple[str, ...]]:
    """Return what names the faces of pictures, and whom it can name."""
    from streamer.build import known_people
    from streamer.cli.naming import check_one_source_of_names, enrolled
    from streamer.queues import StopRequest
    from streamer.recognition.trained import load
    from streamer.stills import ImageAnnotator

    matcher = config.recognition.matcher_file
    check_one_source_of_names(people, matcher)
    annotator = ImageAnnotator(config)
    if matcher is not None:
        return annotator, load(matcher).names
    annotator.gallery = (
        known_people(config) if people is None else enrolled(people, config, annotator.models, StopRequest())
    )
    return annotator, annotator.gallery.names


def _judge_pictures(
    labels: Mapping[Path, Sequence[ExpectedFace]], annotator: ImageAnnotator, sheet: Sheet | None
) -> PictureFigures:
    from streamer.cli.steps import steps
    from streamer.evaluation.pictures import evaluate_pictures

    with steps("judging pictures", len(labels)) as advance:

        def take(picture: Picture, faces: Sequence[JudgedFace]) -> None:
            if sheet is not None:
                sheet.add(picture, faces)
            advance()

        return evaluate_pictures(labels, lambda path: annotator.annotate(path).result, on_judged=take)


def video(
    results: Annotated[Path, typer.Argument(metavar="RESULTS.jsonl", help="What streamer process wrote.")],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH.jsonl",
            help='Lines like {"index": 0, "faces": [{"id": 1, "name": "Ana", "box": [x1, y1, x2, y2]}]}, name null for '
            "a stranger, pts_seconds in place of index; or another results file.",
        ),
    ],
    min_face_pixels: Annotated[
        float,
        typer.Option(
            "--min-face-pixels", metavar="PX", min=0, help="Shorter side below which no face is judged; default: 0."
        ),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Compare a results file with the truth: recall, precision, id switches, IDF1, and how right the names are.

    Only frames of the truth are judged; one that whole results lack counts as one in which nothing was found. Results
    that a crash cut off are used up to their last whole line.
    """
    from streamer.cli.steps import steps
    from streamer.evaluation.video import evaluate_video

    with steps("judging frames", None) as advance:
        figures = evaluate_video(results, truth, min_face_pixels=min_face_pixels, on_frame=advance)
    show_video(figures, as_json=as_json)
