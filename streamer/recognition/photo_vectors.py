"""From a photo's aligned crop to the vector that a gallery keeps of it: the mean direction of several views of it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from streamer.stages import Crops, Embedder
from streamer.types import Float32

# A crop is also seen closer, and moved to either side by this share of its width: landmarks are never quite exact.
# 1,800 pairs of LFW told right at the best threshold, and by ten-fold cross-validation: the crop alone 98.8 and 98.5 %,
# with its mirror image 99.1 and 98.7 %, with these views and theirs 99.4 and 99.2 %; more views brought no more.
_CLOSER = 1.1
_ASIDE = 4 / 150
VIEWS = 8


def photo_vectors(crops: Crops, embedder: Embedder) -> Float32:
    """Return the (N, D) float32 unit vectors of (N, S, S, 3) uint8 BGR crops, each from eight views of its crop."""
    vectors = [_vector(crop, embedder) for crop in crops]
    return np.stack(vectors) if vectors else np.zeros((0, embedder.dimension), np.float32)


def _vector(crop: Crops, embedder: Embedder) -> Float32:
    total = embedder.embed(np.stack(list(_views(crop)))).sum(axis=0)
    length = np.linalg.norm(total)
    return np.asarray(total / np.maximum(length, 1e-6), np.float32)


def _views(crop: Crops) -> Iterator[Crops]:
    """Yield the views of one (S, S, 3) crop, each before its mirror image."""
    for scale, aside in ((1.0, 0.0), (_CLOSER, 0.0), (1.0, -_ASIDE), (1.0, _ASIDE)):
        view = crop if (scale, aside) == (1.0, 0.0) else _moved(crop, scale, aside)
        yield view
        yield view[:, ::-1]


def _moved(crop: Crops, scale: float, aside: float) -> Crops:
    """Return the crop enlarged about its middle and moved to the right by a share of its width; edges are repeated."""
    side = len(crop)
    middle = (side - 1) / 2
    matrix = np.array([[scale, 0, middle * (1 - scale) + aside * side], [0, scale, middle * (1 - scale)]])
    return np.asarray(cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)
