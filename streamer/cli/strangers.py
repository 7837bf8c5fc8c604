"""`streamer people strangers|name`: gather the unnamed of results files into people, and give one a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import AsJson, ConfigFile, GalleryFolder, Overrides
from streamer.cli.output import print_table, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.strangers import Stranger


def strangers(
    results: Annotated[
        list[str],
        typer.Argument(metavar="RESULTS...", help="Results files of `process --keep-embeddings`, or patterns."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.png", help="Write a card for each stranger; default: none."),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            "--distance",
            metavar="COSINE",
            help="Cosine distance up to which tracks are one person; default: as measured, 0.06 for dlib's net.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that exists; default: refuse.")
    ] = False,
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Gather faces without a name into people, over any number of videos; `people name` then names one."""
    from streamer.build import open_gallery
    from streamer.cards import MAX_CARDS, SHEET_SUFFIXES, write_sheet
    from streamer.cli.inputs import expand, make_folders
    from streamer.config import load_config
    from streamer.sinks.files import check_output
    from streamer.stranger_cards import stranger_card
    from streamer.strangers import find_strangers, max_distance
    from streamer.strangers_file import remember_strangers

    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    paths = list(dict.fromkeys(path.resolve() for path in expand(results)))
    if output is not None:
        make_folders([output])
        check_output(output, sources=paths, suffixes=SHEET_SUFFIXES, overwrite=overwrite)
    embedder = open_gallery(config).embedder
    found = find_strangers(paths, embedder, max_distance(embedder, distance))
    if output is not None and found:
        title = "1 stranger" if len(found) == 1 else f"{len(found)} strangers"
        write_sheet(output, title, [stranger_card(stranger) for stranger in found[:MAX_CARDS]])
    remember_strangers(config.recognition.gallery_path, found)
    if as_json:
        typer.echo(json.dumps([_row(stranger) for stranger in found], indent=2, ensure_ascii=False))
        return
    _print(found)
    if output is not None and found:
        which = f"cards of the {MAX_CARDS} seen longest" if len(found) > MAX_CARDS else "cards"
        typer.echo(printable(f"{which}: {output}"))


def _row(stranger: Stranger) -> dict[str, object]:
    first, last = stranger.tracks[0], stranger.last
    return {
        "number": stranger.number,
        "seconds": round(stranger.seconds, 3),
        "first_seen": {"file": str(first.path), "pts_seconds": first.track.first_seconds},
        "last_seen": {"file": str(last.path), "pts_seconds": last.track.last_seconds},
        "tracks": [{"file": str(one.path), "track_id": one.track.track_id} for one in stranger.tracks],
    }


def _print(found: Sequence[Stranger]) -> None:
    from streamer.stranger_cards import first_seen, last_seen

    if not found:
        typer.echo("no stranger: every face that was looked at has a name")
        return
    rows = [
        [
            str(stranger.number),
            str(len(stranger.tracks)),
            f"{stranger.seconds:.1f}",
            first_seen(stranger),
            last_seen(stranger),
        ]
        for stranger in found
    ]
    print_table(["number", "tracks", "seconds", "first seen", "last seen"], rows)


def name(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As `people strangers` printed it.")],
    person: Annotated[str, typer.Argument(metavar="NAME", help="Of a new person, or of one who gets more looks.")],
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Enrol a stranger of the last `people strangers`; `streamer relabel` then names them in what was recorded."""
    from streamer.build import open_gallery
    from streamer.config import load_config
    from streamer.naming import name_stranger

    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    path = config.recognition.gallery_path
    naming = name_stranger(path, open_gallery(config).embedder, number, person)
    looks = "1 look" if naming.looks == 1 else f"{naming.looks} looks"
    if not naming.was_known:
        told = f"stranger {number} is {naming.name} now, enrolled with {looks} in {path}"
    elif naming.looks:
        told = f"{naming.name} was known already: {looks} of stranger {number} added to theirs in {path}"
    else:
        told = f"{naming.name} was known already, with all these looks; nothing was added in {path}"
    typer.echo(printable(told))
    typer.echo("streamer relabel RESULTS… gives the name to what was recorded")
