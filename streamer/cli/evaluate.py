"""`streamer evaluate pairs|people|image|video`: how good it is on data of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import evaluate_report, evaluate_truth_report
from streamer.cli.options import AsJson, BackendName, ConfigFile, DeviceName, GalleryFolder, Overrides
from streamer.cli.output import printable

if TYPE_CHECKING:
    from streamer.build import Models
    from streamer.config import Config
    from streamer.evaluation.faces import FaceNets
    from streamer.evaluation.grid import Sheet
    from streamer.evaluation.labelled import ExpectedFace, JudgedFace
    from streamer.evaluation.pictures import PictureFigures, PictureStages
    from streamer.pictures import BgrPicture
    from streamer.recognition.enrol import PhotoReport
    from streamer.recognition.people import Gallery

app = typer.Typer(help="Measure how good it is on your own data; each command prints a table, or JSON with --json.")

Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of what is drawn at random; default: 0.")]


@app.command("pairs")
def pairs(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS.csv",
            help="Columns a and b, pictures, and same, 1 or 0 (true or false); fold, if there is one, numbers folds.",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Where the pictures' paths start; default: the table's folder."),
    ] = None,
    seed: Seed = 0,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Tell for pairs of pictures whether they show one person: accuracy (ten folds), ROC and equal error rate.

    Of several faces in a picture the one nearest to its middle counts. A pair with a picture in which no face is found
    is judged different: an error where it shows one person.
    """
    from streamer.build import Models
    from streamer.cli.steps import steps
    from streamer.config import load_config
    from streamer.evaluation.pairs import evaluate_pairs, read_pairs

    flags = {"runtime.device": device, "runtime.backend": backend}
    config = load_config(config_file, overrides or (), flags=flags)
    listed = read_pairs(table, images if images is not None else table.parent, seed)
    nets = _nets(Models(config))
    with steps("reading pictures", len(listed.pictures)) as advance:
        figures = evaluate_pairs(listed, nets, on_picture=advance)
    evaluate_report.show_pairs(figures, as_json=as_json)


