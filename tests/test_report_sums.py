"""What a results file comes to: time by emotion, people over several tracks, curves in bounded memory, moments."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.recorded import RecordedEmotion, RecordedFace, RecordedFrame, RecordedHeader
from streamer.recordings import read_lines
from streamer.reports.charts import HEIGHT, WIDTH, Axis, bars, curve_paths, label_strip
from streamer.reports.curves import MAX_BINS, Curve
from streamer.reports.gathering import Gatherer
from streamer.reports.tallies import ABSTAINED, Intervals, union
from streamer.reports.values import Gathered, Person
from streamer.times import FrameSteps, clock
from streamer.types import EMOTIONS, Annotation, FrameResult
from tests.recorded import frame_result, objects_in, write_results
from tests.report_lines import Object, broken_frames, crowd_frames, event, face, frame, mood, write_lines
from tests.test_results_sink import emotion, result, track


def gathered(path: Path) -> Gathered:
    lines = read_lines(path)
    header = next(lines).record
    gatherer = Gatherer(header)  # type: ignore[arg-type]  # the first line is one
    for line in lines:
        gatherer.add(line.record)
    return gatherer.finish()


def of(folder: Path, *lines: Object, is_whole: bool = True) -> Gathered:
    return gathered(write_lines(folder / "made.jsonl", lines, is_whole=is_whole))


def person(found: Gathered, name: str | None) -> Person:
    (one,) = [one for one in found.people if one.name == name]
    return one


class TestTime:
    def test_shares_are_those_of_the_track_lines(self, tmp_path: Path) -> None:
        """The sink and the report add up the same frames, at an uneven rate and with nothing said now and then."""
        draw = random.Random(4)
        times = list(itertools.accumulate(draw.choice([0.01, 0.04, 0.5, 1.3]) for _ in range(300)))
        labels: list[str | None] = [*EMOTIONS, None, None]

        def annotation(track_id: int, at: int) -> Annotation:
            label = draw.choice(labels)
            return Annotation(track(track_id, times[at]), None, None if draw.random() < 0.2 else emotion(label))

        def shown(at: int) -> FrameResult:
            faces = [annotation(track_id, at) for track_id in (1, 2, 3) if draw.random() < 0.7]
            return result(at, times[at], *faces)

        path = write_results(tmp_path / "out.jsonl", map(shown, range(300)), embedder=None)
        found = gathered(path)
        lines = objects_in(path, "track")
        assert [one.track_id for one in found.tracks] == [line["track_id"] for line in lines] == [1, 2, 3]
        for ours, line in zip(found.tracks, lines, strict=True):
            shares = ours.tally.shares()
            assert shares is not None
            assert sum(shares) == pytest.approx(1)
            told = [line["emotions"].get(name, 0.0) for name in EMOTIONS]
            assert shares[:ABSTAINED] == pytest.approx(told, abs=1e-4)  # they are rounded to four digits
            assert 1 - sum(told) == pytest.approx(shares[ABSTAINED], abs=1e-3)
            assert ours.tally.frames == line["frames"]

    def test_a_frame_stands_until_the_next_and_the_last_as_long_as_the_one_before(self, tmp_path: Path) -> None:
        happy, angry = face(1, "Ana", mood("happiness")), face(1, "Ana", mood("anger"))
        found = of(
            tmp_path, frame(0, happy, seconds=1.0), frame(1, angry, seconds=2.0), frame(5, seconds=5.0), frame(6)
        )
        ana = person(found, "Ana")
        assert ana.tally.seconds == 4
        assert ana.tally.label_seconds[EMOTIONS.index("anger")] == 3
        assert list(ana.tally.intervals) == [(1.0, 5.0)]

    def test_time_nobody_looked_at_is_no_part_of_shares_and_nothing_said_is(self, tmp_path: Path) -> None:
        found = of(tmp_path, *broken_frames())
        shares = person(found, "Ana").tally.shares()
        assert shares is not None
        assert person(found, "Ana").tally.seconds == pytest.approx(330 / 25)
        assert person(found, "Ana").tally.assessed_seconds == pytest.approx(280 / 25)
        assert shares[ABSTAINED] == pytest.approx(60 / 280)
        assert found.seconds_with_anybody / found.seconds == pytest.approx(330 / 500)

    def test_a_person_s_tracks_are_summed_by_time_and_what_overlaps_counts_once(self, tmp_path: Path) -> None:
        lines = [frame(at, face(1, "Ana", mood("fear"))) for at in range(10)]
        lines += [frame(10, face(1, "Ana"), face(2, "Ana"))]
        lines += [frame(at, face(2, "Ana", mood("sadness"))) for at in range(11, 41)]
        ana = person(of(tmp_path, *lines), "Ana")
        assert ana.track_ids == (1, 2)
        assert ana.tally.seconds == pytest.approx(41 / 25)
        shares = ana.tally.shares()
        assert shares is not None
        assert shares[EMOTIONS.index("sadness")] == pytest.approx(0.75)

    def test_one_frame_is_as_long_as_the_declared_rate_says(self, tmp_path: Path) -> None:
        found = of(tmp_path, frame(0, face(1, "Ana", mood("fear"))))
        assert (found.seconds, person(found, "Ana").tally.seconds) == (0.04, 0.04)

    def test_no_frame_at_all_is_a_normal_file(self, tmp_path: Path) -> None:
        found = of(tmp_path)
        assert (found.frames, found.seconds, found.people, found.is_whole) == (0, 0.0, (), True)

    def test_a_file_cut_off_in_a_line_tells_what_it_holds(self, tmp_path: Path) -> None:
        path = write_lines(tmp_path / "cut.jsonl", [frame(0, face(1)), frame(1, face(1))], is_whole=False)
        path.write_bytes(path.read_bytes()[:-30])
        found = gathered(path)
        assert (found.frames, found.is_whole) == (1, False)
        assert [one.track_id for one in found.tracks] == [1]


class TestWhoIsWho:
    def test_a_first_name_counts_for_the_frames_before_it(self, tmp_path: Path) -> None:
        lines = [frame(at, face(1, None, mood("fear", 0.9), is_looked_up=False)) for at in range(5)]
        lines += [frame(at, face(1, "Ana", mood("fear", 0.8))) for at in range(5, 10)]
        found = of(tmp_path, *lines)
        (ana,) = found.people
        assert (ana.name, ana.tally.frames) == ("Ana", 10)
        assert ana.moments[0].pts_seconds == 0.0
        assert ana.curve is not None
        assert len(ana.curve.points().seconds) == 10

    def test_but_not_where_the_track_was_renamed(self, tmp_path: Path) -> None:
        found = of(tmp_path, frame(0, face(1)), frame(1, face(1, "Ana")), event("renamed", 0.04, 1, "Ana"))
        assert [one.name for one in found.people] == ["Ana", None]

    def test_a_name_that_is_lost_again_does_not_take_the_rest_of_the_track(self, tmp_path: Path) -> None:
        found = of(tmp_path, frame(0, face(1, "Ana")), frame(1, face(1)), frame(2, face(1, "Ben")), frame(3))
        assert {one.name: one.tally.frames for one in found.people} == {"Ana": 1, "Ben": 1, None: 1}
        assert [(one.track_id, one.name, one.tally.frames) for one in found.tracks] == [(1, "Ben", 3)]

    def test_names_come_first_and_the_longest_in_view_before_others(self, tmp_path: Path) -> None:
        lines = [frame(at, face(1), face(2), *([face(3, "Ana")] if at else [face(4, "Ben")])) for at in range(5)]
        assert [one.name for one in of(tmp_path, *lines).people] == ["Ana", "Ben", None, None]

    def test_many_strangers_do_not_all_keep_a_curve(self, tmp_path: Path) -> None:
        found = of(tmp_path, *crowd_frames(900))
        kept = sum(one.curve is not None for one in found.people)
        assert len(found.people) == 900
        assert 50 < kept <= 260


class TestMoments:
    def test_the_strongest_of_each_emotion_that_was_shown_is_kept(self, tmp_path: Path) -> None:
        strengths = [0.5, 0.9, 0.7]
        lines = [frame(at, face(1, "Ana", mood("happiness", strengths[at]))) for at in range(3)]
        lines += [frame(3, face(1, "Ana", mood(None, 0.95, strongest="anger")))]
        (moment,) = person(of(tmp_path, *lines), "Ana").moments
        assert (moment.emotion, moment.index, moment.probability) == ("happiness", 1, 0.9)

    def test_a_box_that_was_only_predicted_is_no_moment(self, tmp_path: Path) -> None:
        lines = [frame(0, face(1, None, mood("fear"), is_detected=False)), frame(1)]
        (one,) = of(tmp_path, *lines).people
        assert (one.moments, one.portrait) == ((), None)

    def test_the_largest_view_is_the_portrait(self, tmp_path: Path) -> None:
        lines = [frame(0, face(1)), frame(1, face(1, box=(0, 0, 48, 48))), frame(2, face(1))]
        portrait = of(tmp_path, *lines).people[0].portrait
        assert portrait is not None
        assert portrait.index == 1


Rows = list[tuple[float, float, int, tuple[float, ...]]]


def rows_of(count: int, step_seconds: float, seed: int = 0) -> Rows:
    drawn = np.random.default_rng(seed).dirichlet(np.ones(7), count)
    return [(at * step_seconds, step_seconds, at % 8, tuple(row.tolist())) for at, row in enumerate(drawn)]


def curve_of(rows: Rows) -> Curve:
    curve = Curve()
    for row in rows:
        curve.add(*row)
    return curve


class TestCurves:
    @given(count=st.integers(1, 3000), step=st.sampled_from([0.01, 0.04, 0.2, 7.0]))
    def test_means_and_highest_values_survive_any_length(self, count: int, step: float) -> None:
        rows = rows_of(count, step)
        points = curve_of(rows).points()
        every = np.array([row[3] for row in rows])
        assert len(points.seconds) <= MAX_BINS
        assert points.highest.max(axis=0) == pytest.approx(every.max(axis=0))
        bins = np.floor(np.array([row[0] for row in rows]) / points.width_seconds)
        _, frames = np.unique(bins, return_counts=True)
        assert (points.means * frames[:, None]).sum(axis=0) == pytest.approx(every.sum(axis=0))
        assert np.all(points.highest >= points.means - 1e-12)

    @given(first=st.integers(0, 900), second=st.integers(0, 900), late=st.sampled_from([0.0, 3.0, 5000.0]))
    def test_two_put_together_are_as_one_that_had_it_all(self, first: int, second: int, late: float) -> None:
        ours, theirs = rows_of(first, 0.04), rows_of(second, 0.2, seed=1)
        theirs = [(seconds + late, *rest) for seconds, *rest in theirs]  # type: ignore[misc]
        whole, joined = curve_of(ours + theirs).points(), curve_of(ours)
        joined.merge(curve_of(theirs))
        points = joined.points()
        assert points.width_seconds == whole.width_seconds
        assert points.seconds == pytest.approx(whole.seconds)
        assert points.means == pytest.approx(whole.means)
        assert points.highest == pytest.approx(whole.highest)
        assert np.array_equal(points.labels, whole.labels)

    def test_a_short_frame_weighs_less_than_a_long_one(self) -> None:
        curve = Curve()
        sure, unsure = (1.0, 0, 0, 0, 0, 0, 0), (0.0, 1.0, 0, 0, 0, 0, 0)
        curve.add(0.0, 0.001, 0, sure)
        curve.add(0.001, 0.003, 1, unsure)
        points = curve.points()
        assert points.means[0, :2] == pytest.approx([0.25, 0.75])
        assert points.labels[0] == 1

    def test_a_gap_breaks_the_line_and_the_strip(self, tmp_path: Path) -> None:
        curve = person(of(tmp_path, *broken_frames()), "Ana").curve
        assert curve is not None
        axis = Axis(0.0, 20.0)
        paths = curve_paths(curve.points(), EMOTIONS.index("surprise"), axis, 1 / 25)
        assert paths.mean.count("M") == 4
        strip = label_strip(curve.points(), axis, 1 / 25)
        assert [label for label, _, _ in strip] == [ABSTAINED, 2, 2, 2, 2, 1]
        assert strip[0][1:] == pytest.approx((0, 120), abs=2)  # 60 frames of 500, of a width of 1000
        assert strip[1][2] == pytest.approx(200, abs=2)

    def test_a_path_goes_where_the_values_are(self) -> None:
        curve = Curve()
        for at in range(3):
            curve.add(at * 1.0, 1.0, 1, (1 - at / 2, at / 2, 0, 0, 0, 0, 0))
        paths = curve_paths(curve.points(), 1, Axis(0.0, 3.0), 1.0)
        x = round(WIDTH / 3)
        assert paths.mean == f"M10 {HEIGHT}l{x} {-HEIGHT // 2} {x} {-HEIGHT // 2}"  # 10: the middle of the first bin
        assert paths.peak == f"M{10 + 2 * x} 0h0"
        assert paths.highest == ""


class TestAxes:
    @given(start=st.floats(0, 1e5), seconds=st.floats(1e-3, 1e7))
    def test_ticks_are_round_few_and_on_the_axis(self, start: float, seconds: float) -> None:
        step, ticks = Axis(start, start + seconds).ticks()
        assert len(ticks) <= 9
        assert all(start - step * 1e-6 <= tick <= start + seconds + step * 1e-6 for tick in ticks)

    def test_stretches_too_close_to_tell_apart_are_drawn_as_one(self) -> None:
        assert list(bars([(0, 1), (1.001, 2), (5, 6)], Axis(0, 10))) == [(0, 2), (5, 6)]

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=12))
    def test_a_union_holds_each_moment_once(self, stretches: list[tuple[int, int]]) -> None:
        every = []
        for start, length in stretches:
            one = Intervals()
            one.add(start, start + length)
            every.append(one)
        seconds = {second for start, length in stretches for second in range(start, start + length)}
        assert union(every).seconds == len(seconds)

    def test_times_are_read_as_clocks(self) -> None:
        assert [clock(59.96), clock(61.25, 2), clock(3600, 0), clock(5, 0)] == ["1:00.0", "1:01.25", "1:00:00", "0:05"]

    def test_steps_never_go_back(self) -> None:
        steps = FrameSteps(0.04)
        assert [steps.advance(seconds) for seconds in (1.0, 3.0, 2.0)] == [None, 2.0, 0.0]


def test_an_hour_is_read_in_bounded_memory() -> None:
    """What a frame more costs, once there are some thousands, is nothing: a curve's bins are put together."""
    shown = RecordedFace(1, (0, 0, 9, 9), None, 0.9, True, None, RecordedEmotion("fear", (0.0,) * 6 + (1.0,)))
    gatherer = Gatherer(RecordedHeader("clip.mp4", 64, 48, 25.0))
    sizes = []
    tracemalloc.start()
    for index in range(90_000):
        gatherer.add(RecordedFrame(index, index / 25, True, (shown,)))
        if index in (20_000, 89_999):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] < sizes[0] + 200_000  # a buffer of a curve, full or empty
    assert gatherer.finish().people[0].tally.seconds == pytest.approx(3600)


def test_frames_of_the_sink_are_read_back(tmp_path: Path) -> None:
    found = gathered(write_results(tmp_path / "a.jsonl", [frame_result(at, []) for at in range(3)], embedder=None))
    assert (found.frames, found.is_whole, found.most_at_once) == (3, True, 0)
