"""Whose photos lie in a folder: one folder a person. It looks at names only, at no photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.errors import GalleryError, printable
from streamer.photos import PICTURE_SUFFIXES
from streamer.pictures import BgrPicture
from streamer.recognition.people import clean_name


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A picture out of a video or from a camera."""

    label: str
    picture: BgrPicture


@dataclass(frozen=True, slots=True, eq=False)
class PersonPhotos:
    """One person's photos before they are looked at.

    Attributes:
        name: As `clean_name` returns it.
        paths: Of photos, in order.
        stills: Pictures that are no files.
    """

    name: str
    paths: tuple[Path, ...] = ()
    stills: tuple[Still, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleFolder:
    """What lies in a folder of people: whom to enrol, and notes, a line each, on what was passed over."""

    people: tuple[PersonPhotos, ...]
    notes: tuple[str, ...] = ()


def find_people(root: Path) -> PeopleFolder:
    """List a folder of people: one folder a person, named after them, with photos in it.

    Hidden entries are skipped silently; what is no photo, lies deeper or lies beside the people's folders, with a note.

    Raises:
        GalleryError: It is no folder, holds no person's folder, or a folder's name is no name, or two are the same.
    """
    entries = _visible(root)
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        raise GalleryError(
            f"{printable(root)} holds no people; make one folder a person in it, named after them, with their photos"
        )
    notes = [f"{printable(e.name)} is not in a person's folder, so it was skipped" for e in entries if e not in folders]
    people: dict[str, PersonPhotos] = {}
    for folder in folders:
        name = clean_name(folder.name)
        if name in people:
            raise GalleryError(
                f"two folders in {printable(root)} stand for the name {printable(name)!r}; put their photos together"
            )
        inside = _visible(folder)
        photos = [entry for entry in inside if _is_photo(entry)]
        people[name] = PersonPhotos(name, tuple(photos))
        notes += [
            f"{printable(f'{folder.name}/{entry.name}')} is {'a folder' if entry.is_dir() else 'no photo'}, "
            "so it was skipped"
            for entry in inside
            if not _is_photo(entry)
        ]
    return PeopleFolder(tuple(people.values()), tuple(notes))


def find_pictures(root: Path) -> tuple[Path, ...]:
    """Return all photos in a folder and in the folders in it, in order. Raises GalleryError where there is none."""
    found = [path for entry in _visible(root) for path in ([*_visible(entry)] if entry.is_dir() else [entry])]
    photos = tuple(path for path in found if _is_photo(path))
    if not photos:
        raise GalleryError(f"{printable(root)} holds no photos; give a folder with photos in it")
    return photos


def _is_photo(entry: Path) -> bool:
    return entry.suffix.lower() in PICTURE_SUFFIXES and not entry.is_dir()


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise GalleryError(
            f"{printable(folder)} cannot be read ({error.strerror}); give a folder with one folder a person"
        ) from error
