"""`streamer people import|add|prepare`: photos, videos and cameras to people who are known."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli.options import BackendName, ConfigFile, DeviceName, GalleryFolder, Overrides
from streamer.cli.output import printable
from streamer.cli.steps import steps

if TYPE_CHECKING:
    from streamer.config import Config
    from streamer.recognition.enrol import EnrolmentReport, PhotoReport
    from streamer.recognition.gallery import Gallery
    from streamer.recognition.photo_reader import ChooseFace
    from streamer.types import Faces

Largest = Annotated[
    bool,
    typer.Option(
        "--largest", help="Of several faces in a photo take the largest; default: ask on a terminal, else refuse."
    ),
]
AcceptDoubtful = Annotated[
    bool,
    typer.Option(
        "--accept-doubtful",
        help="Take also blurred, dark and turned faces, and photos that look like somebody else; default: refuse.",
    ),
]


def import_people(
    source: Annotated[
        Path,
        typer.Argument(metavar="DIR|FILE", help="Photos, one folder a person; or what `people export` wrote."),
    ],
    largest: Largest = False,
    accept_doubtful: AcceptDoubtful = False,
    skip_unusable: Annotated[
        bool,
        typer.Option(
            "--skip-unusable", help="Enrol the others where none of a person's photos can be used; default: nobody."
        ),
    ] = False,
    gallery: GalleryFolder = None,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Enrol all people of a folder, or nobody: each photo is judged, and its reason printed if it is not used.

    Photos of somebody who is known already are added to theirs. An import that was stopped goes on where it was.
    """
    from streamer.config import load_config

    flags = {"recognition.gallery": gallery, "runtime.device": device, "runtime.backend": backend}
    config = load_config(config_file, overrides or (), flags=flags)
    if source.is_file():
        _import_file(source, config)
        return
    from streamer.enrolling import EnrolmentChoices, enrol_into
    from streamer.recognition.people_folders import find_people

    folder = find_people(source)
    total = sum(len(person.paths) for person in folder.people)
    choices = EnrolmentChoices(face_chooser(largest), accept_doubtful, skip_unusable)
    with _reported(total) as on_photo:
        report, saved = enrol_into(config, folder, choices, on_photo=on_photo)
    _print_outcome(report, saved, config)


def _import_file(path: Path, config: Config) -> None:
    from streamer.build import embedder_id
    from streamer.recognition.gallery import edit_gallery
    from streamer.recognition.portable import read_people

    brought = read_people(path)
    saved = edit_gallery(
        config.recognition.gallery_path, embedder_id(config), lambda current: current.merged_with(brought)
    )
    for person in brought.people:
        typer.echo(printable(f"{person.name}: photos in the file: {len(person.embeddings)}"))
    _print_total(saved, config)


