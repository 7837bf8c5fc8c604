"""Tracking metrics on cases made by hand, truths and results files read side by side, and files that are cut off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from streamer.errors import SourceOpenError, UsageError
from streamer.evaluation.face_files import FaceId, FrameFaces, ResultsFrames, read_truth
from streamer.evaluation.matching import assign, match
from streamer.evaluation.shares import Share
from streamer.evaluation.tracking import TrackingFigures, TrackingTally
from streamer.evaluation.video import evaluate_video, paired
from streamer.types import Float32

SIDE = 50

# A face: its id, where it is (left edge, px), its name.
Face = tuple[FaceId, float, str | None]


def frame(*faces: Face, index: int = 0, side: float = SIDE) -> FrameFaces:
    boxes = np.array([(x, 0, x + side, side) for _, x, _ in faces], np.float32).reshape(-1, 4)
    ids, names = tuple(own for own, _, _ in faces), tuple(name for _, _, name in faces)
    return FrameFaces(index, index / 25, boxes, ids, names)


def tally(pairs: Iterable[tuple[FrameFaces, FrameFaces]], min_face_pixels: float = 0.0) -> TrackingFigures:
    """Count (found, truth) frames."""
    counted = TrackingTally(min_face_pixels)
    for found, truth in pairs:
        counted.add(found, truth)
    return counted.figures()


# ---- matching


def test_the_assignment_with_the_largest_sum_beats_the_best_single_overlap() -> None:
    """The best overlap is that of the first box with the second face, but then two boxes would stay alone."""
    first = np.array([[10, 0, 60, 50], [22, 0, 72, 50]], np.float32)
    second = np.array([[0, 0, 50, 50], [12, 0, 62, 50]], np.float32)
    rows, columns, overlaps = match(first, second)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [0, 1])
    assert overlaps == pytest.approx([40 / 60, 40 / 60])


@settings(deadline=None)  # the first call of SciPy takes long
@given(arrays(np.float64, st.tuples(st.integers(0, 6), st.integers(0, 6)), elements=st.integers(0, 4)))
def test_the_assignment_is_scipys_best(gains: npt.NDArray[np.float64]) -> None:
    rows, columns = assign(gains)
    best = gains[linear_sum_assignment(gains, maximize=True)].sum()
    assert gains[rows, columns].sum() == pytest.approx(best)
    assert (gains[rows, columns] > 0).all()
    assert len(set(columns.tolist())) == len(rows)
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_a_pair_that_is_kept_comes_before_better_overlaps() -> None:
    boxes: Float32 = np.array([[0, 0, 50, 50], [10, 0, 60, 50]], np.float32)
    crossed = np.array([[False, True], [True, False]])
    assert match(boxes, boxes, is_kept=crossed)[1].tolist() == [1, 0]
    far = boxes + np.array([100, 0, 100, 0], np.float32)
    assert match(boxes, far, is_kept=crossed)[1].tolist() == []


# ---- metrics by hand


def test_missed_and_false_faces() -> None:
    figures = tally(
        [
            (frame((1, 0, None)), frame(("a", 0, None), ("b", 100, None))),
            (frame((1, 4, None), (2, 300, None)), frame(("a", 0, None))),
        ]
    )
    assert figures.recall == Share(2, 3)
    assert figures.precision == Share(2, 3)
    assert figures.id_switches == 0
    assert figures.identity == Share(4, 6)


def test_an_overlap_of_less_than_half_is_no_match() -> None:
    assert tally([(frame((1, 17, None)), frame(("a", 0, None)))]).recall == Share(0, 1)  # 33 of 67 columns
    assert tally([(frame((1, 16, None)), frame(("a", 0, None)))]).recall == Share(1, 1)  # 34 of 66


def test_a_new_track_on_a_face_is_a_switch_after_a_gap_too() -> None:
    truth = frame(("a", 0, None))
    figures = tally([(frame((1, 0, None)), truth), (frame(), truth), (frame((2, 0, None)), truth)])
    assert figures.id_switches == 1
    assert figures.identity == Share(2, 5)  # one frame of the three for each of the tracks


def test_two_tracks_that_swap_are_two_switches() -> None:
    truth = frame(("a", 0, None), ("b", 100, None))
    straight, crossed = frame((1, 0, None), (2, 100, None)), frame((2, 0, None), (1, 100, None))
    figures = tally([(straight, truth)] * 3 + [(crossed, truth)])
    assert figures.id_switches == 2
    assert figures.identity == Share(2 * 6, 16)
    assert figures.recall.value == figures.precision.value == 1


def test_a_pair_of_the_frame_before_stays_while_it_overlaps() -> None:
    """Another track's box comes to lie better on the face; CLEAR MOT keeps the pair, and counts no switch."""
    truth = frame(("a", 0, None))
    figures = tally([(frame((1, 0, None)), truth), (frame((1, 12, None), (2, 0, None)), truth)])
    assert figures.id_switches == 0
    assert figures.precision == Share(2, 3)


