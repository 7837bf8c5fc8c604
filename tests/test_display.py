"""How results become what is shown: scaled, mirrored, and faces where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.canvas import Canvas
from streamer.display import as_shown, scale_of
from streamer.pictures import BgrPicture, Picture
from streamer.types import Annotation, Frame, FrameResult, Track
from tests.fakes import GREEN, RED, SIDE, draw, landmarks_in, squares_in


def result(picture: Picture) -> FrameResult:
    boxes = squares_in(picture).xyxy
    faces = tuple(
        Annotation(Track(place + 1, box, landmarks_in(box), 0.9, True, 0.0, 0.0)) for place, box in enumerate(boxes)
    )
    return FrameResult(Frame(picture, 0, 0.0, 0.0, "drawn"), faces)


def pictures(width: int, height: int) -> list[Picture]:
    bgr = draw([(20, 30, RED), (100, 60, GREEN)], width, height)
    return [BgrPicture(bgr), Canvas(BgrPicture(bgr)).picture()]


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080), (3840, 2160), (160, 120), (641, 361)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_faces_are_shown_where_their_pictures_are(width: int, height: int, mirrored: bool) -> None:
    for picture in pictures(width, height):
        given_result = result(picture)
        shown = as_shown(given_result, mirrored=mirrored)
        found = squares_in(shown.frame.picture).xyxy
        assert len(found) == len(given_result.annotations)
        for face in shown.annotations:
            left, top, right, bottom = face.track.xyxy
            assert left < right
            assert top < bottom
            nearest = np.abs(found - face.track.xyxy).max(axis=1).min()
            assert nearest <= 0.1 * SIDE
            assert face.track.landmarks is not None
            eyes = face.track.landmarks[:2, 0]
            assert left < eyes[0] < eyes[1] < right  # the image's left eye is on the left


def test_a_picture_of_usual_size_is_shown_as_it_is() -> None:
    for picture in pictures(640, 480):
        given_result = result(picture)
        assert as_shown(given_result, mirrored=False) is given_result


def test_mirroring_twice_changes_nothing() -> None:
    for picture in pictures(640, 480):
        twice = as_shown(as_shown(result(picture), mirrored=True), mirrored=True)
        assert np.array_equal(twice.frame.picture.bgr(), picture.bgr())
        for before, after in zip(result(picture).annotations, twice.annotations, strict=True):
            assert np.allclose(before.track.xyxy, after.track.xyxy)
            assert before.track.landmarks is not None
            assert after.track.landmarks is not None
            assert np.allclose(before.track.landmarks, after.track.landmarks)


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_what_is_shown_is_neither_tiny_nor_huge(width: int, height: int) -> None:
    times, by = scale_of(width, height)
    assert times == 1 or by == 1
    side = min(width, height)
    assert side * times // by <= 1200
    assert side * times // by >= min(360, 4 * side) or by > 1
    assert by == 1 or side // by > 500
