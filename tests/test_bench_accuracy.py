"""The benchmark's arithmetic on cases made by hand: what was missed, what was false, who was taken for whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.bench.accuracy import agreement, chains, id_switches, names_given
from streamer.bench.records import Boxes, Found, read_boxes, read_results, write_boxes
from streamer.bench.truth import compare
from streamer.errors import UsageError
from streamer.evaluation.matching import count_changes, match
from streamer.evaluation.shares import Share
from streamer.sources.scene import TrueFace
from streamer.types import Float32


def boxes(*rows: tuple[float, float, float]) -> Float32:
    """Return squares of (left, top, side)."""
    return np.array([(x, y, x + side, y + side) for x, y, side in rows], np.float32).reshape(-1, 4)


def found(
    xyxy: Float32, *ids: int, names: tuple[str | None, ...] | None = None, seen: list[bool] | None = None
) -> Found:
    is_detected = np.array(seen if seen is not None else [True] * len(xyxy), bool)
    return Found(xyxy, np.array(ids or range(1, len(xyxy) + 1), np.intp), is_detected, names or (None,) * len(xyxy))


def test_a_missed_face_lowers_recall_and_a_false_one_precision() -> None:
    reference = [boxes((0, 0, 50), (100, 0, 50)), boxes((0, 0, 50))]
    ours = [boxes((2, 0, 50)), boxes((0, 0, 50), (300, 300, 50))]
    one = agreement(ours, reference)
    assert one.all_sizes.recall == Share(2, 3)
    assert one.all_sizes.precision == Share(2, 3)
    assert one.large == one.all_sizes
    # 48 of 52 columns are common to the first pair; the second is exact.
    assert one.median_iou == pytest.approx((48 / 52 + 1) / 2)


def test_a_face_of_39_px_counts_among_all_but_not_among_the_large() -> None:
    reference = [boxes((0, 0, 39), (100, 0, 40))]
    one = agreement([boxes((100, 0, 40))], reference)
    assert one.all_sizes.recall == Share(1, 2)
    assert one.large.recall == Share(1, 1)


def test_the_shorter_side_is_a_face_s_size() -> None:
    wide = np.array([[0, 0, 100, 39]], np.float32)
    assert agreement([wide], [wide]).large.recall == Share(0, 0)


def test_a_large_face_may_be_matched_by_a_box_just_below_the_limit() -> None:
    one = agreement([boxes((0, 0, 38))], [boxes((0, 0, 41))])
    assert one.large.recall == Share(1, 1)
    assert one.large.precision == Share(0, 0)


def test_two_boxes_on_one_face_are_one_hit_and_one_false_face() -> None:
    one = agreement([boxes((0, 0, 50), (3, 0, 50))], [boxes((0, 0, 50))])
    assert one.all_sizes.recall == Share(1, 1)
    assert one.all_sizes.precision == Share(1, 2)


def test_of_two_boxes_on_a_face_the_better_one_is_its_match() -> None:
    rows, columns, overlap = match(boxes((4, 0, 50), (0, 0, 50)), boxes((0, 0, 50)))
    assert (rows.tolist(), columns.tolist(), overlap.tolist()) == ([1], [0], [1.0])


def test_an_overlap_of_less_than_half_is_no_match() -> None:
    assert agreement([boxes((25, 0, 50))], [boxes((0, 0, 50))]).all_sizes.recall == Share(0, 1)


def test_frames_without_faces_say_nothing() -> None:
    one = agreement([boxes()], [boxes()])
    assert one.all_sizes.recall.value is None
    assert one.median_iou is None


@given(st.lists(st.tuples(*[st.floats(0, 200)] * 2, st.floats(1, 80)), max_size=6))
def test_boxes_agree_wholly_with_themselves_in_any_order(rows: list[tuple[float, float, float]]) -> None:
    own = boxes(*rows)
    one = agreement([own[::-1]], [own])
    assert one.all_sizes.recall.hits == one.all_sizes.precision.hits == len(rows)


def moving(frames: int, *, hidden: range = range(0)) -> list[Float32]:
    return [boxes() if frame in hidden else boxes((4 * frame, 0, 60)) for frame in range(frames)]


def test_a_face_is_one_chain_while_it_moves_and_over_a_short_gap() -> None:
    assert [len(chain) for chain in chains(moving(20, hidden=range(10, 13)))] == [17]


def test_a_long_gap_or_a_jump_ends_a_chain() -> None:
    assert [len(chain) for chain in chains(moving(30, hidden=range(10, 20)))] == [10, 10]
    assert len(chains([boxes((0, 0, 50)), boxes((200, 0, 50))])) == 2


def test_a_change_of_the_track_on_a_face_is_a_switch_and_a_gap_is_none() -> None:
    reference = moving(6)
    same = [found(box, 7) for box in reference]
    assert id_switches(same, reference) == 0
    changed = [found(box, 7 if frame < 3 else 8) for frame, box in enumerate(reference)]
    assert id_switches(changed, reference) == 1
    lost = [found(boxes()) if frame == 3 else one for frame, one in enumerate(same)]
    assert id_switches(lost, reference) == 0


def test_two_faces_that_swap_tracks_are_two_switches() -> None:
    reference = [boxes((0, 0, 50), (100, 0, 50))] * 4
    ours = [found(reference[0], 1, 2), found(reference[0], 1, 2), found(reference[0], 2, 1), found(reference[0], 2, 1)]
    assert id_switches(ours, reference) == 2
    assert count_changes([1, 1, 2, 1]) == 2


def test_names_are_counted_over_all_frames() -> None:
    two = boxes((0, 0, 50), (100, 0, 50))
    assert names_given([found(two, names=("Ana", None)), found(two, names=("Ana", "Ben"))]) == {"Ana": 2, "Ben": 1}


def face(actor: int, name: str | None, left: float, *, visible: float = 1.0, side: float = 50) -> TrueFace:
    return TrueFace(actor, name, boxes((left, 0, side))[0], np.zeros((5, 2), np.float32), visible)


def test_the_truth_about_a_scene_gives_recall_names_and_switches() -> None:
    truth = [(face(1, "Ana", 0), face(2, "Ben", 100), face(3, "Cleo", 200))] * 2
    two = boxes((0, 0, 50), (100, 0, 50))
    ours = [found(two, 1, 2, names=(None, "Ana")), found(two, 1, 3, names=("Ana", None))]
    scores = compare(ours, truth, {"Ana"})
    assert scores.recall == Share(4, 6)
    assert scores.precision == Share(4, 4)
    assert scores.names == Share(1, 2)
    assert scores.false_names == 1
    assert scores.id_switches == 1


def test_a_name_on_nobody_is_false_and_so_is_the_box() -> None:
    scores = compare([found(boxes((500, 0, 50)), names=("Ana",))], [(face(1, "Ana", 0),)], {"Ana"})
    assert (scores.precision, scores.false_names) == (Share(0, 1), 1)


@pytest.mark.parametrize("hidden", [face(1, "Ana", 0, visible=0.5), face(1, "Ana", 0, side=19)])
def test_a_face_that_is_hidden_or_tiny_is_nobody_s_to_find_and_no_fault_if_found(hidden: TrueFace) -> None:
    assert compare([found(boxes())], [(hidden,)], ()).recall == Share(0, 0)
    assert compare([found(hidden.xyxy[None])], [(hidden,)], ()).precision == Share(1, 1)


def test_boxes_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_boxes(path, [Boxes(boxes((1, 2, 3)), np.array([0.95], np.float32)), Boxes(boxes(), np.zeros(0, np.float32))])
    one, none = read_boxes(path)
    assert one.xyxy.tolist() == [[1, 2, 4, 5]]
    assert len(one.above(0.9)) == 1
    assert len(one.above(0.96)) == len(none.xyxy) == 0


@pytest.mark.parametrize("text", ["", "[]", '{"frames": [{"faces": [{"score": 1}]}]}', '{"frames": 3}'])
def test_a_file_that_holds_no_boxes_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clip.reference.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"clip\.reference\.json does not hold reference boxes"):
        read_boxes(path)


def test_faces_come_from_the_frame_lines_of_a_results_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    face = '{"track_id":3,"box":[0,0,9,9],"detected":%s,"identity":%s}'
    faces = ",".join([face % ("true", '{"name":"Ana"}'), face % ("false", "null")])
    path.write_text(f'{{"type":"header"}}\n{{"type":"frame","faces":[{faces}]}}\n{{"type":"frame","faces":[]}}\n')
    first, second = read_results(path)
    assert first.names == ("Ana", None)
    assert first.detected.names == ("Ana",)
    assert first.detected.xyxy.shape == (1, 4)
    assert second.xyxy.shape == (0, 4)
