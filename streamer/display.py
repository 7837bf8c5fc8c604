"""From a frame's result to how it is shown: large pictures smaller, tiny ones larger, mirrored where that is wanted.

What is drawn comes after this, so letters are neither mirrored nor blurred, and a 4K picture costs a window no more
than an HD one.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from streamer.pictures import BgrPicture, I420Picture, Picture, UInt8
from streamer.types import Float32, FrameResult, Track

# Shorter sides between which pictures are shown as they are.
_LEAST_SIDE, _MOST_SIDE = 360, 1200
_MOST_ENLARGED = 4
# The landmarks' order once left is right.
_SWAPPED = [1, 0, 2, 4, 3]


def scale_of(width: int, height: int) -> tuple[int, int]:
    """Return by what a picture's sides are multiplied and divided to be shown; one of the two is 1."""
    side = min(width, height)
    if side > _MOST_SIDE:
        return 1, -(-side // _MOST_SIDE)
    return max(1, min(_MOST_ENLARGED, -(-_LEAST_SIDE // side))), 1


def as_shown(result: FrameResult, *, mirrored: bool) -> FrameResult:
    """Return the result with its picture, boxes and landmarks as they are shown.

    Args:
        result: In the source's pixels.
        mirrored: Left and right change places, as people know themselves.
    """
    picture = result.frame.picture
    times, by = scale_of(picture.width, picture.height)
    if times == by == 1 and not mirrored:
        return result
    shown = picture.shrunk(by) if by > 1 else _enlarged(picture, times) if times > 1 else picture
    shown = _mirrored(shown) if mirrored else shown
    scale = (shown.width / picture.width, shown.height / picture.height)
    faces = tuple(
        replace(face, track=_moved(face.track, scale, shown.width if mirrored else None)) for face in result.annotations
    )
    return replace(result, frame=replace(result.frame, picture=shown), annotations=faces)


def _moved(track: Track, scale: tuple[float, float], mirror_width: int | None) -> Track:
    box = track.xyxy.reshape(2, 2) * np.array(scale, np.float32)
    landmarks = None if track.landmarks is None else track.landmarks * np.array(scale, np.float32)
    if mirror_width is not None:
        box = _flipped(box, mirror_width)
        box[:, 0] = box[::-1, 0]
        landmarks = None if landmarks is None else _flipped(landmarks, mirror_width)[_SWAPPED]
    return replace(
        track,
        xyxy=np.asarray(box.reshape(4), np.float32),
        landmarks=None if landmarks is None else np.asarray(landmarks, np.float32),
    )


def _flipped(points: Float32, width: int) -> Float32:
    flipped = points.copy()
    flipped[:, 0] = width - flipped[:, 0]
    return flipped


def _mirrored(picture: Picture) -> Picture:
    if isinstance(picture, I420Picture):
        return I420Picture(*(_flip(plane) for plane in (picture.y, picture.u, picture.v)), is_bt709=picture.is_bt709)
    return BgrPicture(_flip(picture.bgr()))


def _flip(plane: UInt8) -> UInt8:
    return np.asarray(cv2.flip(plane, 1), np.uint8)


def _enlarged(picture: Picture, times: int) -> Picture:
    if isinstance(picture, I420Picture):
        width, height = picture.width * times, picture.height * times
        half = ((width + 1) // 2, (height + 1) // 2)
        planes = ((picture.y, (width, height)), (picture.u, half), (picture.v, half))
        return I420Picture(*(_resized(plane, size) for plane, size in planes), is_bt709=picture.is_bt709)
    return BgrPicture(_resized(picture.bgr(), (picture.width * times, picture.height * times)))


def _resized(plane: UInt8, size: tuple[int, int]) -> UInt8:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.uint8)
