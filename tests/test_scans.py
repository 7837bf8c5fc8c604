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


def test_every_second_search_is_a_spare_one_where_its_frames_may_wait_as_long_again() -> None:
    frame_bytes = 320 * 180 * 3 // 2
    roomy = ScanPolicy(every_seconds=0.2, spares=True, most_frame_bytes=12 * frame_bytes)
    planned = scans(ScanPlanner(roomy), 31)
    assert [scan.is_spare for scan in planned.values()] == [False, True, False, True, False, True, False]
    mixed = ScanPolicy(every_seconds=0.2, spares=True, coarse_min_face_pixels=28.0)
    planned = scans(ScanPlanner(mixed), 31)
    assert [scan.is_spare for scan in planned.values()] == [False, True, False, False, False, True, False]
    assert all(scan.min_face_pixels == 28.0 for scan in planned.values() if scan.is_spare)
    tight = ScanPolicy(every_seconds=0.2, spares=True, most_frame_bytes=7 * frame_bytes)
    assert not any(scan.is_spare for scan in scans(ScanPlanner(tight), 31).values())


def test_what_only_a_spare_search_was_to_look_at_counts_as_not_searched() -> None:
    """Or whoever came in before it, and then sat still, would not be found for seconds."""
    planner = ScanPlanner(ScanPolicy(every_seconds=0.2, spares=True))
    empty, taken = np.full((180, 320, 3), 90, np.uint8), np.full((180, 320, 3), 90, np.uint8)
    taken[60:120, 100:150] = 200
    assert planner.scan(make_frame(empty, 0)) == Scan()
    spare = planner.scan(make_frame(taken, 5))
    assert spare is not None
    assert spare.is_spare
    after = planner.scan(make_frame(taken, 10))
    assert after is not None
    assert not after.is_still
    assert planner.scan(make_frame(taken, 15)) == Scan(is_still=True)