def test_identities_are_assigned_once_for_all_the_video() -> None:
    """Track 1 covers a for two frames, then b for three; track 2 covers b for two.

    Track 1 on b covers most, 3, but then nobody is on a; track 1 on a and track 2 on b cover 4 of 7.
    """
    a, b = ("a", 0.0, None), ("b", 100.0, None)
    pairs = [
        *[(frame((1, 0, None), (2, 100, None)), frame(a, b))] * 2,
        *[(frame((1, 100, None)), frame(b))] * 3,
    ]
    figures = tally(pairs)
    assert figures.identity == Share(2 * 4, 7 + 7)
    assert figures.id_switches == 1


def test_names_are_judged_where_truth_has_one_and_not_assessed_is_not_given() -> None:
    truth = frame(("a", 0, "Ana"), ("b", 100, "Ben"), ("c", 200, None), ("d", 300, "Dora"))
    found = frame((1, 0, "Ana"), (2, 100, None), (3, 200, None))
    figures = tally([(found, truth)])
    assert figures.names == Share(1, 2)  # Dora was not found, which recall tells
    assert (figures.false_names, figures.false_name_tracks) == (0, 0)


def test_false_names_are_anothers_a_strangers_and_nobodys() -> None:
    truth = frame(("a", 0, "Ana"), ("b", 100, None))
    found = frame((1, 0, "Ben"), (2, 100, "Ana"), (3, 300, "Cleo"))
    figures = tally([(found, truth), (found, truth)])
    assert (figures.false_names, figures.false_name_tracks) == (6, 3)
    assert figures.names == Share(0, 2)


def test_faces_too_small_to_be_judged_count_nowhere() -> None:
    """Neither a small face of the truth, nor what is found of it, nor a small box on nobody."""
    large, small = (("a", 0.0, "Ana"),), (("b", 200.0, None),)

    def mixed(big: Sequence[Face], little: Sequence[Face]) -> FrameFaces:
        first, second = frame(*big), frame(*little, side=20)
        boxes = np.concatenate([first.xyxy, second.xyxy])
        return FrameFaces(0, 0.0, boxes, first.ids + second.ids, first.names + second.names)

    truth = mixed(large, small)
    found = mixed(((1, 0, "Ana"),), ((2, 200, "Ben"), (3, 300, "Ben")))
    figures = tally([(found, truth)], min_face_pixels=30)
    assert (figures.recall, figures.precision, figures.identity) == (Share(1, 1), Share(1, 1), Share(2, 2))
    assert figures.false_names == 0
    whole = tally([(found, truth)])
    assert (whole.recall, whole.precision, whole.false_names) == (Share(2, 2), Share(2, 3), 2)


def test_a_large_face_may_be_found_by_a_box_just_below_the_limit() -> None:
    figures = tally([(frame((1, 0, None), side=48), frame(("a", 0, None), side=52))], min_face_pixels=50)
    assert (figures.recall, figures.precision) == (Share(1, 1), Share(1, 1))


def test_nothing_at_all_says_nothing() -> None:
    figures = tally([(frame(), frame())])
    assert figures.recall.value is figures.precision.value is figures.identity.value is None


# ---- properties

videos = st.lists(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([None, "Ana", "Ben"])), unique_by=lambda face: face[0], max_size=5
    ),
    min_size=1,
    max_size=8,
).map(lambda frames: [frame(*((own, 100.0 * own, name) for own, name in faces)) for faces in frames])


@given(videos)
def test_a_video_agrees_wholly_with_itself(frames: list[FrameFaces]) -> None:
    figures = tally(zip(frames, frames, strict=True))
    for share in (figures.recall, figures.precision, figures.identity, figures.names):
        assert share.value in (None, 1.0)
    assert (figures.id_switches, figures.false_names) == (0, 0)


@given(videos, st.integers(0, 8))
def test_renaming_all_ids_from_a_frame_on_costs_switches_and_identity(frames: list[FrameFaces], start: int) -> None:
    """Each face seen on both sides of the change is one switch; recall and precision stay whole."""

    def other(one: FrameFaces) -> FrameFaces:
        return FrameFaces(one.index, one.pts_seconds, one.xyxy, tuple(int(own) + 10 for own in one.ids), one.names)

    found = [*frames[:start], *map(other, frames[start:])]
    figures = tally(zip(found, frames, strict=True))
    before, after = ({own for one in part for own in one.ids} for part in (frames[:start], frames[start:]))
    assert figures.id_switches == len(before & after)
    assert figures.recall.value in (None, 1.0)
    assert (figures.identity.value == 1) == (figures.identity.total > 0 and not before & after)


