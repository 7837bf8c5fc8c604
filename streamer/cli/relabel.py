"""`streamer relabel`: name what was recorded anew, against the gallery as it is now, without the video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import ConfigFile, GalleryFolder, Overrides
from streamer.cli.output import print_error, printable
from streamer.errors import StreamerError

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.relabelling import Relabelling


def relabel(
    results: Annotated[
        list[str],
        typer.Argument(metavar="RESULTS...", help="Results files of `process --keep-embeddings`, or patterns."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE|DIR", help="Where to write instead, the originals stay; default: in place."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With -o, replace files that exist; default: refuse.")
    ] = False,
    gallery: GalleryFolder = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Give the faces in results files the names that the gallery has now; a line a file tells what changed."""
    from streamer.cli.inputs import expand, make_folders, results_paths
    from streamer.config import load_config
    from streamer.sinks.files import check_output
    from streamer.sinks.results import RESULTS_SUFFIXES

    config = load_config(config_file, overrides or (), flags={"recognition.gallery": gallery})
    paths = expand(results)
    targets: Sequence[Path | None] = [None] * len(paths)
    if output is not None:
        targets = written = results_paths(paths, output, None)
        make_folders(written)
        for target in written:
            check_output(target, sources=paths, suffixes=RESULTS_SUFFIXES, overwrite=overwrite)
    code = _relabel_all(config, paths, targets)
    if code:
        raise typer.Exit(code)


def _relabel_all(config: Config, paths: Sequence[Path], targets: Sequence[Path | None]) -> int:
    """Do file after file; a bad one does not keep the others from being done. Return the exit code."""
    from streamer.build import build_track_matcher, open_gallery
    from streamer.relabelling import relabel as relabel_file

    known = open_gallery(config)
    matcher = build_track_matcher(config, known)
    code = 0
    for path, target in zip(paths, targets, strict=True):
        try:
            done = relabel_file(path, known, matcher, to=target)
        except StreamerError as error:
            if len(paths) == 1:
                raise
            print_error(str(error))
            code = code or error.exit_code
            continue
        typer.echo(printable(f"{target or path}: {_told(done)}"))
    return code


def _told(done: Relabelling) -> str:
    """Say what changed: 3 tracks named Ana, 1 name removed."""
    changes = [f"{_counted(count, 'track')} named {name}" for name, count in sorted(done.named.items())]
    if done.unnamed:
        changes.append(f"{_counted(done.unnamed, 'name')} removed")
    return ", ".join(changes) or f"no name changed in {_counted(done.tracks, 'track')}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
