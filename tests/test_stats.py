"""The numbers of a run: what is counted, how exact the percentiles are, and that memory stays put."""

from __future__ import annotations

import math
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.stats import Histogram, RunStats


class StepClock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def nearest_rank(values: list[float], fraction: float) -> float:
    return sorted(values)[max(math.ceil(fraction * len(values)), 1) - 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(2e-6, 9e3), min_size=1, max_size=300))
def test_every_percentile_is_within_one_percent_of_the_sorted_list(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    percentiles = histogram.percentiles()
    assert percentiles is not None
    for found, fraction in ((percentiles.p50, 0.5), (percentiles.p95, 0.95), (percentiles.p99, 0.99)):
        assert found == pytest.approx(nearest_rank(values, fraction), rel=0.0101)


def test_a_histogram_of_nothing_has_no_percentiles() -> None:
    assert Histogram().percentiles() is None


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 1e-9, 1e9])
def test_a_time_outside_the_bins_is_counted_and_comes_back_within_what_was_measured(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    percentiles = histogram.percentiles()
    assert histogram.count == 1
    assert percentiles is not None
    assert percentiles.p50 == percentiles.p99 == max(seconds, 0.0)


def test_a_hundred_thousand_times_take_no_more_memory_than_one() -> None:
    histogram = Histogram()
    histogram.add(1.0)
    bins = sys.getsizeof(histogram._bins)
    for seconds in np.random.default_rng(7).lognormal(-4, 2, 100_000):
        histogram.add(float(seconds))
    assert sys.getsizeof(histogram._bins) == bins
    assert histogram.count == 100_001


def test_a_run_is_summed_up_by_its_own_clock() -> None:
    clock = StepClock()
    stats = RunStats(clock)
    for _ in range(10):
        captured_at = clock.now
        with stats.time("detect"):
            clock.now += 0.30
        with stats.time("track"):
            clock.now += 0.10
        stats.count_frame(captured_at)
    stats.count_dropped(3)
    stats.count_skipped()
    summary = stats.summary()
    assert (summary.frames, summary.dropped, summary.skipped) == (10, 3, 1)
    assert summary.seconds == pytest.approx(4.0)
    assert summary.fps == pytest.approx(2.5)
    assert summary.latency_seconds is not None
    assert summary.latency_seconds.p95 == pytest.approx(0.4, rel=0.01)
    assert [(stage.name, stage.calls) for stage in summary.stages] == [("detect", 10), ("track", 10)]
    assert summary.stages[0].total_seconds == pytest.approx(3.0)
    assert summary.stages[0].seconds.p50 == pytest.approx(0.3, rel=0.01)


def test_time_after_the_last_measurement_does_not_lower_the_rate() -> None:
    clock = StepClock()
    stats = RunStats(clock)
    with stats.time("detect"):
        clock.now += 2.0
    stats.count_frame(clock.now)
    clock.now += 1000.0
    assert stats.summary().fps == pytest.approx(0.5)


def test_a_stage_that_raises_is_timed_and_its_error_passes_through() -> None:
    clock = StepClock()
    stats = RunStats(clock)

    @stats.time("detect")
    def fail_after_half_a_second() -> None:
        clock.now += 0.5
        raise KeyError("x")

    with pytest.raises(KeyError):
        fail_after_half_a_second()
    assert stats.summary().stages[0].total_seconds == pytest.approx(0.5)


def test_a_run_without_frames_has_no_latency_and_no_rate() -> None:
    summary = RunStats(StepClock()).summary()
    assert summary.latency_seconds is None
    assert (summary.frames, summary.seconds, summary.fps, summary.stages) == (0, 0.0, 0.0, ())


def test_threads_that_count_at_once_lose_nothing() -> None:
    stats = RunStats()
    barrier = threading.Barrier(4)

    def work(stage: str) -> None:
        barrier.wait(5)
        for turn in range(2000):
            with stats.time(stage):
                pass
            stats.count_frame(0.0)
            if turn % 500 == 0:
                stats.summary()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(stage,)) for stage in ("a", "a", "b", "d")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    finally:
        sys.setswitchinterval(interval)
    summary = stats.summary()
    assert summary.frames == 8000
    assert {stage.name: stage.calls for stage in summary.stages} == {"a": 4000, "b": 2000, "d": 2000}


class TestProcessorTime:
    """Beside the time that passes stands the processor's, which other work on the machine does not stretch."""

    def test_a_stage_inside_another_counts_in_both_but_is_the_inner_one_s_own(self) -> None:
        wall, cpu = StepClock(), StepClock()
        stats = RunStats(wall, cpu)
        with stats.time("detect"):
            cpu.now += 1.0
            for _ in range(2):
                with stats.time("pnet"):
                    cpu.now += 2.0
        detect = next(stage for stage in stats.summary().stages if stage.name == "detect")
        pnet = next(stage for stage in stats.summary().stages if stage.name == "pnet")
        assert (detect.cpu_seconds, detect.own_cpu_seconds) == pytest.approx((5.0, 1.0))
        assert (pnet.cpu_seconds, pnet.own_cpu_seconds) == pytest.approx((4.0, 4.0))
        assert detect.total_seconds == pytest.approx(0.0)

    def test_stages_of_different_threads_do_not_lie_inside_each_other(self) -> None:
        cpu = StepClock()
        stats = RunStats(StepClock(), cpu)

        @stats.time("other")
        def compute() -> None:
            cpu.now += 3.0

        with stats.time("outer"):
            thread = threading.Thread(target=compute)
            thread.start()
            thread.join(5)
        assert [stage.own_cpu_seconds for stage in stats.summary().stages] == [pytest.approx(3.0)] * 2

    def test_waiting_takes_no_processor_time_and_computing_does(self) -> None:
        stats = RunStats()
        with stats.time("wait"):
            threading.Event().wait(0.05)
        with stats.time("compute"):
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass
        wait, compute = stats.summary().stages
        assert wait.cpu_seconds < 0.02 < wait.total_seconds
        assert compute.cpu_seconds >= 0.02


def test_what_was_measured_before_it_is_cleared_is_forgotten() -> None:
    clock = StepClock()
    stats = RunStats(clock)
    with stats.time("warm-up"):
        clock.now += 5.0
    stats.count_frame(0.0)
    stats.count_dropped()
    stats.clear()
    with stats.time("detect"):
        clock.now += 1.0
    summary = stats.summary()
    assert [stage.name for stage in summary.stages] == ["detect"]
    assert (summary.frames, summary.dropped, summary.seconds) == pytest.approx((0, 0, 1.0))
