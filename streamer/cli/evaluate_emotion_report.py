"""What `streamer evaluate emotion` prints: tables, or JSON for machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamer.cli.figures import interval_text, percent, print_json
from streamer.cli.output import print_table, printable

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.evaluation.emotion import EmotionFigures


def show_emotions(figures: EmotionFigures, config: Config, *, as_json: bool) -> None:
    """Print how well a net reads emotions; `config`: of the net. What was left out goes to stderr."""
    for note in figures.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    if as_json:
        print_json(_document(figures, config))
        return
    rows = [
        ["accuracy", percent(figures.accuracy.value), interval_text(figures.accuracy.interval)],
        ["balanced accuracy", percent(figures.balanced_accuracy), ""],
        ["macro-F1", percent(figures.macro_f1), ""],
        ["expected calibration error", percent(figures.expected_calibration_error), ""],
    ]
    if figures.undetected.any():
        all_of_them = figures.accuracy_of_all
        rows.insert(1, ["accuracy of all pictures", percent(all_of_them.value), interval_text(all_of_them.interval)])
    print_table(["figure", "value", "95 % within"], rows)
    _show_classes(figures)
    _show_sure(figures)
    _show_remarks(figures, config)


def _show_classes(figures: EmotionFigures) -> None:
    """Print a line for each emotion, then which is taken for which."""
    typer.echo("")
    print_table(
        ["emotion", "faces", "not found", "recall", "precision", "F1"],
        [
            [
                one.name,
                str(one.recall.total),
                str(one.undetected),
                percent(one.recall.value),
                percent(one.precision.value),
                percent(one.f1),
            ]
            for one in figures.classes
        ],
    )
    typer.echo("\nfaces by what they show (rows) and what the net says (columns):")
    names = [one.name for one in figures.classes]
    rows = figures.confusion.tolist()
    print_table(["", *names], [[name, *map(str, row)] for name, row in zip(names, rows, strict=True)])


def _show_sure(figures: EmotionFigures) -> None:
    typer.echo("\nwhere only answers count that are so sure:")
    print_table(
        ["at least", "coverage", "accuracy"],
        [
            [f"{100 * one.confidence:g} %", percent(one.coverage.value), percent(one.accuracy.value)]
            for one in figures.sure
        ],
    )


def _show_remarks(figures: EmotionFigures, config: Config) -> None:
    """Say what was judged, and what was not."""
    typer.echo(f"\n{figures.images} pictures; net {_net(config)}, tau {config.emotion.tau:g}")
    if figures.undetected.any():
        typer.echo(
            f"no face was found in {figures.undetected.sum()} of them: they count as wrong in the accuracy of all "
            "pictures, and in no other figure"
        )
    if figures.unclear:
        typer.echo(f"{figures.unclear} more are not judged: no emotion of the seven has more than half of their votes")
    if figures.images and not figures.accuracy.total:
        typer.echo("no face was found in any: pass --cropped if they are crops of faces")
    elif figures.absent:
        typer.echo(
            f"no face shows {', '.join(figures.absent)}: balanced accuracy and macro-F1 are means over the others"
        )


def _net(config: Config) -> str:
    """Return what results files call the net, too."""
    from streamer.classifiers import classifier_id

    net = classifier_id(config)
    assert net is not None, "what reads emotions is switched on here"
    return net.name


def _document(figures: EmotionFigures, config: Config) -> dict[str, object]:
    return {
        "accuracy": figures.accuracy.value,
        "accuracy_interval": figures.accuracy.interval,
        "accuracy_of_all": figures.accuracy_of_all.value,
        "accuracy_of_all_interval": figures.accuracy_of_all.interval,
        "balanced_accuracy": figures.balanced_accuracy,
        "macro_f1": figures.macro_f1,
        "expected_calibration_error": figures.expected_calibration_error,
        "emotions": [one.name for one in figures.classes],
        "confusion": figures.confusion.tolist(),
        "classes": {
            one.name: {
                "faces": one.recall.total,
                "undetected": one.undetected,
                "recall": one.recall.value,
                "precision": one.precision.value,
                "f1": one.f1,
            }
            for one in figures.classes
        },
        "absent": figures.absent,
        "sure": [
            {"confidence": one.confidence, "coverage": one.coverage.value, "accuracy": one.accuracy.value}
            for one in figures.sure
        ],
        "images": figures.images,
        "undetected": int(figures.undetected.sum()),
        "unclear": figures.unclear,
        "notes": figures.notes,
        "net": _net(config),
        "tau": config.emotion.tau,
    }


def matrix_title(figures: EmotionFigures, config: Config) -> str:
    """Return the headline of the drawn matrix."""
    right = figures.accuracy
    shares = f"{percent(right.value)} of {right.total:,} right · balanced {percent(figures.balanced_accuracy)}"
    return f"{shares} · {_net(config)}, tau {config.emotion.tau:g}"


def show_matrix(path: Path) -> None:
    """Say where the drawn matrix is."""
    typer.echo(printable(f"the matrix is {path}"))
