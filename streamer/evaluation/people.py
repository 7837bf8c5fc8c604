"""Evaluates naming: small galleries drawn from a folder of people, whose other photos and strangers must be told apart.

Every photo is read and embedded once, however many galleries are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.errors import GalleryError, UsageError, printable
from streamer.evaluation.faces import FaceNets, OnPicture, embed_pictures
from streamer.evaluation.identification import DrawFigures, Identification, identify, summarise
from streamer.evaluation.methods import METHODS, MethodSetting, Photos
from streamer.photos import PICTURE_SUFFIXES
from streamer.recognition.enrol import find_people


@dataclass(frozen=True, slots=True)
class DrawPlan:
    """How galleries are drawn.

    Attributes:
        people: In a gallery, at least 1.
        enrol: Photos of each of them, at least 1.
        draws: How many galleries.
        seed: Of the drawing.
        methods: Keys of `METHODS`.
    """

    people: int
    enrol: int
    draws: int
    seed: int
    methods: tuple[str, ...]

    def __post_init__(self) -> None:
        unknown = [name for name in self.methods if name not in METHODS]
        if unknown or not self.methods:
            what = f"there is no method {printable(unknown[0])!r}" if unknown else "no method is named"
            raise UsageError(f"{what}; choose from {', '.join(METHODS)}")
        if min(self.people, self.enrol, self.draws) < 1:
            raise UsageError("people, photos to enrol and draws must be at least 1 each")

    @property
    def needs_crops(self) -> bool:
        """A method looks at pixels."""
        return any(METHODS[name].needs_crops for name in self.methods)


@dataclass(frozen=True, slots=True)
class Listing:
    """Pictures of faces before they are looked at: their paths, and who each shows."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """The photos with a face.

    Attributes:
        photos: Of the people.
        strangers: Of the strangers' folder; None: whoever was not drawn is a stranger.
        unusable: How many pictures, of both, cannot be read or show no face.
    """

    photos: Photos
    strangers: Photos | None
    unusable: int


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """How well one method names.

    Attributes:
        method: Key of `METHODS`.
        figures: Over all draws.
        known_faces: How many faces of known people were judged, over all draws.
        stranger_faces: How many of strangers.
    """

    method: str
    figures: Identification
    known_faces: int
    stranger_faces: int


@dataclass(frozen=True, slots=True)
class _Gallery:
    """One gallery drawn: who is enrolled, who is to be recognised, who is a stranger."""

    enrolled: Photos
    known: Photos
    strangers: Photos


def list_people(folder: Path, plan: DrawPlan, *, has_strangers: bool = False) -> Listing:
    """List a folder of people.

    Args:
        folder: One folder a person in it.
        plan: How many people with how many photos are needed.
        has_strangers: Strangers come from elsewhere, so that nobody need be left over.

    Raises:
        GalleryError: It is none, or has too few people, or they too few pictures.
    """
    people = find_people(folder).people
    _check_enough(folder, [len(person.paths) for person in people], plan, "pictures")
    if not has_strangers:
        _check_left_over(len(people), plan)
    return Listing(
        tuple(path for person in people for path in person.paths),
        tuple(person.name for person in people for _ in person.paths),
    )


def list_strangers(folder: Path) -> Listing:
    """List the pictures in a folder and in the folders in it. Raises GalleryError where there is none."""
    try:
        found = [path for pattern in ("*", "*/*") for path in folder.glob(pattern)]
        paths = sorted(p for p in found if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file() and p.name[0] != ".")
    except OSError as error:
        raise GalleryError(f"{printable(folder)} cannot be read: {error.strerror}; check --strangers") from error
    if not paths:
        raise GalleryError(f"{printable(folder)} holds no pictures of strangers; check --strangers")
    return Listing(tuple(paths), tuple(path.parent.name for path in paths))


def read_album(
    people: Listing,
    strangers: Listing | None,
    nets: FaceNets,
    *,
    keeps_crops: bool,
    on_picture: OnPicture = lambda: None,
) -> Album:
    """Read and embed all pictures; those without a face, or that cannot be read, are left out and counted."""
    listings = [people] if strangers is None else [people, strangers]
    photos, unusable = [], 0
    for listing in listings:
        faces = embed_pictures(
            listing.paths, nets, keeps_crops=keeps_crops, skips_unreadable=True, on_picture=on_picture
        )
        rows = np.flatnonzero(faces.is_found)
        unusable += len(listing) - len(rows)
        photos.append(Photos(listing.names, faces.vectors, faces.crops).of(rows.tolist()))
    return Album(photos[0], photos[1] if strangers is not None else None, unusable)


def evaluate_people(
    album: Album,
    plan: DrawPlan,
    setting: MethodSetting,
    *,
    on_judged: Callable[[], None] = lambda: None,
) -> list[MethodFigures]:
    """Draw galleries and judge each with each method.

    Args:
        album: The photos.
        plan: How galleries are drawn; the same ones for every method.
        setting: What the methods may know.
        on_judged: Called after each gallery and method.

    Raises:
        GalleryError: Too few people have photos enough, or nobody is left over as a stranger.
    """
    rows = album.photos.by_name()
    _check_enough(None, [len(own) for own in rows.values()], plan, "usable photos")
    if album.strangers is None:
        _check_left_over(len(rows), plan)
    if album.strangers is not None and not len(album.strangers):
        raise GalleryError("in no picture of the strangers a face was found; give others")
    figures: dict[str, list[DrawFigures]] = {name: [] for name in plan.methods}
    known = strangers = 0
    for gallery in _draws(album, plan):
        known, strangers = known + len(gallery.known), strangers + len(gallery.strangers)
        for name in plan.methods:
            judge = METHODS[name].make(gallery.enrolled, setting)
            figures[name].append(identify(judge(gallery.known), gallery.known.names, judge(gallery.strangers)))
            on_judged()
    return [MethodFigures(name, summarise(draws), known, strangers) for name, draws in figures.items()]


def _draws(album: Album, plan: DrawPlan) -> Iterator[_Gallery]:
    """Yield galleries; each depends on the seed and its own number only."""
    photos, rows = album.photos, album.photos.by_name()
    able = sorted(name for name, own in rows.items() if len(own) > plan.enrol)
    for draw in range(plan.draws):
        rng = np.random.default_rng([plan.seed, draw])
        chosen = [able[place] for place in np.sort(rng.choice(len(able), plan.people, replace=False))]
        shuffled = [rng.permutation(rows[name]).tolist() for name in chosen]
        others = album.strangers
        if others is None:
            others = photos.of([row for name, own in rows.items() if name not in chosen for row in own])
        yield _Gallery(
            enrolled=photos.of([row for own in shuffled for row in own[: plan.enrol]]),
            known=photos.of([row for own in shuffled for row in own[plan.enrol :]]),
            strangers=others,
        )


def _check_enough(folder: Path | None, counts: Sequence[int], plan: DrawPlan, what: str) -> None:
    able = sum(count > plan.enrol for count in counts)
    if able < plan.people:
        where = "" if folder is None else f" in {printable(folder)}"
        raise GalleryError(
            f"only {able} people{where} have more than {plan.enrol} {what}, {plan.people} are needed; "
            "add photos, or ask for fewer with --people or --enrol"
        )


def _check_left_over(people: int, plan: DrawPlan) -> None:
    if people <= plan.people:
        raise GalleryError(
            f"all {people} people are drawn, so nobody is left over to be a stranger; "
            "give --strangers, or ask for fewer with --people"
        )
