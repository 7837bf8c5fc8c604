"""`streamer people import|list|forget`: who is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import AsJson, BackendName, ConfigFile, DeviceName, GalleryFolder, Overrides
from streamer.cli.output import print_table, printable

if TYPE_CHECKING:
    from streamer.recognition.enrol import PhotoReport

app = typer.Typer(help="See and change who is known: enrol people from photos, list them, forget them.")


@app.command("import")
def import_people(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos, one folder a person, named after them.")],
    gallery: GalleryFolder = None,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Enrol all people of a folder, or nobody: each photo is judged, and its reason printed if it is not used.

    Photos of somebody who is known already are added to theirs.
    """
    from streamer.build import Models, embedder_id
    from streamer.config import load_config
    from streamer.recognition.enrol import enrol_folder, find_people
    from streamer.recognition.gallery import edit_gallery, load_or_empty

    flags = {"recognition.gallery": gallery, "runtime.device": device, "runtime.backend": backend}
    config = load_config(config_file, overrides or (), flags=flags)
    path = config.recognition.gallery_path
    find_people(folder)  # what is wrong with folder or gallery is told before the nets are loaded
    load_or_empty(path, embedder_id(config))
    models = Models(config)
    report = enrol_folder(folder, models.photo_detector(), models.embedder, embedder_id(config), on_photo=_print_photo)
    saved = edit_gallery(path, embedder_id(config), lambda current: current.merged_with(report.gallery))
    for note in report.notes:
        typer.echo(printable(f"note: {note}"))
    for person in report.people:
        refused = f", {person.refused} not used" if person.refused else ""
        typer.echo(printable(f"{person.name}: {person.enrolled} enrolled{refused}"))
    typer.echo(printable(f"{len(saved.people)} people with {saved.photo_count} photos in {path}"))


def _print_photo(report: PhotoReport) -> None:
    if report.reason is not None:
        typer.echo(printable(f"{report.name}: {report.path.name}: not used: {report.reason}"))


@app.command("list")
def list_people(
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """List who is known, and from how many photos."""
    from streamer.build import open_gallery
    from streamer.config import load_config

    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    known = open_gallery(config)
    if as_json:
        rows = [{"name": person.name, "photos": list(person.sources)} for person in known.people]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif known.people:
        print_table(["name", "photos"], [[person.name, str(len(person.embeddings))] for person in known.people])
    else:
        typer.echo(printable(f"nobody is enrolled in {config.recognition.gallery_path}; see streamer people import"))


@app.command("forget")
def forget_person(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `streamer people list` prints it.")],
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Remove a person and every copy of their vectors from the gallery, and verify that none is left."""
    from streamer.config import load_config
    from streamer.recognition.gallery import forget

    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    path = config.recognition.gallery_path
    left = forget(path, name)
    typer.echo(
        printable(f"{name} is forgotten: no vector of theirs is left in {path}; {len(left.people)} people remain")
    )