@given(videos, videos)
def test_every_figure_is_in_range_and_identity_is_symmetric(first: list[FrameFaces], second: list[FrameFaces]) -> None:
    forth, back = tally(zip(first, second, strict=False)), tally(zip(second, first, strict=False))
    assert forth.identity == back.identity
    assert forth.recall == back.precision
    for share in (forth.recall, forth.precision, forth.identity, forth.names):
        assert 0 <= share.hits <= share.total


# ---- files


def results_text(frames: Iterable[FrameFaces], *, has_summary: bool = True) -> str:
    """Return a results file as the product writes it."""
    lines: list[dict[str, object]] = [
        {
            "type": "header",
            "schema_version": 1,
            "source": "x.mp4",
            "width": 640,
            "height": 360,
            "declared_fps": 25.0,
            "models": {},
            "config": {},
        }
    ]
    for one in frames:
        faces = [
            {
                "track_id": own,
                "box": box,
                "landmarks": None,
                "score": 0.9,
                "detected": True,
                "identity": None if name is None else {"name": name, "similarity": 0.9, "probability": 0.9},
                "emotion": None,
            }
            for own, box, name in zip(one.ids, one.xyxy.tolist(), one.names, strict=True)
        ]
        lines.append(
            {"type": "frame", "index": one.index, "pts_seconds": one.pts_seconds, "scanned": True, "faces": faces}
        )
    if has_summary:
        lines.append({"type": "summary", "frames": 1, "dropped": 0, "seconds": 1.0, "fps": 25.0})
    return "".join(json.dumps(line) + "\n" for line in lines)


def truth_text(frames: Iterable[FrameFaces], place: str = "index") -> str:
    lines = []
    for one in frames:
        faces = [
            {"id": own, "name": name, "box": box}
            for own, box, name in zip(one.ids, one.xyxy.tolist(), one.names, strict=True)
        ]
        lines.append(json.dumps({place: getattr(one, place), "faces": faces}))
    return "\n".join(lines)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


WALK = [frame((1, 4.0 * step, "Ana"), index=step) for step in range(10)]
TRUE_WALK = [frame(("a", 4.0 * step, "Ana"), index=step) for step in range(10)]


@pytest.mark.parametrize("place", ["index", "pts_seconds"])
def test_a_truth_names_its_frames_by_index_or_time(tmp_path: Path, place: str) -> None:
    results = write(tmp_path, "r.jsonl", results_text(WALK))
    figures = evaluate_video(results, write(tmp_path, "t.jsonl", truth_text(TRUE_WALK[::3], place)))
    assert (figures.frames, figures.absent, figures.is_cut, figures.beyond) == (4, 0, False, 0)
    assert figures.tracking.recall == figures.tracking.precision == figures.tracking.names == Share(4, 4)


def test_times_that_differ_by_less_than_half_a_frame_are_of_one_frame(tmp_path: Path) -> None:
    shifted = [FrameFaces(None, step / 25 + 0.015, one.xyxy, one.ids, one.names) for step, one in enumerate(TRUE_WALK)]
    results = write(tmp_path, "r.jsonl", results_text(WALK))
    figures = evaluate_video(results, write(tmp_path, "t.jsonl", truth_text(shifted, "pts_seconds")))
    assert (figures.frames, figures.absent) == (10, 0)


def test_a_results_file_is_a_truth_too(tmp_path: Path) -> None:
    results = write(tmp_path, "r.jsonl", results_text(WALK))
    figures = evaluate_video(results, write(tmp_path, "other.jsonl", results_text(WALK)))
    assert figures.tracking.identity == Share(20, 20)
    assert figures.tracking.names == Share(10, 10)


def test_frames_that_whole_results_lack_count_as_missed(tmp_path: Path) -> None:
    results = write(tmp_path, "r.jsonl", results_text(WALK[:3] + WALK[5:8]))
    figures = evaluate_video(results, write(tmp_path, "t.jsonl", truth_text(TRUE_WALK)))
    assert (figures.frames, figures.absent, figures.beyond, figures.is_cut) == (10, 4, 0, False)
    assert figures.tracking.recall == Share(6, 10)
    assert figures.tracking.precision == Share(6, 6)


