"""`streamer image`: photos in, the same photos with names and emotions drawn on them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.naming import check_one_source_of_names, enrolled
from streamer.cli.options import (
    INTERRUPTED,
    AsJson,
    BackendName,
    ConfigFile,
    DeviceName,
    GalleryFolder,
    MatcherFile,
    Overrides,
    PeopleFolder,
)
from streamer.cli.output import print_error, printable
from streamer.errors import SourceOpenError, StreamerError, UsageError

if TYPE_CHECKING:
    from streamer.sinks.results import Json
    from streamer.stills import AnnotatedImage, ImageAnnotator
    from streamer.types import FrameResult

_PREFIX, _SUFFIX = "result_", ".png"


def image(
    inputs: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Photos, folders, or patterns like *.jpg.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PATH", help="Folder, or for one photo FILE.png; default: beside each photo."
        ),
    ] = None,
    people: PeopleFolder = None,
    gallery: GalleryFolder = None,
    matcher: MatcherFile = None,
    device: DeviceName = None,
    backend: BackendName = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist; default: refuse.")
    ] = False,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Draw names and emotions on photos, written as result_NAME.png, and print who was found."""
    from streamer.cli.inputs import expand
    from streamer.config import load_config

    flags = {
        "recognition.gallery": gallery,
        "recognition.matcher_file": matcher,
        "runtime.device": device,
        "runtime.backend": backend,
    }
    config = load_config(config_file, overrides or (), flags=flags)
    check_one_source_of_names(people, config.recognition.matcher_file)
    paths = [photo for path in expand(inputs) for photo in photos_in(path)]
    jobs = list(zip(paths, output_paths(paths, output), strict=True))

    from streamer.cli.progress import stop_on_signals
    from streamer.stills import ImageAnnotator

    with stop_on_signals() as stop:
        if len(jobs) == 1:
            _check(*jobs[0], overwrite)  # what is wrong is told before nets are loaded
        annotator = ImageAnnotator(config)
        if people is not None:
            annotator.gallery = enrolled(people, config, annotator.models, stop)
        annotator.loaded()
        code = _annotate_all(annotator, jobs, overwrite, stop.is_set, as_json)
    if code:
        raise typer.Exit(code)


def photos_in(path: Path) -> list[Path]:
    """Return the photos of a folder but for earlier results, by name, or the file itself.

    Raises:
        SourceOpenError: The folder holds none, or cannot be read.
    """
    from streamer.photos import PICTURE_SUFFIXES

    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise SourceOpenError(f"{printable(str(path))} cannot be read: {error.strerror}") from error
    photos = [e for e in entries if e.suffix.lower() in PICTURE_SUFFIXES and not e.name.startswith((".", _PREFIX))]
    if not photos:
        raise SourceOpenError(f"{printable(str(path))} holds no photo; give a folder of JPEG or PNG files")
    return photos


def output_paths(photos: Sequence[Path], output: Path | None) -> list[Path]:
    """Return where each photo's result goes.

    Args:
        photos: The inputs.
        output: A folder, or for one photo a file; None: beside each photo.

    Raises:
        UsageError: Two photos would have one result, or many go to one file.
    """
    if output is not None and output.suffix and not output.is_dir():
        if len(photos) > 1:
            raise UsageError(f"-o {output} is a file, but {len(photos)} photos need a folder; name one")
        return [output]
    taken: dict[Path, Path] = {}
    for photo in photos:
        folder = output if output is not None else photo.parent
        path = folder / f"{_PREFIX}{photo.stem}{_SUFFIX}"
        if path in taken:
            raise UsageError(f"{taken[path]} and {photo} would both be written to {path}; do them one by one")
        taken[path] = photo
    return list(taken)


def _check(photo: Path, output: Path, overwrite: bool) -> None:
    """Refuse what cannot be read or written, before any work; make the output's folder."""
    from streamer.cli.inputs import check_exists, make_folders
    from streamer.sinks.files import check_output
    from streamer.sinks.png import PNG_SUFFIXES

    check_exists(photo)
    make_folders([output])
    check_output(output, sources=[photo], suffixes=PNG_SUFFIXES, overwrite=overwrite)


def _annotate_all(
    annotator: ImageAnnotator,
    jobs: Sequence[tuple[Path, Path]],
    overwrite: bool,
    is_asked_to_stop: Callable[[], bool],
    as_json: bool,
) -> int:
    """Do photo after photo; a bad one does not keep the others from being done. Return the exit code."""
    from streamer.sinks.png import write_png

    code = 0
    rows: list[Json] = []
    for photo, output in jobs:
        if is_asked_to_stop():
            code = INTERRUPTED
            break
        try:
            _check(photo, output, overwrite)
            done = annotator.annotate(photo)
            write_png(output, done.pixels)
        except StreamerError as error:
            print_error(str(error))
            rows.append({"photo": str(photo), "error": str(error)})
            code = code or error.exit_code
            continue
        if as_json:
            rows.append(_row(photo, output, done))
        else:
            typer.echo(printable(f"{photo}: {_told(done.result)}; wrote {output}"))
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    return code


def _row(photo: Path, output: Path, done: AnnotatedImage) -> dict[str, Json]:
    from streamer.sinks import results_lines

    picture, line = done.result.frame.picture, results_lines.frame(done.result)
    assert isinstance(line, Mapping)
    return {
        "photo": str(photo),
        "output": str(output),
        "width": picture.width,
        "height": picture.height,
        "scale": done.scale,
        "faces": line["faces"],
    }


def _told(result: FrameResult) -> str:
    """Say in a few words who is there, from left to right."""
    faces = sorted(result.annotations, key=lambda face: float(face.track.xyxy[0]))
    words = []
    for face in faces:
        who = "a face"
        if face.identity is not None:
            name = face.identity.name
            who = "unknown" if name is None else f"{name} ({min(99, round(100 * face.identity.probability))} %)"
        mood = face.emotion.label if face.emotion is not None else None
        words.append(f"{who}, {mood}" if mood is not None else who)
    count = f"{len(faces)} face{'s' if len(faces) != 1 else ''}" if faces else "no face found"
    return f"{count}: {'; '.join(words)}" if words else count
