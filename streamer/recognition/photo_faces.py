"""Finds the faces of a photo, of a large one shrunk, of a prepared crop within a frame, and the one it is about."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.pictures import BgrPicture
from streamer.stages import Detector
from streamer.types import Faces

# A larger photo is searched shrunk to this side: a 24 Mpx photo takes 40 times as long and shows no more faces.
MAX_SEARCHED_PIXELS = 2000


def locate_faces(picture: BgrPicture, detector: Detector) -> tuple[BgrPicture, Faces]:
    """Return the faces of a photo, and the picture in whose pixels they are: the photo, or it within a frame."""
    faces = _search(picture, detector)
    return (picture, faces) if len(faces) else _search_in_frame(picture, detector)


def most_central(faces: Faces, width: int, height: int) -> int:
    """Return the row of the face that a picture of so many px is about: the central one, unless another is far larger.

    It is the one with the largest area less twice the squared distance of its middle from the picture's, as
    insightface's and facenet-pytorch's preparation of LFW choose it. By distance alone somebody small who looks over
    the shoulder of the person meant is taken for them.
    """
    sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]
    centres = (faces.xyxy[:, :2] + faces.xyxy[:, 2:]) / 2
    distances = ((centres - np.array([width / 2, height / 2])) ** 2).sum(axis=1)
    return int(np.argmax(sides.prod(axis=1) - 2 * distances))


def _search(picture: BgrPicture, detector: Detector) -> Faces:
    """Find faces, in the picture's own pixels; a large picture is searched shrunk."""
    small = _shrunk(picture)
    faces = detector.detect([small])[0]
    scale = np.array([picture.width / small.width, picture.height / small.height], np.float32)
    return Faces(faces.xyxy * np.tile(scale, 2), faces.scores, faces.landmarks * scale)


def _shrunk(picture: BgrPicture) -> BgrPicture:
    """Return the picture with no side above the limit."""
    shrink = max(picture.width, picture.height) / MAX_SEARCHED_PIXELS
    if shrink <= 1:
        return picture
    size = (max(1, round(picture.width / shrink)), max(1, round(picture.height / shrink)))
    return BgrPicture(np.asarray(cv2.resize(picture.bgr(), size, interpolation=cv2.INTER_AREA), np.uint8))


def _search_in_frame(picture: BgrPicture, detector: Detector) -> tuple[BgrPicture, Faces]:
    """Find faces once more in the (shrunk) picture with a grey frame of half its size, and return that, too.

    Detectors miss faces that touch the borders, as in prepared crops. Of 293 pictures of LFW cut to 5 % inside the
    face's box MTCNN found a face in 278; with a frame of repeated border pixels in 289, of grey in all; reflection
    showed 12 of the faces twice.
    """
    picture = _shrunk(picture)
    across, down = picture.width // 2, picture.height // 2
    grey = (128, 128, 128)
    framed = cv2.copyMakeBorder(picture.bgr(), down, down, across, across, cv2.BORDER_CONSTANT, value=grey)
    large = BgrPicture(np.asarray(framed, np.uint8))
    return large, _search(large, detector)
