"""`streamer people list|rename|merge|forget|export`: who is known. More commands are in enrolment, trust, strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import enrolment, trust
from streamer.cli.options import AsJson, ConfigFile, GalleryFolder, Overrides, Overwrite
from streamer.cli.output import print_table, printable
from streamer.errors import UsageError

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.recognition.people import Gallery

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
    from streamer.build import embedder_id
    from streamer.recognition.gallery import clean_name, edit_gallery, load_gallery

    config = _config(gallery, config_file, overrides)
    path, cleaned = config.recognition.gallery_path, clean_name(new_name)
    load_gallery(path, embedder_id(config)).person(name)
    edit_gallery(path, embedder_id(config), lambda current: current.with_renamed(name, cleaned))
    typer.echo(printable(f"{name} is called {cleaned} now; streamer relabel changes what was recorded"))


@app.command("merge")
def merge(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME OTHER...", help="Who stays, and who are the same person.")
    ],
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Put the photos of people who are one person together, under the first name."""
    from streamer.build import embedder_id
    from streamer.recognition.gallery import edit_gallery, load_gallery

    if len(names) < 2:
        raise UsageError("people merge needs the name that stays and at least one other; see people list")
    config = _config(gallery, config_file, overrides)
    path = config.recognition.gallery_path
    before = load_gallery(path, embedder_id(config))
    before.with_merged(names[0], names[1:])  # what is wrong with the names is told first
    for other in _different(before, names):
        typer.echo(
            printable(
                f"note: the photos of {other} look like somebody else than {names[0]}; if they are two people after "
                f"all, forget {names[0]} and import the photos of both again"
            )
        )
    saved = edit_gallery(path, embedder_id(config), lambda current: current.with_merged(names[0], names[1:]))
    typer.echo(printable(f"{names[0]} has {len(saved.person(names[0]).embeddings)} photos now"))


def _different(known: Gallery, names: list[str]) -> list[str]:
    """Return which of the others do not look like the first."""
    from streamer.recognition.suspects import Suspicion
    from streamer.recognition.thresholds import knows_strangers, population_of

    if not knows_strangers(known):
        return []
    suspicion, first = Suspicion(population_of(known)), known.person(names[0])
    return [name for name in names[1:] if suspicion.differ(first, known.person(name))]


@app.command("forget")
def forget_person(
    name: KnownName,
    recordings: Annotated[
        Path | None,
        typer.Option(
            "--from-recordings",
            metavar="DIR",
            help="Take them out of all results files in this folder, too; default: only out of the gallery.",
        ),
    ] = None,
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Remove a person and every copy of their vectors and thumbnails, and verify that none is left."""
    from streamer.recognition.gallery import forget, load_gallery

    config = _config(gallery, config_file, overrides)
    path = config.recognition.gallery_path
    if recordings is not None and not recordings.is_dir():
        raise UsageError(f"--from-recordings {recordings} is no folder; name the one that holds the results files")
    before = load_gallery(path)
    vectors = before.person(name).embeddings
    left = forget(path, name)
    typer.echo(
        printable(
            f"{name} is forgotten: no vector and no picture of theirs is left in {path}; "
            f"{len(left.people)} people remain"
        )
    )
    gone = sum(len(person.look_alikes) for person in before.people if person.name in left.names)
    gone -= sum(len(person.look_alikes) for person in left.people)
    if gone:
        typer.echo(printable(f"{gone} pictures of {name} that others were said not to be (people not) are gone, too"))
    if recordings is None:
        typer.echo("results files, videos, and files of people export are as they were; see --from-recordings")
        return
    from streamer.forgetting import forget_in_recordings

    report = forget_in_recordings(recordings, name, vectors=vectors, gallery=path)
    typer.echo(
        printable(
            f"tracks of theirs: {report.tracks}; gone from {len(report.changed)} of {report.searched} results files "
            f"in {recordings}, each read again; videos show what was drawn: process --redraw draws them anew"
        )
    )


@app.command("export")
def export(
    target: Annotated[Path, typer.Argument(metavar="FILE.people", help="The file to write.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Whom to write; default: everybody.")
    ] = None,
    overwrite: Overwrite = False,
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Write people to one file, which `people import` reads elsewhere. It holds biometric data: keep it safe."""
    from streamer.build import embedder_id
    from streamer.recognition.gallery import load_gallery
    from streamer.recognition.portable import export_people

    config = _config(gallery, config_file, overrides)
    known = load_gallery(config.recognition.gallery_path, embedder_id(config))
    written = export_people(known, names or [], target, overwrite=overwrite)
    typer.echo(printable(f"{len(written.people)} people with {written.photo_count} photos written to {target}"))