@app.command("people")
def people(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos, one folder a person, named after them.")],
    people_count: Annotated[
        int, typer.Option("--people", metavar="P", min=1, help="People in each gallery drawn; default: 5.")
    ] = 5,
    enrol: Annotated[
        int, typer.Option("--enrol", metavar="K", min=1, help="Photos of each of them that are enrolled; default: 8.")
    ] = 8,
    strangers: Annotated[
        Path | None,
        typer.Option(
            "--strangers",
            metavar="DIR",
            help="Pictures of people who are nobody in DIR, flat or in folders; default: whoever is not drawn.",
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            metavar="NAME,...",
            help="cosine, knn, knn-pixels or cnn; the last is trained for each draw, which takes a minute or two; "
            "default: cosine,knn.",
        ),
    ] = "cosine,knn",
    draws: Annotated[
        int, typer.Option("--draws", metavar="N", min=1, help="How many galleries are drawn; default: 20.")
    ] = 20,
    seed: Seed = 0,
    false_accept_rate: Annotated[
        float | None,
        typer.Option(
            "--false-accept-rate",
            metavar="SHARE",
            help="Share of strangers that calibration may let be named, 0 to 0.5; default: as configured, 0.01.",
        ),
    ] = None,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Draw small galleries from DIR and tell how well each method names their other photos and refuses strangers.

    Photos without a face are left out; of several faces the one nearest to the middle counts. Intervals hold what 95 %
    of the galleries drawn lie within.
    """
    from streamer.build import Models, embedder_id
    from streamer.cli.steps import steps
    from streamer.config import load_config
    from streamer.evaluation import people as evaluation
    from streamer.evaluation.methods import MethodSetting

    flags = {
        "runtime.device": device,
        "runtime.backend": backend,
        "recognition.false_accept_rate": false_accept_rate,
    }
    config = load_config(config_file, overrides or (), flags=flags)
    chosen = tuple(dict.fromkeys(word.strip() for word in methods.split(",") if word.strip()))
    plan = evaluation.DrawPlan(people_count, enrol, draws, seed, chosen)
    listed = evaluation.list_people(folder, plan)
    others = evaluation.list_strangers(strangers) if strangers is not None else None
    nets = _nets(Models(config))
    with steps("reading photos", len(listed) + (len(others) if others is not None else 0)) as advance:
        album = evaluation.read_album(listed, others, nets, keeps_crops=plan.needs_crops, on_picture=advance)
    setting = MethodSetting(config, embedder_id(), seed)
    with steps("judging galleries", draws * len(chosen)) as advance:
        figures = evaluation.evaluate_people(album, plan, setting, on_judged=advance)
    evaluate_report.show_people(figures, plan, album.unusable, config.recognition.false_accept_rate, as_json=as_json)


@app.command("image")
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
    enrolled: Annotated[
        Path | None,
        typer.Option(
            "--people", metavar="DIR", help="Photos, one folder a person, enrolled for this alone; default: --gallery."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that exists; default: refuse.")
    ] = False,
    gallery: GalleryFolder = None,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find and name the faces of pictures whose truth is in a table, and tell which are right, wrong and missed.

    A row without x and y is about the face that was given its name, else about any face that no other row is about.
    """
    from streamer.build import Models, open_gallery
    from streamer.config import load_config
    from streamer.evaluation.grid import Sheet
    from streamer.evaluation.labelled import check_known, read_labels
    from streamer.sinks.files import check_output

    flags = {"recognition.gallery": gallery, "runtime.device": device, "runtime.backend": backend}
    config = load_config(config_file, overrides or (), flags=flags)
    labels = read_labels(truth, folder)
    if output is not None:
        check_output(output, sources=[truth, *labels], suffixes=(".png",), overwrite=overwrite)
    models = Models(config)
    known = _enrolled(enrolled, config, models) if enrolled is not None else open_gallery(config)
    check_known(truth, [face for faces in labels.values() for face in faces], known.names)
    sheet = Sheet() if output is not None else None
    figures = _judge_pictures(labels, _picture_stages(config, models, known), sheet)
    if output is not None and sheet is not None:
        sheet.write(output, figures)
    evaluate_truth_report.show_pictures(figures, folder, as_json=as_json)
    if output is not None and sheet is not None and not as_json:
        evaluate_truth_report.show_sheet(output, sheet.left_out)


def _judge_pictures(
    labels: Mapping[Path, Sequence[ExpectedFace]], stages: PictureStages, sheet: Sheet | None
) -> PictureFigures:
    from streamer.cli.steps import steps
    from streamer.evaluation.pictures import evaluate_pictures

    with steps("judging pictures", len(labels)) as advance:

        def take(picture: BgrPicture, faces: Sequence[JudgedFace]) -> None:
            if sheet is not None:
                sheet.add(picture, faces)
            advance()

        return evaluate_pictures(labels, stages, on_judged=take)


def _picture_stages(config: Config, models: Models, known: Gallery) -> PictureStages:
    from streamer.build import build_matcher
    from streamer.evaluation.pictures import PictureStages

    return PictureStages(
        models.photo_detector(),
        models.embedder,
        build_matcher(config, known),
        models.emotion,
        config.labels.min_face_pixels,
    )


def _enrolled(folder: Path, config: Config, models: Models) -> Gallery:
    """Enrol a folder of people in memory; photos that are not used are told on stderr."""
    from streamer.api import people_from

    def tell(photo: PhotoReport) -> None:
        if photo.reason is not None:
            typer.echo(printable(f"{photo.name}: {photo.path.name}: not used: {photo.reason}"), err=True)

    return people_from(folder, config, models=models, on_photo=tell)


@app.command("video")
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
    evaluate_truth_report.show_video(figures, as_json=as_json)


def _nets(models: Models) -> FaceNets:
    from streamer.evaluation.faces import FaceNets

    return FaceNets(models.photo_detector(), models.embedder)
