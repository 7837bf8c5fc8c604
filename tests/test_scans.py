"""Which frames are searched whole, and how."""

from __future__ import annotations

import numpy as np

from streamer.scans import Scan, ScanPlanner, ScanPolicy
from tests.fakes import RED, draw, make_frame


def scans(planner: ScanPlanner, count: int, *, moving: bool = True) -> dict[int, Scan]:
    """Return the searches planned over frames at 25 fps, by frame."""
    planned = {}
    for index in range(count):
        frame = make_frame(draw([(10 + (3 * index % 200 if moving else 0), 50, RED)]), index)
        assert not planner.is_cut(frame)
        scan = planner.scan(frame)
        if scan is not None:
            planned[index] = scan
    return planned


def test_two_of_three_searches_pass_over_the_smallest_faces() -> None:
    planned = scans(ScanPlanner(ScanPolicy(every_seconds=0.2, coarse_min_face_pixels=28.0)), 21)
    assert [scan.min_face_pixels for scan in planned.values()] == [None, 28.0, 28.0, None, 28.0]
    assert list(planned) == [0, 5, 10, 15, 20]


def test_a_picture_that_does_not_change_is_searched_once_in_still_seconds() -> None:
    planned = scans(ScanPlanner(ScanPolicy(every_seconds=0.2, still_seconds=1.0)), 60, moving=False)
    assert [index for index, scan in planned.items() if not scan.is_still] == [0, 25, 50]


def test_a_face_of_the_smallest_size_is_no_still_picture() -> None:
    planner = ScanPlanner(ScanPolicy(every_seconds=0.2))
    ground = np.full((240, 320, 3), 90, np.uint8)
    assert planner.scan(make_frame(ground, 0)) == Scan()
    changed = ground.copy()
    changed[101:121, 203:223] = 130
    assert planner.scan(make_frame(changed, 5)) == Scan()


def test_every_frame_is_searched_where_that_is_asked_even_in_a_still_picture() -> None:
    planned = scans(ScanPlanner(ScanPolicy(every_seconds=0.0)), 5, moving=False)
    assert planned == {index: Scan() for index in range(5)}


def test_large_frames_are_searched_more_often_so_that_few_wait() -> None:
    frame_bytes = 320 * 180 * 3 // 2
    planned = scans(ScanPlanner(ScanPolicy(every_seconds=1.0, most_frame_bytes=4 * frame_bytes)), 13)
    assert max(np.diff(list(planned))) <= 4
