"""Pictures: parts equal the whole, colours follow their standard, and what is drawn on never was the decoder's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.canvas import BufferRing, Canvas
from streamer.errors import SourceOpenError
from streamer.photos import read_picture
from streamer.pictures import BgrPicture, I420Picture, UInt8

Double = npt.NDArray[np.float64]


def random_planes(width: int, height: int, seed: int) -> tuple[UInt8, UInt8, UInt8]:
    rng = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    y = rng.integers(16, 236, (height, width), dtype=np.uint8)
    return y, rng.integers(16, 241, half, dtype=np.uint8), rng.integers(16, 241, half, dtype=np.uint8)


def by_formula(y: UInt8, u: UInt8, v: UInt8, red_weight: float, blue_weight: float) -> Double:
    """Convert limited-range YUV as ITU-R BT.601 and BT.709 write it, (H, W, 3) float BGR in 0..255."""
    height, width = y.shape
    full = [plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width].astype(np.float64) for plane in (u, v)]
    luma, blue_difference, red_difference = (y - 16.0) / 219, (full[0] - 128) / 224, (full[1] - 128) / 224
    red = luma + (2 - 2 * red_weight) * red_difference
    blue = luma + (2 - 2 * blue_weight) * blue_difference
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    return np.asarray(np.clip(np.stack([blue, green, red], axis=2), 0, 1) * 255)


@given(st.integers(1, 33), st.integers(1, 33), st.tuples(*[st.integers(-5, 40)] * 4), st.booleans(), st.integers(0, 99))
@settings(deadline=None)
def test_a_region_is_the_same_part_of_the_whole_before_and_after_the_whole_was_converted(
    width: int, height: int, xyxy: tuple[int, int, int, int], is_bt709: bool, seed: int
) -> None:
    picture = I420Picture(*random_planes(width, height, seed), is_bt709=is_bt709)
    before = picture.bgr_region(xyxy)
    whole = picture.bgr()
    x1, y1, x2, y2 = (max(value, 0) for value in xyxy)
    expected = whole[y1:y2, x1:x2]
    if expected.size:
        # One level: away from x86, swscale converts the whole a little differently.
        assert np.abs(before.astype(int) - expected).max() <= 1
        assert np.array_equal(picture.bgr_region(xyxy), expected)
        assert np.array_equal(BgrPicture(whole.copy()).bgr_region(xyxy), expected)
    else:
        assert before.size == 0


@pytest.mark.parametrize(
    ("is_bt709", "red_weight", "blue_weight"), [(False, 0.299, 0.114), (True, 0.2126, 0.0722)], ids=["601", "709"]
)
@pytest.mark.parametrize("size", [(64, 48), (33, 17)])
def test_colours_follow_their_standard_even_the_most_saturated(
    size: tuple[int, int], is_bt709: bool, red_weight: float, blue_weight: float
) -> None:
    planes = random_planes(*size, seed=4)
    converted = I420Picture(*planes, is_bt709=is_bt709).bgr()
    # Three levels: swscale, which sets the colours that other programs show, drops fractions in three places.
    assert np.abs(converted - by_formula(*planes, red_weight, blue_weight)).max() <= 3


@pytest.mark.parametrize("is_bt709", [False, True])
def test_grey_stays_grey(is_bt709: bool) -> None:
    neutral = np.full((4, 4), 128, np.uint8)
    for level, expected in ((16, 0), (126, 128), (235, 255)):
        bgr = I420Picture(np.full((8, 8), level, np.uint8), neutral, neutral, is_bt709=is_bt709).bgr()
        assert np.abs(bgr.astype(int) - expected).max() <= 3
        assert int(bgr.max()) - int(bgr.min()) <= 1


def test_the_whole_is_converted_once() -> None:
    picture = I420Picture(*random_planes(16, 16, 1))
    assert np.shares_memory(picture.bgr(), picture.bgr())
    assert np.shares_memory(picture.bgr_region((3, 3, 9, 9)), picture.bgr())


def test_padded_rows_are_kept_as_views() -> None:
    padded = np.arange(8 * 16, dtype=np.uint8).reshape(8, 16)
    quarter = np.full((4, 5), 128, np.uint8)
    picture = I420Picture(padded[:, :10], quarter, quarter)
    assert np.shares_memory(picture.luma(), padded)
    assert picture.bgr().shape == (8, 10, 3)


def test_pictures_cannot_be_written_to() -> None:
    planes = random_planes(8, 8, 2)
    picture = I420Picture(*planes)
    for array in (picture.y, picture.u, picture.v, picture.bgr(), picture.luma(), BgrPicture(picture.bgr()).bgr()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    planes[0][0] = 0  # the owner still may


@given(st.integers(1, 21), st.integers(1, 21), st.integers(0, 99))
@settings(deadline=None)
def test_a_canvas_has_even_sides_and_repeats_the_last_line_of_odd_ones(width: int, height: int, seed: int) -> None:
    planes = random_planes(width, height, seed)
    canvas = Canvas(I420Picture(*planes, is_bt709=True))
    assert canvas.is_bt709
    assert (canvas.width, canvas.height) == (width + width % 2, height + height % 2)
    assert canvas.u.shape == canvas.v.shape == (canvas.height // 2, canvas.width // 2)
    assert np.array_equal(canvas.y, np.pad(planes[0], ((0, height % 2), (0, width % 2)), mode="edge"))
    assert np.array_equal(canvas.u, planes[1])
    assert np.array_equal(canvas.v, planes[2])


def test_drawing_on_a_canvas_leaves_the_source_alone() -> None:
    planes = random_planes(12, 10, 3)
    copies = [plane.copy() for plane in planes]
    canvas = Canvas(I420Picture(*planes))
    for drawn in (canvas.y, canvas.u, canvas.v):
        drawn[:] = 0
        assert not any(np.shares_memory(drawn, plane) for plane in planes)
    assert all(np.array_equal(plane, copy) for plane, copy in zip(planes, copies, strict=True))
    pixels = np.full((6, 6, 3), 90, np.uint8)
    Canvas(BgrPicture(pixels)).y[:] = 0
    assert (pixels == 90).all()


def test_a_canvas_shows_the_bgr_picture_that_it_was_made_of() -> None:
    # Flat 4 × 4 patches: chroma is shared by 2 × 2 pixels, so only flat parts come back as they were.
    patches = np.random.default_rng(5).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    bgr = patches.repeat(4, axis=0).repeat(4, axis=1)[:19, :27]
    drawn = Canvas(BgrPicture(bgr)).bgr()
    assert drawn.shape == (20, 28, 3)
    # A level for limited-range YUV, which has fewer than BGR, and three for dropped fractions.
    assert np.abs(drawn[:19, :27].astype(int) - bgr).max() <= 4


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_not_a_bgr_picture_is_refused(pixels: UInt8) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 BGR"):
        BgrPicture(pixels)


def test_planes_that_do_not_fit_together_are_refused() -> None:
    y, u, v = random_planes(9, 9, 6)
    with pytest.raises(ValueError, match="u must be uint8 of shape"):
        I420Picture(y, u[:-1], v)
    with pytest.raises(ValueError, match="y must be"):
        I420Picture(y[0], u, v)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(SourceOpenError, match="is no file"):
        read_picture(tmp_path / "pipe.jpg")


def test_a_canvas_to_show_as_it_is_shares_the_pictures_memory_and_may_not_be_drawn_on() -> None:
    planes = random_planes(8, 6, 0)
    canvas = Canvas.untouched(I420Picture(*planes, is_bt709=True))
    assert (canvas.width, canvas.height, canvas.is_bt709) == (8, 6, True)
    for plane, own in zip((canvas.y, canvas.u, canvas.v), planes, strict=True):
        assert np.shares_memory(plane, own)
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 1


@pytest.mark.parametrize(("width", "height"), [(7, 6), (8, 5)])
def test_an_odd_picture_is_extended_also_where_nothing_is_drawn(width: int, height: int) -> None:
    picture = I420Picture(*random_planes(width, height, 0))
    canvas, drawn = Canvas.untouched(picture), Canvas(picture)
    for plane, other in zip((canvas.y, canvas.u, canvas.v), (drawn.y, drawn.u, drawn.v), strict=True):
        np.testing.assert_array_equal(plane, other)


def test_a_picture_with_padded_rows_is_copied_as_one_without() -> None:
    y, u, v = random_planes(16, 8, 0)
    padded = [np.pad(plane, ((0, 0), (0, 5)), constant_values=7)[:, : plane.shape[1]] for plane in (y, u, v)]
    canvas = Canvas(I420Picture(*padded))
    for plane, expected in zip((canvas.y, canvas.u, canvas.v), (y, u, v), strict=True):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("plane", ["y", "u", "v"])
def test_a_rings_memory_is_used_again_only_when_nobody_holds_a_part_of_it(plane: str) -> None:
    ring, picture = BufferRing(), I420Picture(*random_planes(8, 6, 0))
    canvas = Canvas(picture, ring)
    held: UInt8 | None = getattr(canvas, plane)[1:, 1:]
    del canvas
    second = Canvas(picture, ring)
    assert held is not None
    assert not any(np.shares_memory(held, part) for part in (second.y, second.u, second.v))
    first_place = held.base.ctypes.data if held.base is not None else 0
    held = None
    third = Canvas(picture, ring)
    assert first_place in {part.base.ctypes.data for part in (third.y, third.u, third.v) if part.base is not None}


def test_a_ring_follows_a_change_of_size() -> None:
    ring = BufferRing()
    for width, height in ((8, 6), (4, 2), (8, 6)):
        planes = random_planes(width, height, width)
        canvas = Canvas(I420Picture(*planes), ring)
        np.testing.assert_array_equal(canvas.y, planes[0])


def test_planes_of_a_decoded_picture_are_its_own_and_of_bgr_those_that_a_canvas_has() -> None:
    decoded = I420Picture(*random_planes(33, 21, 1))
    y, u, v = decoded.planes((4, 2, 33, 21))
    assert np.shares_memory(y, decoded.y)
    np.testing.assert_array_equal(y, decoded.y[2:21, 4:33])
    np.testing.assert_array_equal(u, decoded.u[1:11, 2:17])
    np.testing.assert_array_equal(v, decoded.v[1:11, 2:17])
    picture = BgrPicture(np.random.default_rng(2).integers(0, 255, (22, 34, 3)).astype(np.uint8))
    canvas = Canvas(picture)
    for found, expected in zip(picture.planes((4, 2, 30, 20)), (canvas.y, canvas.u, canvas.v), strict=True):
        step = canvas.y.shape[0] // expected.shape[0]
        np.testing.assert_array_equal(found, expected[2 // step : 20 // step, 4 // step : 30 // step])


@pytest.mark.parametrize("size", [(40, 24), (41, 25), (3, 1), (1, 1)])
def test_a_shrunk_picture_averages_and_keeps_a_pixel(size: tuple[int, int]) -> None:
    width, height = size
    decoded = I420Picture(*random_planes(width, height, 3), is_bt709=True)
    half = decoded.shrunk(2)
    assert (half.width, half.height) == (max(width // 2, 1), max(height // 2, 1))
    assert half.is_bt709
    bgr = BgrPicture(decoded.bgr()).shrunk(4)
    assert (bgr.width, bgr.height) == (max(width // 4, 1), max(height // 4, 1))
    assert abs(float(bgr.bgr().mean()) - float(decoded.bgr().mean())) < 12
    if size == (40, 24):
        np.testing.assert_allclose(half.y, decoded.y.reshape(12, 2, 20, 2).mean(axis=(1, 3)), atol=0.51)