def add_person(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a new person, or of one who gets more pictures.")],
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PHOTO|DIR|VIDEO]...", help="Photos, folders of them, and videos of them."),
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(
            "--camera",
            metavar="NUMBER|PATH",
            help="Look for ten seconds at the person in front of a camera: 0, or a path such as /dev/video0.",
        ),
    ] = None,
    start: Annotated[
        float | None, typer.Option("--start", metavar="SECONDS", help="Where in the videos to start; default: 0.")
    ] = None,
    end: Annotated[
        float | None, typer.Option("--end", metavar="SECONDS", help="Where in them to end; default: after a minute.")
    ] = None,
    largest: Largest = False,
    accept_doubtful: AcceptDoubtful = False,
    gallery: GalleryFolder = None,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Enrol one person from photos, from a video of them, or from a camera."""
    from streamer.config import load_config

    config = load_config(
        config_file,
        overrides or (),
        flags={
            "recognition.gallery": gallery,
            "runtime.device": device,
            "runtime.backend": backend,
            "source.start_seconds": start,
            "source.end_seconds": end,
        },
    )
    from streamer.enrolling import EnrolmentChoices, enrol_into, person_of
    from streamer.recognition.people_folders import PeopleFolder

    if camera is not None:
        typer.echo("look into the camera, and turn your head a little to either side", err=True)
    person = person_of(name, pictures or [], config, camera)
    choices = EnrolmentChoices(face_chooser(largest), accept_doubtful)
    with _reported(len(person.paths) + len(person.stills)) as on_photo:
        report, saved = enrol_into(config, PeopleFolder((person,)), choices, on_photo=on_photo)
    _print_outcome(report, saved, config)


def prepare(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Photos, one folder a person.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the crops, one folder a person.")],
    largest: Largest = False,
    accept_doubtful: AcceptDoubtful = False,
    device: DeviceName = None,
    backend: BackendName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Write the aligned face of each photo that could be enrolled, to be looked through before `people import`."""
    from streamer.config import load_config

    config = load_config(config_file, overrides or (), flags={"runtime.device": device, "runtime.backend": backend})
    from streamer.enrolling import EnrolmentChoices, prepare_crops
    from streamer.recognition.people_folders import find_people

    people = find_people(folder)
    choices = EnrolmentChoices(face_chooser(largest), accept_doubtful)
    with steps("reading photos", sum(len(person.paths) for person in people.people)) as advance:

        def report(name: str, path: Path, reason: str | None) -> None:
            _print_refusal(name, path, reason)
            advance()

        written = prepare_crops(people, target, config, choices, report)
    typer.echo(printable(f"{written} crops of {len(people.people)} people in {target}"))


def face_chooser(largest: bool) -> ChooseFace:
    """Return what says which of several faces is meant: the largest, whoever sits at the terminal, or nobody."""
    from streamer.recognition.photo_reader import largest_face, no_face

    if largest:
        return largest_face
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else no_face


def _ask(path: Path, faces: Faces) -> int | None:
    """Ask which of several faces is meant; they are numbered from left to right."""
    order = sorted(range(len(faces)), key=lambda index: float(faces.xyxy[index, 0]))
    typer.echo(printable(f"{path} shows {len(faces)} faces, from left to right:"), err=True)
    for number, index in enumerate(order, 1):
        left, top, right, bottom = (round(float(edge)) for edge in faces.xyxy[index])
        typer.echo(f"  {number}: {right - left} x {bottom - top} px at {left}, {top}", err=True)
    answer = typer.prompt("which one is meant? 0: none", type=int, default=0, err=True)
    return order[answer - 1] if 1 <= answer <= len(order) else None


@contextmanager
def _reported(total: int) -> Iterator[Callable[[PhotoReport], None]]:
    """Show progress, and print each photo's reason as it is looked at."""
    with steps("reading photos", total) as advance:

        def report(photo: PhotoReport) -> None:
            _print_refusal(photo.name, photo.path, photo.reason)
            advance()

        yield report


def _print_refusal(name: str, path: Path, reason: str | None) -> None:
    if reason is not None:
        typer.echo(printable(f"{name}: {path.name}: not used: {reason}"))


def _print_outcome(report: EnrolmentReport, saved: Gallery, config: Config) -> None:
    for photo in report.photos:
        if photo.is_late:
            _print_refusal(photo.name, photo.path, photo.reason)
    for note in report.notes:
        typer.echo(printable(f"note: {note}"))
    for name, reasons in report.failed.items():
        typer.echo(printable(f"{name}: not enrolled: {reasons}"))
    for person in report.people:
        if person.name not in report.failed:
            known = f", {person.known} known already" if person.known else ""
            refused = f", {person.refused} not used" if person.refused else ""
            typer.echo(printable(f"{person.name}: {person.enrolled} enrolled{known}{refused}"))
    _print_total(saved, config)


def _print_total(saved: Gallery, config: Config) -> None:
    from streamer.cli.trust import MOST_ROWS, print_expectations
    from streamer.recognition.thresholds import knows_strangers

    typer.echo(
        printable(f"{len(saved.people)} people with {saved.photo_count} photos in {config.recognition.gallery_path}")
    )
    if saved.people and knows_strangers(saved):
        print_expectations(saved, config.recognition.false_accept_rate, MOST_ROWS)
