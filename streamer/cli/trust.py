"""`streamer people calibrate|show|not`: how far names can be trusted, what is kept, and who is somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import AsJson, BackendName, ConfigFile, DeviceName, GalleryFolder, Overrides
from streamer.cli.output import print_table, printable
from streamer.cli.steps import steps

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.recognition.expectations import PersonExpectation
    from streamer.recognition.gallery import Gallery

_MOST_ROWS = 30  # of a table that was not asked for


def calibrate(
    strangers: Annotated[
        Path | None,
        typer.Option(
            "--strangers",
            metavar="DIR",
            help="Pictures of people who are not known, to whom thresholds are adapted; default: those of before.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--false-accept-rate",
            metavar="SHARE",
            help="Share of strangers accepted that the table is for; default: .01.",
        ),
    ] = None,
    gallery: GalleryFolder = None,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Work out the gallery's thresholds, and print what it may be expected to get wrong.

    The rate that is used when people are named is recognition.false_accept_rate.
    """
    from streamer.config import load_config

    flags = {
        "recognition.gallery": gallery,
        "recognition.false_accept_rate": rate,
        "runtime.device": device,
        "runtime.backend": backend,
    }
    config = load_config(config_file, overrides or (), flags=flags)
    known = _calibrated(config, strangers)
    if as_json:
        typer.echo(json.dumps(_document(known, config.recognition.false_accept_rate), indent=2, ensure_ascii=False))
        return
    if known.strangers is not None:
        typer.echo(f"thresholds are adapted to {known.strangers.pictures} pictures of strangers")
    print_expectations(known, config.recognition.false_accept_rate)


def _calibrated(config: Config, strangers: Path | None) -> Gallery:
    from streamer.enrolling import calibrate_gallery

    if strangers is None:
        return calibrate_gallery(config, None)
    from streamer.recognition.people_folders import find_pictures

    with steps("reading pictures of strangers", len(find_pictures(strangers))) as advance:

        def report(path: Path, reason: str | None) -> None:
            if reason is not None:
                typer.echo(printable(f"{path.name}: not used: {reason}"), err=True)
            advance()

        return calibrate_gallery(config, strangers, on_picture=report)


def print_expectations(known: Gallery, false_accept_rate: float, most_rows: int | None = None) -> None:
    """Print what a gallery may be expected to get wrong; of many people those of whom something is to be said."""
    from streamer.recognition.expectations import expectations_of

    expected = expectations_of(known, false_accept_rate)
    people = expected.people
    if most_rows is not None and len(people) > most_rows:
        people = tuple(person for person in people if person.needs_photos)[:most_rows]
    typer.echo(
        f"a stranger is given a name with a probability of {expected.false_accept_rate:.2%}; "
        f"similarity from {expected.threshold:.3f} on"
    )
    if people:
        print_table(["name", "photos", "misses", "strangers taken", ""], [_row(person) for person in people])
    if len(people) < len(expected.people):
        typer.echo(f"and {len(expected.people) - len(people)} more people; people calibrate --json has all")
    for pair in expected.look_alikes:
        alike = f"{pair.first} and {pair.second} look alike (similarity {pair.similarity:.3f})"
        typer.echo(printable(f"{alike}: they may be called unknown, or each other; if they are one: people merge"))


def _row(person: PersonExpectation) -> list[str]:
    misses = "not known" if person.misses is None else f"{person.misses:.1%}"
    return [
        person.name,
        str(person.photos),
        misses,
        f"{person.taken:.2%}",
        "more photos would help" if person.needs_photos else "",
    ]


def _document(known: Gallery, false_accept_rate: float) -> dict[str, object]:
    from dataclasses import asdict

    from streamer.recognition.expectations import expectations_of

    strangers = known.strangers.pictures if known.strangers is not None else 0
    return asdict(expectations_of(known, false_accept_rate)) | {"strangers": strangers}
