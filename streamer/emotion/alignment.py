"""Where the faces in FER-style pictures would lie if they were cut as in use: by their landmarks, on the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from streamer.emotion.framing import CROP_SIZE, FER_TEMPLATE
from streamer.geometry import similarity_transform
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.types import Faces, Float32

Detect = Callable[[Sequence[Picture]], Sequence[Faces]]

# The detector wants faces larger than these pictures, and something around them.
_ENLARGED, _MARGIN = 2, 24
_BATCH = 32
# A similarity that scales by more than this comes from a face that was not found well.
_LEAST_SCALE, _MOST_SCALE = 0.6, 1.5


def alignments(pictures: UInt8, detect: Detect, on_progress: Callable[[float], None]) -> Float32:
    """Return (N, 2, 3) float32 transforms from places in aligned pictures to places in the pictures, both in -1..1.

    Where no face is found, or none that would fill the template, the picture stays as it is.

    Args:
        pictures: (N, 48, 48) uint8 grey.
        detect: Finds faces in pictures.
        on_progress: Told the share that is done; may raise to stop.
    """
    found = np.tile(np.eye(2, 3, dtype=np.float32), (len(pictures), 1, 1))
    for start in range(0, len(pictures), _BATCH):
        on_progress(start / len(pictures))
        enlarged = [_enlarged(picture) for picture in pictures[start : start + _BATCH]]
        for offset, faces in enumerate(detect(enlarged)):
            if len(faces.scores):
                landmarks = faces.landmarks[int(np.argmax(faces.scores))]
                # Centres of pixels, as resizing leaves them.
                landmarks = (landmarks - _MARGIN + 0.5) / _ENLARGED - 0.5
                found[start + offset] = _alignment(landmarks, found[start + offset])
    return found


def _enlarged(picture: UInt8) -> Picture:
    side = CROP_SIZE * _ENLARGED
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(large, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_REPLICATE)
    return BgrPicture(np.asarray(cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR), np.uint8))


def _alignment(landmarks: Float32, otherwise: Float32) -> Float32:
    pixels = np.vstack([similarity_transform(FER_TEMPLATE, landmarks), [0, 0, 1]])
    if not _LEAST_SCALE < np.sqrt(np.linalg.det(pixels[:2, :2])) < _MOST_SCALE:
        return otherwise
    half = CROP_SIZE / 2
    to_unit = np.array([[1 / half, 0, 0.5 / half - 1], [0, 1 / half, 0.5 / half - 1], [0, 0, 1]])
    return np.asarray((to_unit @ pixels @ np.linalg.inv(to_unit))[:2], np.float32)
