"""Outputs of a live run come and go, and neither a slow nor a failing one is felt by the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.live_threads import Worker
from streamer.outputs import LiveOutputs
from streamer.queues import Newest
from streamer.types import Ending, FrameResult, SourceInfo
from tests.fakes import RED, ListSink, draw, make_frame

INFO = SourceInfo("drawn", "drawn", 320, 180, 25.0, None, is_live=True)


def result(index: int) -> FrameResult:
    return FrameResult(make_frame(draw([(10, 50, RED)]), index))


def plain(one: FrameResult) -> Canvas:
    return Canvas(one.frame.picture)


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for a condition that another thread brings about."""
    deadline, never = time.monotonic() + seconds, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        never.wait(0.005)
    return True


class GatedSink(ListSink):
    """A sink whose writes wait for its gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def write(self, one: FrameResult, canvas: Canvas | None) -> None:
        assert self.gate.wait(9)
        super().write(one, canvas)


class SlowSink(ListSink):
    """A sink that takes a tenth of a second for a frame."""

    def write(self, one: FrameResult, canvas: Canvas | None) -> None:
        threading.Event().wait(0.1)
        super().write(one, canvas)


def test_an_output_gets_what_is_delivered_between_its_coming_and_its_going() -> None:
    outputs, sink = LiveOutputs(INFO), ListSink(needs_canvas=True)
    outputs.deliver(result(0), plain)
    outputs.add("recording", sink)
    for index in (1, 2, 3):
        outputs.deliver(result(index), plain)
    outputs.remove("recording")
    outputs.deliver(result(4), plain)
    assert until(lambda: sink.closed == [Ending.COMPLETE])
    assert [one.frame.index for one in sink.results] == [1, 2, 3]
    assert all(canvas is not None for canvas in sink.canvases)
    assert outputs.finish(Ending.COMPLETE, 1.0) is None
    assert sink.closed == [Ending.COMPLETE]


def test_nothing_is_drawn_where_no_output_wants_a_picture() -> None:
    def refuse(one: FrameResult) -> Canvas:
        raise AssertionError("drawn for nobody")

    outputs = LiveOutputs(INFO)
    outputs.add("results", ListSink())
    outputs.deliver(result(0), refuse)
    assert outputs.finish(Ending.COMPLETE, 1.0) is None


def test_a_stuck_output_delays_neither_the_run_nor_the_others_and_its_losses_are_counted() -> None:
    outputs, stuck, good = LiveOutputs(INFO), GatedSink(), ListSink()
    outputs.add("stuck", stuck)
    outputs.add("good", good)
    began = time.monotonic()
    for index in range(100):
        outputs.deliver(result(index), plain)
        assert until(lambda index=index: len(good.results) == index + 1)  # type: ignore[misc]
    assert time.monotonic() - began < 5
    status = {one.name: one for one in outputs.statuses()}
    assert status["good"].dropped == 0
    assert status["stuck"].dropped >= 60
    stuck.gate.set()
    assert outputs.finish(Ending.COMPLETE, 5.0) is None
    assert stuck.results[-1].frame.index == 99  # the newest are kept


def test_an_output_that_fails_is_told_of_while_the_others_go_on() -> None:
    outputs, good = LiveOutputs(INFO), ListSink()
    bad = ListSink(fails_at=1, error=SinkError("cannot write out.mp4: the disk is full"))
    outputs.add("recording", bad)
    outputs.add("good", good)
    for index in range(5):
        outputs.deliver(result(index), plain)
    assert until(lambda: any(one.problem for one in outputs.statuses()))
    assert [one.problem for one in outputs.statuses()] == ["cannot write out.mp4: the disk is full", None]
    error = outputs.finish(Ending.COMPLETE, 2.0)
    assert isinstance(error, SinkError)
    assert (bad.closed, good.closed) == ([Ending.FAILED], [Ending.COMPLETE])
    assert len(good.results) == 5


def test_what_failed_in_an_output_that_was_removed_is_told_at_the_end() -> None:
    outputs = LiveOutputs(INFO)
    bad = ListSink(fails_at=0, error=RuntimeError("boom"))
    outputs.add("recording", bad)
    outputs.deliver(result(0), plain)
    outputs.remove("recording")
    assert until(lambda: bool(bad.closed))
    outputs.deliver(result(1), plain)
    with pytest.raises(SinkError, match="recording failed: RuntimeError"):
        raise outputs.finish(Ending.COMPLETE, 1.0) or AssertionError


def test_an_output_that_hangs_does_not_keep_a_run_from_ending() -> None:
    outputs, stuck = LiveOutputs(INFO), GatedSink()
    outputs.add("stuck", stuck)
    outputs.deliver(result(0), plain)
    began = time.monotonic()
    error = outputs.finish(Ending.COMPLETE, 0.3)
    assert time.monotonic() - began < 1
    assert "stuck does not move" in str(error)
    stuck.gate.set()
    assert until(lambda: bool(stuck.closed))


def test_an_output_that_is_too_slow_is_whole_in_time_without_the_last_frames() -> None:
    """An encoder of large pictures may need seconds for what waits, and a file that is given up is lost to its user."""
    outputs, slow = LiveOutputs(INFO), SlowSink()
    outputs.add("recording", slow)
    for index in range(20):
        outputs.deliver(result(index), plain)
    assert outputs.finish(Ending.COMPLETE, 1.0) is None
    assert slow.closed == [Ending.COMPLETE]
    assert 1 <= len(slow.results) < 15


def test_two_outputs_cannot_have_one_name() -> None:
    outputs = LiveOutputs(INFO)
    outputs.add("recording", ListSink())
    with pytest.raises(ValueError, match="recording"):
        outputs.add("recording", ListSink())
    assert outputs.finish(Ending.COMPLETE, 1.0) is None


def test_of_items_that_were_not_taken_only_the_newest_is_left() -> None:
    slot: Newest[int] = Newest()
    for item in (1, 2, 3):
        slot.put(item)
    assert (slot.take(0), slot.take(0), slot.replaced) == (3, None, 2)


def test_whoever_waits_for_an_item_gets_it_at_once() -> None:
    slot: Newest[int] = Newest()
    waiting = Worker("waiting", lambda: (slot.take(5), time.monotonic()))
    put_at = time.monotonic()
    slot.put(7)
    item, taken_at = waiting.result()
    assert item == 7
    assert taken_at - put_at < 1


def test_a_worker_hands_on_what_came_of_its_work() -> None:
    def fail() -> int:
        raise SinkError("no")

    assert Worker("works", lambda: 5).result() == 5
    failed = Worker("fails", fail)
    assert failed.join(5)
    assert isinstance(failed.error, SinkError)
    with pytest.raises(SinkError, match="no"):
        failed.result()
