"""Pixels for the thrifty cascade: crops of the planes, and a first layer that needs no conversion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamer import geometry
from streamer.canvas import Canvas
from streamer.detectors.cascade import Part
from streamer.detectors.mtcnn import MtcnnDetector
from streamer.detectors.mtcnn_yuv import OpenVinoYuvCascade, _over_yuv
from streamer.detectors.yuv_parts import YuvParts
from streamer.pictures import BgrPicture, I420Picture, Picture, UInt8


def both_kinds(bgr: UInt8) -> list[Picture]:
    return [BgrPicture(bgr), Canvas(BgrPicture(bgr)).picture()]


@pytest.mark.parametrize("window", [(0, 0, 24, 24), (101, 57, 199, 155), (30, 31, 400, 401), (7, 9, 20, 22)])
@pytest.mark.parametrize("side", [24, 48])
def test_a_crop_is_the_window_resized_in_both_kinds_of_picture(
    astronaut: UInt8, window: tuple[int, int, int, int], side: int
) -> None:
    left, top, right, bottom = window
    for picture in both_kinds(astronaut):
        y = Canvas(picture).y[top:bottom, left:right]
        parts = YuvParts([Part(picture, (0, 0, 512, 512))])
        crop = next(parts.crops(np.array([window]), np.zeros(1, np.intp), side, 8))[0]
        expected = cv2.resize(
            y, (side, side), interpolation=cv2.INTER_AREA if right - left > side else cv2.INTER_LINEAR
        )
        # Up to a factor of two two pixels are sampled instead of all averaged.
        assert np.abs(crop[0].astype(int) - expected).mean() < 6


@pytest.mark.parametrize("origin", [(0, 0), (1, 0), (0, 1), (33, 57)])
def test_a_part_s_windows_count_from_its_own_corner_odd_or_even(astronaut: UInt8, origin: tuple[int, int]) -> None:
    left, top = origin
    for picture in both_kinds(astronaut):
        whole = YuvParts([Part(picture, (0, 0, 512, 512))])
        part = YuvParts([Part(picture, (left, top, 480, 490))])
        assert part.sizes.tolist() == [[480 - left, 490 - top]]
        window, owners = np.array([[40, 50, 140, 160]]), np.zeros(1, np.intp)
        here = next(part.crops(window, owners, 48, 8))[0].copy()
        there = next(whole.crops(window + np.array([left, top, left, top]), owners, 48, 8))[0]
        np.testing.assert_array_equal(here[0], there[0])
        # Chroma cut from BGR begins with other pairs of pixels.
        assert np.abs(here.astype(int) - there).mean() < 3


def test_crops_come_in_chunks_in_their_order(astronaut: UInt8) -> None:
    parts = YuvParts([Part(BgrPicture(astronaut), (0, 0, 512, 512)), Part(BgrPicture(astronaut), (100, 0, 300, 200))])
    windows = np.array([[0, 0, 50, 50], [100, 100, 180, 180], [0, 0, 80, 80], [20, 30, 90, 95], [300, 300, 400, 400]])
    owners = np.array([0, 1, 1, 0, 0])
    chunks = [chunk.copy() for chunk in parts.crops(windows, owners, 24, 2)]
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    for crop, window, owner in zip(np.concatenate(chunks), windows, owners, strict=True):
        alone = next(parts.crops(window[None], np.array([owner]), 24, 1))[0]
        np.testing.assert_array_equal(crop, alone)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (31, 17)])
def test_a_picture_with_odd_sides_is_taken_whole(size: tuple[int, int]) -> None:
    height, width = size
    bgr = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    half = ((height + 1) // 2, (width + 1) // 2)
    yuv = I420Picture(bgr[..., 0], np.zeros(half, np.uint8), np.zeros(half, np.uint8))
    for picture in (BgrPicture(bgr), yuv):
        planes = YuvParts([Part(picture, (0, 0, width, height))]).planes(0)
        assert planes.y.shape == size
        assert planes.u.shape == planes.v.shape == half


def test_the_first_layer_sums_planes_as_it_would_sum_the_converted_pixels() -> None:
    """Where no colour is clipped; the conversion's own rounding is half a level."""
    random = np.random.default_rng(4)
    y = random.integers(70, 180, (10, 10), dtype=np.uint8)
    u, v = random.integers(118, 139, (2, 5, 5), dtype=np.uint8)
    bgr = I420Picture(y, u, v).bgr().astype(np.float64)
    weight = random.normal(size=(6, 3, 3, 3)).astype(np.float32)
    bias = random.normal(size=6).astype(np.float32)
    over_yuv, moved = _over_yuv(weight, bias)
    planes = np.stack([y, *(np.repeat(np.repeat(plane, 2, 0), 2, 1) for plane in (u, v))]).astype(np.float64)
    normalised = ((bgr - 127.5) / 128).transpose(2, 0, 1)
    for row, column in ((0, 0), (3, 5), (7, 7)):
        window = (slice(None), slice(row, row + 3), slice(column, column + 3))
        expected = np.einsum("kchw,chw->k", weight, normalised[window]) + bias
        found = np.einsum("kchw,chw->k", over_yuv, planes[window]) + moved
        np.testing.assert_allclose(found, expected, atol=1.5 / 128 * np.abs(weight).sum(axis=(1, 2, 3)).max())


def in_bt709(bgr: UInt8) -> I420Picture:
    """Convert by the standard's formula."""
    blue, green, red = (bgr[..., channel].astype(np.float64) / 255 for channel in range(3))
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    u, v = (blue - luma) / 1.8556, (red - luma) / 1.5748
    halved = (cv2.resize(plane * 224 + 128, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in (u, v))
    planes = (plane.round().clip(0, 255).astype(np.uint8) for plane in (luma * 219 + 16, *halved))
    return I420Picture(*planes, is_bt709=True)


def test_faces_are_found_in_the_same_places_whatever_the_colours_standard(astronaut: UInt8, hopper: UInt8) -> None:
    detector = MtcnnDetector(OpenVinoYuvCascade(), score_threshold=0.9, proposal_threshold=0.9)
    for portrait in (astronaut, hopper):
        even = portrait[: portrait.shape[0] // 2 * 2, : portrait.shape[1] // 2 * 2]
        sd, hd = detector.detect([Canvas(BgrPicture(even)).picture(), in_bt709(even)])
        assert len(sd) == len(hd) == 1
        assert geometry.iou(sd.xyxy, hd.xyxy)[0, 0] > 0.93
        assert abs(float(sd.scores[0] - hd.scores[0])) < 0.02
