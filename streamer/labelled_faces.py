"""From labelled pictures to crops of faces, for training and for judging: found and cut as in use, or used whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from streamer.emotion.ferplus_data import FerPlus
from streamer.emotion.framing import CROP_SIZE, FER_TEMPLATE, grey_cut
from streamer.emotion.labelled_pictures import LabelledPictures
from streamer.errors import UsageError
from streamer.parallel import in_order
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.recognition.photo_faces import locate_faces, most_central
from streamer.stages import Crops, Detector
from streamer.types import Float32

Crop = Callable[[Picture, Float32], Crops]  # as EmotionClassifier.crop
Cut = Callable[[BgrPicture], Crops | None]  # to (S, S, 3) uint8 BGR; None: no face is found

_FER_CUT = grey_cut(CROP_SIZE, FER_TEMPLATE)


def face_cut(detector: Detector, crop: Crop) -> Cut:
    """Return what cuts the face that a photograph is about (see `most_central`), as it would be cut in use."""

    def cut(picture: BgrPicture) -> Crops | None:
        searched, faces = locate_faces(picture, detector)
        if not len(faces):
            return None
        row = most_central(faces, searched.width, searched.height)
        return crop(searched, faces.landmarks[row])

    return cut


def whole_cut(side: int) -> Cut:
    """Return what takes a FER-style crop of any size whole, scaled to `side` px."""

    def cut(picture: BgrPicture) -> Crops:
        return _scaled(picture.bgr(), side)

    return cut


def _scaled(pixels: UInt8, side: int) -> UInt8:
    """Return (S, S, 3) of (H, W, 3) uint8.

    By Lanczos' filter, which Pillow widens where it shrinks, so that nothing aliases. Of FER+ valid enlarged to 64 to
    224 px and scaled back the shipped net tells .1 to .4 % more than if it is averaged down, and 2 % more than if it
    is blurred before; from 24 px .7 % more than if it is enlarged bicubically.
    """
    if pixels.shape[:2] == (side, side):
        return pixels
    return np.array(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS), np.uint8)


def fer_cut(detector: Detector | None) -> Cut:
    """Return what makes crops as the shipped net takes them; `detector`: None: the pictures are such crops already."""
    return whole_cut(CROP_SIZE) if detector is None else face_cut(detector, _FER_CUT)


def cut_faces(pictures: LabelledPictures, rows: Iterable[int], cut: Cut, *, threads: int = 1) -> Iterator[Crops | None]:
    """Yield the crop of each row's picture, in order, read and cut in so many threads; None: no face is found.

    Raises:
        SourceOpenError: A picture cannot be read.
    """
    return in_order(lambda row: cut(pictures.read(row)), rows, threads)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPictures:
    """What to train on, or to judge a training by.

    Attributes:
        faces: The crops and their votes, in the order of the pictures.
        notes: What was left out, a sentence each.
    """

    faces: FerPlus
    notes: tuple[str, ...]


def read_training_pictures(
    pictures: LabelledPictures,
    cut: Cut,
    *,
    threads: int = 1,
    on_share: Callable[[float], None] = lambda _share: None,
) -> TrainingPictures:
    """Read all pictures, and cut them to what the shipped net takes.

    Args:
        pictures: As `list_pictures` finds them; those that are FER-style crops are used whole, whatever `cut` is.
        cut: See `fer_cut`.
        threads: Of reading and cutting.
        on_share: Told the share that is done; may raise to stop.

    Raises:
        SourceOpenError: A picture cannot be read.
        UsageError: No face is found in any.
    """
    cut = fer_cut(None) if pictures.are_crops else cut
    found: list[int] = []
    grey = np.empty((len(pictures), CROP_SIZE, CROP_SIZE), np.uint8)
    for row, crop in enumerate(cut_faces(pictures, range(len(pictures)), cut, threads=threads)):
        if crop is not None:
            grey[len(found)] = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
            found.append(row)
        on_share((row + 1) / len(pictures))
    if not found:
        raise UsageError("no face is found in any of the pictures; pass --cropped if they are crops of faces")
    missed = len(pictures) - len(found)
    without = (f"{missed} pictures are left out, for no face is found in them",) if missed else ()
    return TrainingPictures(FerPlus(grey[: len(found)], pictures.votes[found]), pictures.notes + without)
