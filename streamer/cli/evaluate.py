"""`streamer evaluate`: pairs and people, and where the other commands that tell how good it is are registered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import evaluate_emotion, evaluate_truth
from streamer.cli.evaluate_report import show_pairs, show_people
from streamer.cli.options import AsJson, BackendName, ConfigFile, DeviceName, Overrides

if TYPE_CHECKING:
    from streamer.build import Models
    from streamer.evaluation.faces import FaceNets

app = typer.Typer(help="Measure how good it is on your own data; each command prints a table, or JSON with --json.")

app.command("emotion")(evaluate_emotion.emotion)
app.command("image")(evaluate_truth.image)
app.command("video")(evaluate_truth.video)

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

    Of several faces in a picture the central one counts. A pair with a picture in which no face is found
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
    show_pairs(figures, as_json=as_json)


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

    Photos without a face are left out; of several faces the central one counts. Intervals hold what 95 %
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
    listed = evaluation.list_people(folder, plan, has_strangers=strangers is not None)
    others = evaluation.list_strangers(strangers) if strangers is not None else None
    nets = _nets(Models(config))
    with steps("reading photos", len(listed) + (len(others) if others is not None else 0)) as advance:
        album = evaluation.read_album(listed, others, nets, keeps_crops=plan.needs_crops, on_picture=advance)
    setting = MethodSetting(config, embedder_id(config), seed)
    with steps("judging galleries", draws * len(chosen)) as advance:
        figures = evaluation.evaluate_people(album, plan, setting, on_judged=advance)
    show_people(figures, plan, album.unusable, config.recognition, as_json=as_json)


def _nets(models: Models) -> FaceNets:
    from streamer.evaluation.faces import FaceNets

    return FaceNets(models.photo_detector(), models.embedder)
