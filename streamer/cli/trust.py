"""`streamer people calibrate|show|not`: how far names can be trusted, what is kept, and who is somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.enrolment import Largest, face_chooser
from streamer.cli.options import AsJson, BackendName, ConfigFile, DeviceName, GalleryFolder, Overrides, Overwrite
from streamer.cli.output import print_table, printable
from streamer.cli.steps import steps
from streamer.errors import GalleryError, UsageError

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.recognition.expectations import PersonExpectation
    from streamer.recognition.gallery import Gallery
    from streamer.recognition.photo_reader import ChooseFace
    from streamer.types import Float32

MOST_ROWS = 30
"""Of a table that was not asked for."""


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


def show(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Whose photos to show; default: a card for each person."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE.png", help="The sheet to write; default: recordings/people.png."),
    ] = Path("recordings/people.png"),
    overwrite: Overwrite = False,
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Write a sheet with the thumbnails of who is known, or of all photos of some people."""
    from streamer.build import embedder_id
    from streamer.cards import MAX_CARDS, SHEET_SUFFIXES, write_sheet
    from streamer.cli.inputs import make_folders
    from streamer.config import load_config
    from streamer.people_cards import person_cards, photo_cards
    from streamer.recognition.gallery import load_gallery
    from streamer.sinks.files import check_output

    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    known = load_gallery(config.recognition.gallery_path, embedder_id(config))
    people = [known.person(name) for name in dict.fromkeys(names)] if names else []
    cards = [card for person in people for card in photo_cards(person)] if names else person_cards(known)
    if not cards:
        raise GalleryError("nobody is enrolled, so there is nothing to show; see streamer people import")
    make_folders([output])
    check_output(output, sources=(), suffixes=SHEET_SUFFIXES, overwrite=overwrite)
    title = ", ".join(person.name for person in people) if people else f"{len(known.people)} people"
    write_sheet(output, title, cards)
    left_out = f" (the first {MAX_CARDS})" if len(cards) > MAX_CARDS else ""
    typer.echo(printable(f"{len(cards)} cards{left_out}: {output}"))


def not_person(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom the face is not, as `people list` prints it.")],
    photo: Annotated[Path | None, typer.Argument(metavar="[PHOTO]", help="A picture of who is taken for them.")] = None,
    track: Annotated[
        str | None,
        typer.Option(
            "--track", metavar="RESULTS:ID", help="A track of a results file made with --keep-embeddings, in its place."
        ),
    ] = None,
    largest: Largest = False,
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Say that a face is not somebody for whom it is taken: who looks more like it than like them is not named."""
    from streamer.build import embedder_id
    from streamer.config import load_config
    from streamer.recognition.gallery import edit_gallery, load_gallery

    if (photo is None) == (track is None):
        raise UsageError("people not needs a picture of the other person, or --track RESULTS:ID; give one of them")
    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    path = config.recognition.gallery_path
    person = load_gallery(path, embedder_id(config)).person(name)
    vector, source = _look_alike(config, photo, track, face_chooser(largest))
    edit_gallery(
        path,
        embedder_id(config),
        lambda current: current.with_replaced(person.name, current.person(name).with_look_alike(vector, source)),
    )
    typer.echo(printable(f"{source} is not {person.name}: faces more like it than like {person.name} are not named so"))
    closer = person.photos_like(vector)
    if closer:
        typer.echo(
            printable(
                f"but {closer} of the {len(person.embeddings)} photos of {person.name} are more like it than like the "
                "others: if it is them after all, or the photos are another's, names will be missed"
            )
        )


def _look_alike(config: Config, photo: Path | None, track: str | None, choose: ChooseFace) -> tuple[Float32, str]:
    """Return the vector of who is not somebody, and what to call where it comes from."""
    from streamer.enrolling import look_alike_of_photo, look_alike_of_track

    if photo is not None:
        return look_alike_of_photo(config, photo, choose), photo.name
    assert track is not None
    results, _, number = track.rpartition(":")
    if not results or not number.isdecimal():
        raise UsageError(f"--track {track}: give a results file and a track's number, such as recordings/video.jsonl:3")
    return look_alike_of_track(config, Path(results), int(number)), f"{Path(results).name} track {number}"
