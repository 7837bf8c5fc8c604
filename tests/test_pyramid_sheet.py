"""The pyramid in one sheet: every level whole and for itself, and nothing that could be a face passed over."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import geometry
from streamer.detectors import pyramid_sheet
from streamer.detectors.cascade import Part, Proposals
from streamer.detectors.mtcnn import MtcnnDetector
from streamer.detectors.mtcnn_yuv import OpenVinoYuvCascade
from streamer.detectors.pyramid_sheet import Sheet, Sheets, Sizes, lay_out
from streamer.detectors.yuv_parts import Planes, YuvParts
from streamer.pictures import BgrPicture, UInt8


def levels_of(width: int, height: int, scale: float = 0.6) -> Sizes:
    sizes = []
    while min(width, height) * scale >= 12:
        sizes.append((int(height * scale + 1), int(width * scale + 1)))
        scale *= 0.709
    return tuple(sizes)


def planes_of(bgr: UInt8) -> Planes:
    return YuvParts([Part(BgrPicture(bgr), (0, 0, bgr.shape[1], bgr.shape[0]))]).planes(0)


def flat(width: int = 320, height: int = 240, grey: int = 90) -> UInt8:
    return np.full((height, width, 3), grey, np.uint8)


@given(st.integers(20, 2000), st.integers(20, 1200), st.floats(0.05, 1.0))
@settings(deadline=None)
def test_levels_lie_apart_inside_the_sheet_on_whole_cells(width: int, height: int, scale: float) -> None:
    levels = levels_of(width, height, scale)
    if not levels:
        return
    layout = lay_out(levels)
    covered = np.zeros((layout.height, layout.width), np.uint8)
    for (left, top, right, bottom), (level_height, level_width) in zip(layout.boxes, levels, strict=True):
        assert (right - left, bottom - top) == (level_width, level_height)
        assert left % 2 == top % 2 == 0
        assert right <= layout.width
        assert bottom <= layout.height
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_about_a_tenth_of_the_sheet_is_empty() -> None:
    for width, height in ((1920, 1080), (1280, 720), (640, 360), (1080, 1920)):
        levels = levels_of(width, height)
        layout = lay_out(levels)
        used = sum(high * wide for high, wide in levels)
        assert used / max(bottom for *_, bottom in layout.boxes) / layout.width > 0.85


def test_a_cell_belongs_to_the_level_that_its_whole_window_lies_in() -> None:
    layout = lay_out(levels_of(200, 150))
    for row, column in np.ndindex(layout.level_of_cell.shape):
        top, left = 2 * row, 2 * column
        inside = [
            number
            for number, (x1, y1, x2, y2) in enumerate(layout.boxes)
            if x1 <= left and y1 <= top and left + 12 <= x2 and top + 12 <= y2
        ]
        assert [layout.level_of_cell[row, column]] == (inside or [-1])


def test_every_level_is_the_picture_made_smaller(astronaut: UInt8) -> None:
    levels = levels_of(512, 512)
    sheet = Sheet(lay_out(levels))
    sheet.fill(planes_of(astronaut))
    luma = planes_of(astronaut).y
    for (left, top, right, bottom), (height, width) in zip(lay_out(levels).boxes, levels, strict=True):
        found = sheet._planes[0, top:bottom, left:right].astype(int)
        expected = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA).astype(int)
        # Each is made from the one before by sampling; a level one pixel aside differs by more than 9.
        assert np.abs(found - expected).mean() < 7


def test_nothing_is_looked_at_where_there_is_no_contrast() -> None:
    sheet = Sheet(lay_out(levels_of(320, 240)))
    sheet.fill(planes_of(flat()))
    assert list(sheet.busy_pieces()) == []


def test_a_gentle_gradient_is_no_contrast_at_the_level_of_small_faces() -> None:
    levels = levels_of(640, 360)[:1]
    sheet = Sheet(lay_out(levels))
    ramp = np.repeat(np.linspace(40, 200, 640).astype(np.uint8)[None], 360, 0)
    sheet.fill(planes_of(np.asarray(cv2.merge([ramp, ramp, ramp]), np.uint8)))
    assert list(sheet.busy_pieces()) == []


@given(st.integers(0, 300), st.integers(0, 220))
@settings(deadline=None, max_examples=40)
def test_all_windows_about_a_small_thing_are_looked_at(left: int, top: int) -> None:
    picture = flat()
    picture[top : top + 20, left : left + 20] = 160
    picture[top + 6 : top + 10, left + 4 : left + 16] = 60
    layout = lay_out(levels_of(320, 240)[:1])
    sheet = Sheet(layout)
    sheet.fill(planes_of(picture))
    seen = np.zeros(layout.level_of_cell.shape, bool)
    for cells, pixels in sheet.busy_pieces():
        rows, columns = (pixels.shape[2] - 10) // 2, (pixels.shape[3] - 10) // 2
        for row, column in cells:
            seen[row : row + rows, column : column + columns] = True
    # The window that fits the thing, where it lies inside the level.
    cell = (round(top * 0.6 / 2), round(left * 0.6 / 2))
    if layout.level_of_cell[:-1, :-1][cell] == 0:
        assert seen[cell]


def test_pieces_come_in_two_shapes_whatever_has_contrast(astronaut: UInt8) -> None:
    """Each further shape costs a net milliseconds."""
    layout = lay_out(levels_of(960, 540))
    shapes = set()
    for columns in (0, 60, 200, 500, 960):
        picture = flat(960, 540)
        picture[:, :columns] = cv2.resize(astronaut, (960, 540))[:, :columns]
        sheet = Sheet(layout)
        sheet.fill(planes_of(picture))
        shapes |= {pixels.shape for _, pixels in sheet.busy_pieces()}
    assert len(shapes) == 2


def test_proposals_are_told_apart_by_level_and_counted_from_its_own_first_cell() -> None:
    layout = lay_out(levels_of(320, 240))
    sheet = Sheet(layout)
    cells = [(top // 2 + 3, left // 2 + 1) for left, top, _, _ in layout.boxes]
    outside = [(int(row), int(column)) for row, column in np.argwhere(layout.level_of_cell < 0)[:1]]
    found = Proposals(
        np.array(cells + outside, np.intp),
        np.arange(len(cells) + len(outside), dtype=np.float32),
        np.zeros((len(cells) + len(outside), 4), np.float32),
    )
    for number, own in enumerate(sheet.by_level(found)):
        rows = (layout.boxes[number][3] - layout.boxes[number][1] - 10) // 2
        if rows > 3:
            assert own.cells.tolist() == [[3, 1]]
            assert own.scores.tolist() == [number]


def test_sheets_lent_side_by_side_are_different_and_used_again_later() -> None:
    sheets, levels = Sheets(), levels_of(320, 240)
    with sheets.lent(levels) as first, sheets.lent(levels) as second:
        assert first is not second
    with sheets.lent(levels) as third:
        assert third in (first, second)


def test_only_few_sizes_of_sheets_are_kept() -> None:
    sheets = Sheets()
    for height in range(100, 200, 10):
        with sheets.lent(levels_of(320, height)):
            pass
    assert len(sheets._idle) <= 4


@pytest.mark.parametrize("contrast", [1.0, 0.4, 0.2, 0.12, 0.06])
@pytest.mark.parametrize("side", [512, 200, 110])
def test_no_face_that_the_nets_see_is_passed_over_for_want_of_contrast(
    astronaut: UInt8, contrast: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down to where they see none any more, however dim and small."""
    small = np.asarray(cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    dim = BgrPicture((90 + (small.astype(np.float32) - 90) * contrast).round().astype(np.uint8))
    detector = MtcnnDetector(OpenVinoYuvCascade(), score_threshold=0.7, proposal_threshold=0.9)
    found = detector.detect([dim])[0]
    monkeypatch.setattr(pyramid_sheet, "_LEAST_BUSY", 0)
    without = MtcnnDetector(OpenVinoYuvCascade(), score_threshold=0.7, proposal_threshold=0.9).detect([dim])[0]
    assert len(found) == len(without)
    if len(without):
        assert geometry.iou(found.xyxy, without.xyxy).max(axis=1).min() > 0.9
