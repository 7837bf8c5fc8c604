"""Boxes and alignment: properties that hold for every box, and crops whose landmarks lie where the template says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.canvas import Canvas
from streamer.detectors.boxes import squares_about
from streamer.geometry import aligned_crop, aligned_grey_crop, areas, clip, iou, similarity_transform
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.types import Float32

WHITE = (255, 255, 255)
TEMPLATE = np.array([[48.5, 46.7], [102.4, 46.6], [75.4, 79.7], [51.5, 105.3], [99.0, 105.8]], np.float32)

numbers = st.floats(-300, 300, width=32)
lengths = st.floats(0.5, 300, width=32)
boxes = st.tuples(numbers, numbers, lengths, lengths).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
box_lists = st.lists(boxes, max_size=6).map(lambda rows: np.array(rows, np.float32).reshape(-1, 4))


@given(box_lists, box_lists)
def test_iou_is_symmetric_and_lies_between_nothing_and_all(first: Float32, second: Float32) -> None:
    overlaps = iou(first, second)
    assert overlaps.shape == (len(first), len(second))
    assert np.array_equal(overlaps, iou(second, first).T)
    assert ((overlaps >= 0) & (overlaps <= 1 + 1e-6)).all()


@given(box_lists)
def test_a_box_overlaps_itself_wholly(xyxy: Float32) -> None:
    # Half a pixel wide at 300 px, float32 keeps five digits.
    assert np.allclose(np.diag(iou(xyxy, xyxy)), 1, atol=1e-4)


def test_iou_of_boxes_that_touch_or_share_a_quarter() -> None:
    one = np.array([[0, 0, 2, 2]], np.float32)
    others = np.array([[1, 1, 3, 3], [2, 0, 4, 2], [5, 5, 6, 6], [0, 0, 2, 4]], np.float32)
    assert np.allclose(iou(one, others), [[1 / 7, 0, 0, 1 / 2]])


def test_a_turned_over_or_empty_box_has_no_area_and_no_overlap() -> None:
    bad = np.array([[5, 5, 1, 1], [3, 3, 3, 9]], np.float32)
    assert (areas(bad) == 0).all()
    assert (iou(bad, np.array([[0, 0, 10, 10]], np.float32)) == 0).all()


@given(box_lists, st.integers(1, 200), st.integers(1, 200))
def test_clipped_boxes_lie_in_the_picture_and_inner_ones_stay(xyxy: Float32, width: int, height: int) -> None:
    clipped = clip(xyxy, width, height)
    assert clipped.dtype == np.float32
    assert (clipped >= 0).all()
    assert (clipped[:, [0, 2]] <= width).all()
    assert (clipped[:, [1, 3]] <= height).all()
    inside = (xyxy >= 0).all(axis=1) & (xyxy[:, 2] <= width) & (xyxy[:, 3] <= height)
    assert np.array_equal(clipped[inside], xyxy[inside])


@given(box_lists)
def test_squares_keep_centre_and_longer_side(xyxy: Float32) -> None:
    squares = squares_about(xyxy)
    sides = squares[:, 2:] - squares[:, :2]
    assert np.allclose(sides[:, 0], sides[:, 1], atol=1e-3)
    assert np.allclose(sides[:, 0], (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, initial=0), atol=1e-3)
    assert np.allclose(squares[:, :2] + squares[:, 2:], xyxy[:, :2] + xyxy[:, 2:], atol=1e-3)


@given(st.floats(0.01, 100), st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_recovered_from_its_points(scale: float, angle: float, x: float, y: float) -> None:
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = TEMPLATE.astype(np.float64)
    found = similarity_transform(source, source @ linear.T + [x, y])
    assert np.allclose(found, np.column_stack([linear, [x, y]]), atol=1e-6 * max(1.0, scale))


@given(st.integers(0, 1000))
def test_no_other_similarity_fits_disturbed_points_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = TEMPLATE + rng.normal(0, 10, TEMPLATE.shape)
    target = TEMPLATE + rng.normal(0, 10, TEMPLATE.shape)
    found = similarity_transform(source, target)

    def error(cosine: float, sine: float, shift_x: float, shift_y: float) -> float:
        moved = source @ np.array([[cosine, sine], [-sine, cosine]]) + [shift_x, shift_y]
        return float(((moved - target) ** 2).sum())

    best = np.array([found[0, 0], found[1, 0], found[0, 2], found[1, 2]])
    for step in rng.normal(0, [0.01, 0.01, 0.5, 0.5], (8, 4)):
        assert error(*best) <= error(*(best + step)) + 1e-9


def test_points_that_coincide_fix_no_similarity() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)), TEMPLATE)


def marked_picture(scale: float, degrees: float, side: int) -> tuple[UInt8, Float32]:
    """Draw a face of five soft dots, `scale` times the template's size and turned, and return its landmarks."""
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (TEMPLATE - 75) @ linear.T + [side / 2 + 0.3, side / 2 - 0.4]
    rows, columns = np.mgrid[:side, :side] + 0.5
    grey = np.full((side, side), 40.0)
    for x, y in landmarks:
        grey += 180 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (4 * scale) ** 2))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2), landmarks.astype(np.float32)


