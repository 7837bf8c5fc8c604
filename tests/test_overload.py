"""The overload ladder on modelled machines: it settles, does not swing, and gives everything back."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.effort import FULL, Effort
from streamer.load import Load
from streamer.overload import Change, OverloadLadder
from streamer.overload_policy import OverloadPolicy
from streamer.rungs import Usual, rungs
from tests.machines import USUAL, Machine, Work

EFFORTS = rungs(USUAL)
CALM = Load(seconds=1.0, captured=30, processed=30, dropped=0, busy=0.3, age_seconds=0.02)
DROPPING = Load(seconds=1.0, captured=30, processed=20, dropped=10, busy=1.0, age_seconds=0.1)
LATE = Load(seconds=1.0, captured=30, processed=30, dropped=0, busy=0.6, age_seconds=0.2)


class Run:
    """A ladder over a machine, and what it did: the rung after each measurement, the changes, and the loads."""

    def __init__(self, machine: Machine, seconds: int, measured_every: float = 1.0) -> None:
        self.machine, self.ladder = machine, OverloadLadder(USUAL)
        self.rungs: list[int] = []
        self.changes: list[Change] = []
        self.loads: list[Load] = []
        self.measured_every = measured_every
        self.go_on(seconds)

    def go_on(self, seconds: int) -> None:
        for _ in range(round(seconds / self.measured_every)):
            load = self.machine.run(self.measured_every, self.ladder.effort)
            change = self.ladder.update(self.machine.now, load)
            if change is not None:
                assert change.effort == self.ladder.effort
                self.changes.append(change)
            self.rungs.append(EFFORTS.index(self.ladder.effort))
            self.loads.append(load)


def reversals(steps: Sequence[int]) -> int:
    """Count how often a way down turns into a way up, over rungs one measurement after the other."""
    ways = [after - before for before, after in itertools.pairwise(steps) if after != before]
    return sum(before < 0 < after for before, after in itertools.pairwise(ways))


def feed(ladder: OverloadLadder, loads: Sequence[Load], *, since: float = 0.0) -> list[Change]:
    changes = []
    for number, load in enumerate(loads, 1):
        change = ladder.update(since + number, load)
        changes += [change] if change is not None else []
    return changes


# ---- constant loads


@pytest.mark.parametrize("slowness", [0.8, 1.0, 1.4, 1.7])
def test_a_machine_that_keeps_up_is_left_alone(slowness: float) -> None:
    assert Run(Machine(slowness=lambda _: slowness), 300).changes == []


@pytest.mark.parametrize("slowness", [2.5, 3.0, 4.0])
def test_constant_overload_is_settled_within_half_a_minute_and_hardly_ever_tried_again(slowness: float) -> None:
    run = Run(Machine(slowness=lambda _: slowness), 1800)
    assert max(run.rungs[:30]) == max(run.rungs)
    assert run.rungs[0] == 0
    late = [load for load in run.loads[60:] if load.dropped_share > 0.1]
    assert len(late) < 0.02 * len(run.loads)
    assert all(load.age_seconds is not None and load.age_seconds < 0.4 for load in run.loads)
    # After 60, 120 and 240 s, then every 240 s.
    assert reversals(run.rungs) <= 9


@pytest.mark.parametrize("slowness", [6.0, 10.0, 50.0])
def test_overload_beyond_all_rungs_stays_on_the_last_with_a_short_queue(slowness: float) -> None:
    run = Run(Machine(slowness=lambda _: slowness), 300)
    assert run.rungs[60:] == [len(EFFORTS) - 1] * 240
    assert run.machine.most_waited == 2
    assert len(run.changes) == len(EFFORTS) - 1


def test_more_frames_are_processed_on_every_machine_that_cannot_keep_up() -> None:
    for slowness in (2.5, 3.0, 4.0, 6.0):
        run = Run(Machine(slowness=lambda _, slowness=slowness: slowness), 60)  # type: ignore[misc]
        assert run.loads[-1].processed > 1.1 * run.loads[2].processed


def test_searches_that_make_results_late_are_made_smaller() -> None:
    run = Run(Machine(Work(search=0.3), fps=15), 120)
    assert run.ladder.effort.face_times > 1
    ages = [load.age_seconds for load in run.loads[60:] if load.age_seconds is not None]
    assert sorted(ages)[len(ages) // 2] < 0.15


def test_several_sources_that_share_the_machine_share_the_ladder() -> None:
    """Four streams are too much where one is not."""
    assert Run(Machine(fps=30), 60).changes == []
    four = Run(Machine(fps=120), 60)
    assert four.changes
    assert four.loads[-1].dropped_share < four.loads[2].dropped_share


# ---- loads that change


def test_all_is_given_back_soon_after_an_overload_of_minutes() -> None:
    run = Run(Machine(slowness=lambda now: 4.0 if 60 <= now < 180 else 1.0), 180)
    assert run.ladder.effort != FULL
    run.go_on(60)
    assert run.ladder.effort == FULL
    assert reversals(run.rungs) == 0


@pytest.mark.parametrize("slowness", [2.5, 3.0, 4.0, 10.0])
def test_all_is_given_back_in_ten_minutes_even_after_tries_that_failed_for_an_hour(slowness: float) -> None:
    run = Run(Machine(slowness=lambda now: slowness if now < 3600 else 1.0), 3600)
    assert run.ladder.effort != FULL
    run.go_on(600)
    assert run.ladder.effort == FULL


def test_a_ramp_is_climbed_and_descended() -> None:
    run = Run(Machine(slowness=lambda now: 1 + 3 * max(0.0, 1 - abs(now - 600) / 600)), 1800)
    assert max(run.rungs) >= 5
    assert run.rungs[-1] == 0
    assert reversals(run.rungs) <= 4


@pytest.mark.parametrize("measured_every", [0.5, 1.0])
@pytest.mark.parametrize("length", [0.3, 0.6, 0.9])
def test_bursts_of_some_hundred_milliseconds_change_nothing(length: float, measured_every: float) -> None:
    """Wherever between two measurements they fall."""
    run = Run(Machine(slowness=lambda now: 8.0 if now % 10.37 < length else 1.0), 600, measured_every)
    assert run.changes == []
    assert any(load.dropped_share > 0.1 for load in run.loads)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("mean", [0.8, 1.2, 1.5, 2.0, 3.0])
def test_noise_does_not_make_it_swing(mean: float, seed: int) -> None:
    """The work of each second is lognormal, by half as much again or less."""
    chance = random.Random(seed)
    factors = [mean * math.exp(chance.gauss(0, 0.4)) for _ in range(1801)]
    run = Run(Machine(slowness=lambda now: factors[int(now)]), 1800)
    assert reversals(run.rungs) <= 15  # once in two minutes
    assert len(run.changes) <= 60


@pytest.mark.parametrize("period", [6, 10, 20, 40, 60, 90, 120, 300])
def test_a_load_that_comes_and_goes_makes_it_turn_no_more_than_twice_a_minute(period: int) -> None:
    run = Run(Machine(slowness=lambda now: 3.0 if now % period < period / 2 else 1.0), 1800)
    assert reversals(run.rungs) <= 30
    # Where it comes back within a minute, one learns to expect it.
    assert period > 60 or reversals(run.rungs[600:]) <= 10


@pytest.mark.parametrize("rest", [0, 29, 31, 35, 36, 40, 60, 120])
def test_a_load_that_is_back_at_the_worst_moment_makes_it_turn_no_more_than_twice_a_minute(rest: int) -> None:
    """It goes with each step up, and is back so many seconds after the step down."""
    ladder, idle = OverloadLadder(USUAL), replace(CALM, busy=0.02, age_seconds=0.001)
    steps, load, back_at = [0], DROPPING, math.inf
    for now in range(3600):
        change = ladder.update(float(now), load)
        steps.append(EFFORTS.index(ladder.effort))
        if load is DROPPING and change is not None:
            load, back_at = idle, math.inf
        elif load is idle and change is not None and back_at == math.inf:
            back_at = now + rest
        if now >= back_at:
            load = DROPPING
    assert reversals(steps) <= 120


_LOADS = st.builds(
    lambda captured, dropped, busy, age: Load(1.0, captured, captured - min(captured, dropped), dropped, busy, age),
    st.integers(0, 60),
    st.integers(0, 60),
    st.floats(0, 1),
    st.none() | st.floats(0, 2),
)


@given(st.lists(st.tuples(_LOADS, st.integers(1, 40)), min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_whatever_the_loads_steps_are_single_apart_told_and_rarely_turn(runs: list[tuple[Load, int]]) -> None:
    ladder, policy = OverloadLadder(USUAL), OverloadPolicy()
    loads = [load for load, seconds in runs for _ in range(seconds)]
    steps, stepped_at = [0], -math.inf
    for now, load in enumerate(loads):
        change = ladder.update(float(now), load)
        steps.append(EFFORTS.index(ladder.effort))
        assert abs(steps[-1] - steps[-2]) == (change is not None)
        assert len(ladder.status) <= 40
        assert bool(ladder.status) == (ladder.effort != FULL)
        if change is None:
            continue
        assert now >= policy.start_seconds
        assert now - stepped_at >= (policy.overload_seconds if steps[-1] > steps[-2] else policy.calm_seconds)
        assert change.text.isprintable()
        stepped_at = now
    # At least half a minute lies between two turns, but for the six that double the waiting to the most.
    assert reversals(steps) <= 6 + len(loads) / 30


@given(st.floats(1.0, 8.0), st.floats(0.002, 0.02), st.floats(0.01, 0.3), st.floats(5, 60))
@settings(max_examples=25, deadline=None)
def test_every_machine_whose_load_goes_is_given_everything_back(
    slowness: float, follow: float, search: float, fps: float
) -> None:
    machine = Machine(Work(follow, search), fps=fps, slowness=lambda now: slowness if now < 200 else 0.05)
    run = Run(machine, 200)
    run.go_on(400)
    assert run.ladder.effort == FULL
    assert machine.most_waited <= 2


# ---- what is no evidence


def test_the_first_seconds_are_not_judged_nor_those_after_a_gap() -> None:
    ladder = OverloadLadder(USUAL)
    assert feed(ladder, [DROPPING] * 5) == []
    assert len(feed(ladder, [DROPPING], since=5)) == 1
    assert feed(ladder, [DROPPING] * 5, since=4000) == []  # the laptop slept
    assert feed(OverloadLadder(USUAL), [replace(DROPPING, seconds=60.0)] * 10) == []


def test_what_was_suspected_before_a_gap_is_forgotten() -> None:
    ladder = OverloadLadder(USUAL)
    assert feed(ladder, [CALM] * 10 + [DROPPING] * 2) == []
    assert feed(ladder, [CALM] * 3 + [DROPPING] * 2, since=100) == []


def test_a_clock_that_goes_back_is_a_gap() -> None:
    ladder = OverloadLadder(USUAL)
    assert feed(ladder, [CALM] * 10 + [DROPPING] * 2, since=1000) == []
    assert feed(ladder, [DROPPING] * 4) == []


def test_seconds_without_a_frame_are_neither_overload_nor_calm() -> None:
    """The camera is unplugged, or the run is paused."""
    silent = Load(seconds=1.0, captured=0, processed=0, dropped=0, busy=0.0, age_seconds=None)
    ladder = OverloadLadder(USUAL)
    assert len(feed(ladder, [DROPPING] * 6)) == 1
    assert feed(ladder, [silent] * 500, since=6) == []
    assert feed(ladder, [replace(silent, processed=1, age_seconds=3.0)] * 10, since=506) == []


def test_results_that_are_late_are_overload_though_no_frame_is_dropped() -> None:
    assert len(feed(OverloadLadder(USUAL), [CALM] * 5 + [LATE] * 3)) == 1


def test_a_rung_is_not_left_where_what_it_saves_would_not_fit() -> None:
    ladder = OverloadLadder(USUAL)
    relieved = Load(seconds=1.0, captured=30, processed=30, dropped=0, busy=0.7, age_seconds=0.03)
    assert len(feed(ladder, [DROPPING] * 6)) == 1
    assert feed(ladder, [relieved] * 54, since=6) == []
    idle = replace(relieved, busy=0.1)
    assert len(feed(ladder, [idle] * 15, since=60)) == 1
    assert ladder.effort == FULL


# ---- what is told


def test_each_step_says_what_changes_and_the_status_what_is_left_out() -> None:
    ladder = OverloadLadder(USUAL)
    told, states = [], []
    for now in range(40):
        change = ladder.update(float(now), DROPPING)
        if change is not None:
            told.append(change.text)
            states.append(ladder.status)
    assert told == [
        "overload: whole pictures are searched every 0.8 s (was 0.4)",
        "overload: whole pictures are searched every 1.6 s (was 0.8)",
        "overload: faces are searched for from 28 px (was 20)",
        "overload: faces are searched for from 40 px (was 28)",
        "overload: at most 30 looks a second at who faces are (was 60); emotions are read every 0.4 s (was 0.2)",
        "overload: at most 15 looks a second at who faces are (was 30); emotions are read every 0.8 s (was 0.4)",
        "overload: 15 frames a second are shown (was all)",
        "overload: 8 frames a second are shown (was 15)",
    ]
    assert states == [
        "load: searched 2x less often",
        "load: searched 4x less often",
        "load: small faces (x1.4) not searched",
        "load: small faces (x2.0) not searched",
        "load: 1/2 of looks at faces",
        "load: 1/4 of looks at faces",
        "load: 15 frames/s shown",
        "load: 8 frames/s shown",
    ]


def test_a_step_back_is_told_too_and_each_is_an_event() -> None:
    run = Run(Machine(slowness=lambda now: 2.5 if now < 30 else 1.0), 120)
    event = run.changes[-1].event(12.5)
    assert (event.kind, event.pts_seconds, event.track_id) == ("overload", 12.5, None)
    assert event.detail == "less load: whole pictures are searched every 0.4 s (was 0.8)"


def test_there_is_no_rung_that_would_spare_nothing() -> None:
    bare = rungs(Usual(search_seconds=0.4, min_face_pixels=20))
    assert [(effort.looks, effort.most_shown_fps) for effort in bare] == [(1.0, None)] * 5
    assert len(set(EFFORTS)) == len(EFFORTS) == 9


def test_where_every_frame_is_searched_less_often_counts_from_a_tenth_of_a_second() -> None:
    ladder = OverloadLadder(replace(USUAL, search_seconds=0.0))
    (change,) = feed(ladder, [DROPPING] * 6)
    assert change.text == "overload: whole pictures are searched every 0.2 s (was every frame)"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Effort(search_times=0.5),
        lambda: Effort(face_times=0.9),
        lambda: Effort(looks=0.0),
        lambda: Effort(looks=1.5),
        lambda: Effort(most_shown_fps=0.0),
        lambda: replace(CALM, seconds=0.0),
        lambda: replace(CALM, dropped=-1),
        lambda: replace(CALM, busy=1.5),
    ],
)
def test_impossible_efforts_and_loads_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"must|at most"):
        wrong()
