"""Pictures of faces with what people say that they show, in the layouts that data sets have; none is decoded early.

A folder a class, named after the emotions: `DIR/happiness/*.jpg`. A table of columns image and emotion, `labels.csv`.
A table of votes, `votes.csv`: a column image, and one of votes for each of the seven emotions and, where there are
such, contempt, unknown and not_a_face. Paths in a table start from its folder. And FER+ as mosaics (ferplus_data.py).
A data set that is split has its splits in folders called train, valid or test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamer.emotion.ferplus_data import read_ferplus
from streamer.emotion.labelled_tables import LABELS_NAME, VOTES_NAME, Entry, Listing, list_table
from streamer.emotion.votes import CONTEMPT, emotion_of, majority, votes_for, without_noise
from streamer.errors import SourceOpenError, UsageError, printable
from streamer.photos import PICTURE_SUFFIXES, read_picture
from streamer.pictures import BgrPicture
from streamer.types import EMOTIONS, Float32

_MOSAIC_VOTES = "_votes.csv"
_VALID_SPLITS = ("valid", "validation", "val")
_SPLITS = ("train", *_VALID_SPLITS, "test")
_SEVEN = ", ".join(EMOTIONS)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPictures:
    """N pictures, at least one, in an order that depends on their names alone.

    Attributes:
        votes: (N, 10) float32, how many people say what, in the order of `VOTES`, without noise; ten where there is one
            label.
        read: Decodes the picture of a row, upright; several threads may call it at once. Raises SourceOpenError that
            names the file and where it is listed.
        notes: What was left out, a sentence each.
        are_crops: They are FER-style crops, and no photographs in which faces could be looked for.
    """

    votes: Float32
    read: Callable[[int], BgrPicture]
    notes: tuple[str, ...] = ()
    are_crops: bool = False

    def __len__(self) -> int:
        return len(self.votes)

    def majority(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the rows to judge on, and the place in EMOTIONS of what each shows; see `votes.majority`."""
        return majority(self.votes)


def list_pictures(path: Path, split: str | None = None) -> LabelledPictures:
    """Find labelled pictures.

    Args:
        path: A folder, or a table.
        split: Which of the folder's splits; None: valid, or all where there are no splits.

    Raises:
        SourceOpenError: The folder or table cannot be read, or a picture of a table is absent.
        UsageError: There is no such split, an unknown class, an empty class folder, or a faulty table.
    """
    splits = find_splits(path)
    if split is None and splits:
        split = next((name for name in _VALID_SPLITS if name in splits), _VALID_SPLITS[0])
    if split is not None and split not in splits:
        choice = f"choose from {', '.join(splits)}" if splits else "without --split all of it is taken"
        raise UsageError(f"{printable(path)} has no split {printable(split)!r}; {choice}")
    if split is None:
        return _of_files(_list_folder(path) if path.is_dir() else list_table(path))
    if (path / f"{split}{_MOSAIC_VOTES}").is_file():
        return _of_mosaics(path, split)
    return _of_files(_list_folder(path / split))


def find_splits(path: Path) -> tuple[str, ...]:
    """Return the names of a folder's splits; none: it is one set of pictures, or no folder."""
    if any((path / name).is_file() for name in (VOTES_NAME, LABELS_NAME)):
        return ()  # a folder train beside a table is where its pictures are
    mosaics = [votes.name.removesuffix(_MOSAIC_VOTES) for votes in path.glob(f"?*{_MOSAIC_VOTES}")]
    return tuple(sorted({*mosaics, *(name for name in _SPLITS if (path / name).is_dir())}))


def _of_mosaics(folder: Path, split: str) -> LabelledPictures:
    faces = read_ferplus(folder, split)

    def read(row: int) -> BgrPicture:
        return BgrPicture(np.asarray(cv2.cvtColor(faces.pictures[row], cv2.COLOR_GRAY2BGR), np.uint8))

    return LabelledPictures(faces.votes, read, are_crops=True)


def _of_files(listing: Listing) -> LabelledPictures:
    entries = listing.entries
    if not entries:
        raise UsageError(f"of {listing.contempt} pictures all show contempt; add some of {_SEVEN}")

    def read(row: int) -> BgrPicture:
        try:
            return read_picture(entries[row].path)
        except SourceOpenError as error:
            raise SourceOpenError(f"{entries[row].place}{error}; replace it or take it out") from error

    votes = without_noise(np.stack([entry.votes for entry in entries]))
    return LabelledPictures(votes, read, tuple(_notes(listing)))


def _notes(listing: Listing) -> Iterator[str]:
    if listing.contempt:
        yield f"{listing.contempt} pictures of contempt are left out: it is none of the seven emotions"
    if listing.skipped:
        yield f"{listing.skipped} files are passed over: hidden, or no pictures"


def _list_folder(folder: Path) -> Listing:
    for name in (VOTES_NAME, LABELS_NAME):
        if (folder / name).is_file():
            return list_table(folder / name)
    return _list_classes(folder)


def _list_classes(folder: Path) -> Listing:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise SourceOpenError(f"{printable(folder)} cannot be read: {error.strerror}; check its rights") from error
    classes = [path for path in inside if path.is_dir() and not path.name.startswith(".")]
    if not classes:
        raise UsageError(
            f"{printable(folder)} holds no labelled pictures; put a folder for each emotion there ({_SEVEN}), "
            f"{LABELS_NAME}, {VOTES_NAME}, or SPLIT{_MOSAIC_VOTES} with mosaics"
        )
    entries: list[Entry] = []
    contempt, skipped = 0, len(inside) - len(classes)
    for path in classes:
        emotion = _class_of(path)
        pictures, others = _pictures_in(path)
        skipped += others
        if emotion == CONTEMPT:
            contempt += len(pictures)
        else:
            entries += [Entry(picture, votes_for(emotion)) for picture in pictures]
    return Listing(entries, contempt, skipped)


def _class_of(folder: Path) -> str:
    emotion = emotion_of(folder.name)
    if emotion is None:
        raise UsageError(f"{printable(folder)} is named after no emotion; choose from {_SEVEN}, or take the folder out")
    return emotion


def _pictures_in(folder: Path) -> tuple[list[Path], int]:
    """Return a class's pictures, at any depth, by name, and how many other files there are. Raises UsageError."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=Path.as_posix)
    pictures = [
        path
        for path in files
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not pictures:
        raise UsageError(f"the class folder {printable(folder)} holds no picture; add some or take the folder out")
    return pictures, len(files) - len(pictures)