@pytest.mark.parametrize("cut", [1, 40])
def test_results_that_were_cut_off_are_used_up_to_the_last_whole_line(tmp_path: Path, cut: int) -> None:
    text = results_text(WALK[:6], has_summary=False)
    results = write(tmp_path, "r.jsonl", text[: len(text) - cut])
    whole_lines = text[: len(text) - cut].count("\n") - 1 + (cut == 1)  # without the header; a line may lack its end
    figures = evaluate_video(results, write(tmp_path, "t.jsonl", truth_text(TRUE_WALK)))
    assert figures.is_cut
    assert (figures.frames, figures.beyond, figures.absent) == (whole_lines, 10 - whole_lines, 0)
    assert figures.tracking.recall == Share(whole_lines, whole_lines)


def test_that_results_were_cut_off_is_told_where_the_truth_ends_before(tmp_path: Path) -> None:
    results = write(tmp_path, "r.jsonl", results_text(WALK, has_summary=False))
    figures = evaluate_video(results, write(tmp_path, "t.jsonl", truth_text(TRUE_WALK[:2])))
    assert (figures.is_cut, figures.frames, figures.beyond) == (True, 2, 0)


def test_files_of_different_videos_are_refused(tmp_path: Path) -> None:
    results = write(tmp_path, "r.jsonl", results_text(WALK[:2]))
    with pytest.raises(UsageError, match="have no frame in common"):
        evaluate_video(results, write(tmp_path, "t.jsonl", truth_text(TRUE_WALK[5:])))


def test_files_are_read_only_as_far_as_they_are_asked_for(tmp_path: Path) -> None:
    """A damaged line is met when the reader comes to it, not before."""
    truth = write(tmp_path, "t.jsonl", truth_text(TRUE_WALK[:2]) + "\nnonsense\n")
    frames = read_truth(truth)
    assert [next(frames).index, next(frames).index] == [0, 1]
    with pytest.raises(SourceOpenError, match="line 3: it is not JSON"):
        next(frames)


FACE = '{"id": 1, "name": null, "box": [0, 0, 9, 9]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"faces": []}', "line 1: neither 'index' nor 'pts_seconds'"),
        ('{"index": -1, "faces": []}', "line 1: 'index' is not a whole number"),
        ('{"index": 0}', "line 1: 'faces' is missing"),
        ('{"index": 1, "faces": []}\n\n{"index": 1, "faces": []}', "line 3: 'index' does not rise"),
        ('{"pts_seconds": 1, "faces": []}\n{"pts_seconds": 0.5, "faces": []}', "line 2: 'pts_seconds' does not rise"),
        ('{"index": 1, "faces": []}\n{"pts_seconds": 2, "faces": []}', "line 2: some lines have 'index'"),
        (f'{{"index": 0, "faces": [{FACE}, {FACE}]}}', "line 1: an id is twice"),
        ('{"index": 0, "faces": [{"name": "Ana", "box": [0, 0, 9, 9]}]}', "line 1: 'id' is missing"),
        ('{"index": 0, "faces": [{"id": 1, "box": [0, 0, 9]}]}', "line 1: 'box' is not"),
        ('{"index": 0, "faces": [{"id": 1, "box": [9, 0, 0, 9]}]}', "line 1: 'box' is not"),
        ('{"index": 0, "faces": [{"id": 1, "box": [0, 0, 9, NaN]}]}', "line 1: it is not JSON"),
        ('{"index": 0, "faces": [{"id": 1, "name": 7, "box": [0, 0, 9, 9]}]}', "line 1: 'name' is not a text"),
        ('{"type": "header", "schema_version": 2}', "schema version is 2"),
    ],
)
def test_a_truth_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceOpenError, match=message):
        list(read_truth(write(tmp_path, "t.jsonl", text)))


def test_results_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="not a results file"):
        ResultsFrames(write(tmp_path, "r.jsonl", truth_text(TRUE_WALK)))
    with pytest.raises(SourceOpenError, match="does not exist"):
        ResultsFrames(tmp_path / "absent.jsonl")
    with pytest.raises(SourceOpenError, match="cannot be read"):
        list(read_truth(tmp_path / "absent.jsonl"))


@given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12)))
def test_each_frame_of_the_truth_meets_its_own(found: set[int], true: set[int]) -> None:
    pairs = list(
        paired(iter([frame(index=one) for one in sorted(found)]), [frame(index=one) for one in sorted(true)], 0.01)
    )
    assert [pair.true.index for pair in pairs] == sorted(true)
    for pair in pairs:
        assert pair.true.index is not None
        assert (pair.found is not None) == (pair.true.index in found)
        assert pair.found is None or pair.found.index == pair.true.index
        assert pair.is_behind_all == (pair.found is None and pair.true.index > max(found, default=-1))