def dots_at(crop: UInt8) -> Float32:
    """Return the (5, 2) centres of the dots of a crop."""
    weight = np.maximum(crop[..., 0].astype(np.float64) - 50, 0)
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
    found = []
    for x, y in TEMPLATE:
        near = weight * (np.hypot(columns - x, rows - y) < 13)
        found.append([(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()])
    return np.array(found, np.float32)


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 1.7, 2.6, 4.0])
@pytest.mark.parametrize("degrees", [0.0, 12.0, -35.0, 90.0])
@pytest.mark.parametrize("kind", ["bgr", "i420"])
def test_landmarks_fall_on_the_template_at_every_size_and_angle(scale: float, degrees: float, kind: str) -> None:
    bgr, landmarks = marked_picture(scale, degrees, side=int(240 * max(scale, 0.6)))
    picture: Picture = BgrPicture(bgr) if kind == "bgr" else Canvas(BgrPicture(bgr)).picture()
    crop = aligned_crop(picture, landmarks, TEMPLATE, 150)
    assert crop.shape == (150, 150, 3)
    assert crop.dtype == np.uint8
    # Measured: 0.03 px at most. A mistake about pixel centres would cost up to half a pixel.
    assert np.abs(dots_at(crop) - TEMPLATE).max() < 0.1


def test_crops_of_the_same_content_agree_between_kinds_of_picture(astronaut: UInt8) -> None:
    landmarks = np.array([[205.0, 101.7], [246.8, 103.7], [224.7, 129.0], [201.7, 139.3], [245.3, 141.9]], np.float32)
    from_bgr = aligned_crop(BgrPicture(astronaut), landmarks, TEMPLATE, 150)
    planes = Canvas(BgrPicture(astronaut)).picture()
    from_planes = aligned_crop(planes, landmarks, TEMPLATE, 150)
    difference = np.abs(from_bgr.astype(int) - from_planes)
    # Halved chroma blurs coloured edges; brightness and broad colour agree.
    assert difference.mean() < 4
    assert abs(float(from_bgr.mean()) - float(from_planes.mean())) <= 3


@pytest.mark.parametrize("scale", [0.5, 1.0, 5.0])
def test_what_lies_outside_the_picture_repeats_its_edge(scale: float) -> None:
    side = int(80 * scale)
    columns = np.where(np.arange(side) < side // 2, 60, 200).astype(np.uint8)
    picture = BgrPicture(np.broadcast_to(columns[None, :, None], (side, side, 3)).copy())
    # The face's middle on the picture's left top corner: three quarters of the crop lie outside.
    crop = aligned_crop(picture, ((TEMPLATE - 75) * scale).astype(np.float32), TEMPLATE, 150)
    assert (crop[:, :100] == 60).all()
    assert (crop[:, 125:] == 200).all()


def test_a_face_wholly_outside_the_picture_gives_a_crop_of_the_edge() -> None:
    picture = BgrPicture(np.full((20, 20, 3), 77, np.uint8))
    assert (aligned_crop(picture, TEMPLATE + np.float32(500), TEMPLATE, 150) == 77).all()


@pytest.mark.parametrize("shrink", [2, 3, 4, 6])
def test_fine_texture_is_averaged_rather_than_sampled(shrink: int) -> None:
    """A checkerboard of single pixels is a flat grey from afar; sampling would make patterns of it."""
    side = 200 * shrink
    board = (np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = BgrPicture(np.repeat(board[..., None], 3, axis=2))
    crop = aligned_crop(picture, TEMPLATE * np.float32(shrink) + np.float32(0.25), TEMPLATE, 150)
    assert np.abs(crop[5:-5, 5:-5].astype(float) - 127.5).max() < 50


@given(st.floats(0.2, 1.49), st.floats(-180, 180), st.floats(-100, 300), st.floats(-100, 300))
@settings(deadline=None, max_examples=40)
def test_a_crop_of_a_face_no_larger_than_it_is_one_warp(scale: float, degrees: float, x: float, y: float) -> None:
    bgr = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8), (0, 0), 2)
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = ((TEMPLATE - 75) @ linear.T + [x, y]).astype(np.float32)
    crop = aligned_crop(BgrPicture(np.asarray(bgr, np.uint8)), landmarks, TEMPLATE, 150)
    matrix = similarity_transform(landmarks, TEMPLATE)
    matrix[:, 2] += (matrix[:, :2].sum(axis=1) - 1) / 2
    whole = cv2.warpAffine(bgr, matrix, (150, 150), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(crop, whole)


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.5])
@pytest.mark.parametrize("stretch", [0.8, 1.0, 1.325])
def test_a_stretched_crop_shows_the_face_as_much_wider(scale: float, stretch: float) -> None:
    """A disc comes out as an ellipse, upright in the crop though the face is turned in the picture."""
    narrow = TEMPLATE / np.array([stretch, 1], np.float32)
    centre = np.array([75 / stretch, 75], np.float32)
    linear = scale * np.array([[0.8, -0.6], [0.6, 0.8]])
    landmarks = ((narrow - centre) @ linear.T + 150).astype(np.float32)
    picture = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(picture, (round((150 - 0.5) * 16), round((150 - 0.5) * 16)), round(scale * 40 * 16), WHITE, -1, shift=4)
    crop = aligned_crop(BgrPicture(picture), landmarks, TEMPLATE, 150, stretch)[..., 0] > 127
    rows, columns = np.nonzero(crop)
    for places, size in ((rows, 80), (columns, 80 * stretch)):
        assert abs(np.ptp(places) + 1 - size) < 3 / min(scale, 1)  # a pixel of the picture at either end
        assert abs(places.mean() + 0.5 - 75) < 1


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.6])
def test_a_grey_crop_is_the_crop_in_grey(astronaut: UInt8, scale: float) -> None:
    landmarks = (TEMPLATE * np.float32(scale * 0.4) + np.float32(100)).astype(np.float32)
    for picture in (BgrPicture(astronaut), Canvas(BgrPicture(astronaut)).picture()):
        grey = aligned_grey_crop(picture, landmarks, TEMPLATE, 48)
        coloured = aligned_crop(picture, landmarks, TEMPLATE, 48)
        expected = cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY).astype(int)
        assert grey.shape == (48, 48)
        # Colours that are clipped lose some brightness, which luma keeps.
        assert np.abs(grey - expected).mean() < 1.5
