"""`streamer people list|rename|merge|forget|export`: who is known; the other commands are in enrolment.py and trust.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import enrolment, trust
from streamer.cli.options import AsJson, ConfigFile, GalleryFolder, Overrides
from streamer.cli.output import print_table, printable
from streamer.errors import GalleryError

if TYPE_CHECKING:
    from streamer.config import Config

app = typer.Typer(help="See and change who is known: enrol people, see what to expect of them, forget them.")
app.command("import")(enrolment.import_people)
app.command("add")(enrolment.add_person)
app.command("prepare")(enrolment.prepare)
app.command("calibrate")(trust.calibrate)
app.command("show")(trust.show)
app.command("not")(trust.not_person)

KnownName = Annotated[str, typer.Argument(metavar="NAME", help="As `streamer people list` prints it.")]


def _config(gallery: Path | None, config_file: Path | None, overrides: list[str] | None) -> Config:
    from streamer.config import load_config

    return load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})


@app.command("list")
def list_people(
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """List who is known, and from how many photos."""
    from streamer.build import open_gallery

    config = _config(gallery, config_file, overrides)
    known = open_gallery(config)
    if as_json:
        rows = [
            {"name": person.name, "photos": list(person.sources), "look_alikes": list(person.look_alike_sources)}
            for person in known.people
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif known.people:
        print_table(["name", "photos"], [[person.name, str(len(person.embeddings))] for person in known.people])
    else:
        typer.echo(printable(f"nobody is enrolled in {config.recognition.gallery_path}; see streamer people import"))


@app.command("rename")
def rename(
    name: KnownName,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="What they are called from now on.")],
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Give a person another name."""
    import dataclasses

    from streamer.build import embedder_id
    from streamer.recognition.gallery import clean_name, edit_gallery, load_gallery

    config = _config(gallery, config_file, overrides)
    path, cleaned = config.recognition.gallery_path, clean_name(new_name)
    load_gallery(path, embedder_id(config)).person(name)

    def renamed(current):  # type: ignore[no-untyped-def]
        if cleaned in current.names:
            raise GalleryError(f"{cleaned} is known already; to put both together: people merge")
        return current.with_replaced(name, dataclasses.replace(current.person(name), name=cleaned))

    edit_gallery(path, embedder_id(config), renamed)
    typer.echo(printable(f"{name} is called {cleaned} now; streamer relabel changes what was recorded"))
