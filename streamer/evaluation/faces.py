"""Pictures to vectors for evaluation: each is read, searched and embedded once, by the face that it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamer.errors import SourceOpenError
from streamer.parallel import by_batches
from streamer.photos import read_picture
from streamer.recognition.photo_faces import locate_faces, most_central
from streamer.recognition.photo_landmarks import steady_landmarks
from streamer.recognition.photo_vectors import photo_vectors
from streamer.stages import Crops, Detector, Embedder
from streamer.types import Float32

# Crops that are kept until they go through the net together, some 9 MB of them.
_BATCH = 64

OnPicture = Callable[[], None]


@dataclass(frozen=True, slots=True)
class FaceNets:
    """What finds faces and what turns them into vectors."""

    detector: Detector
    embedder: Embedder


@dataclass(frozen=True, slots=True, eq=False)
class FaceVectors:
    """The faces of N pictures.

    Attributes:
        is_found: (N,): a face was found.
        vectors: (N, D) float32 unit vectors as photos of a gallery have them; zeros where no face was found.
        crops: (N, S, S, 3) uint8 BGR; None: not kept.
    """

    is_found: npt.NDArray[np.bool_]
    vectors: Float32
    crops: Crops | None = None


def embed_pictures(
    paths: Sequence[Path],
    nets: FaceNets,
    *,
    keeps_crops: bool = False,
    skips_unreadable: bool = False,
    on_picture: OnPicture = lambda: None,
) -> FaceVectors:
    """Embed the face that each picture is about (see `most_central`).

    Args:
        paths: Of N pictures.
        nets: What computes.
        keeps_crops: Keep the crops, too.
        skips_unreadable: Pictures that cannot be read count as having no face.
        on_picture: Called after each picture.

    Raises:
        SourceOpenError: A picture cannot be read, and may not be skipped.
    """
    side = nets.embedder.crop_size
    is_found = np.zeros(len(paths), bool)
    vectors = np.zeros((len(paths), nets.embedder.dimension), np.float32)
    crops = np.zeros((len(paths), side, side, 3), np.uint8) if keeps_crops else None
    for batch in by_batches(_crops(paths, nets, skips_unreadable, on_picture), _BATCH):
        rows = [row for row, _ in batch]
        is_found[rows] = True
        vectors[rows] = photo_vectors(np.stack([crop for _, crop in batch]), nets.embedder)
        if crops is not None:
            crops[rows] = np.stack([crop for _, crop in batch])
    return FaceVectors(is_found, vectors, crops)


def _crops(
    paths: Sequence[Path], nets: FaceNets, skips_unreadable: bool, on_picture: OnPicture
) -> Iterator[tuple[int, Crops]]:
    for row, path in enumerate(paths):
        crop = _central_crop(path, nets, skips_unreadable)
        if crop is not None:
            yield row, crop
        on_picture()


def _central_crop(path: Path, nets: FaceNets, skips_unreadable: bool) -> Crops | None:
    """Return the crop of a picture's most central face; None: it has none, or cannot be read and may be skipped."""
    try:
        picture = read_picture(path)
    except SourceOpenError:
        if skips_unreadable:
            return None
        raise
    picture, faces = locate_faces(picture, nets.detector)
    if not len(faces):
        return None
    row = most_central(faces, picture.width, picture.height)
    return nets.embedder.crop(picture, steady_landmarks(picture, faces, row, nets.detector))
