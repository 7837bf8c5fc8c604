"""What a network stream comes to where there is none, and how times and freshness of a live stream are told."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import pytest
from av.video.frame import VideoFrame

from streamer.addresses import Address
from streamer.build import open_stream
from streamer.config import load_config
from streamer.errors import SourceOpenError
from streamer.interrupts import BackOff, Interrupt
from streamer.queues import StopRequest
from streamer.retries import opened_with_retries, polling
from streamer.sources.stream import StreamSettings, StreamSource
from streamer.sources.stream_damage import Damage
from streamer.sources.stream_faults import LoginRefusedError
from streamer.sources.stream_times import Freshness, LiveTimes
from streamer.types import SourceState, SourceStatus
from tests.network_faults import hang_up, listener, say, speak_garbage

SECRET = "s3cr3t!"
QUICK = StreamSettings(open_timeout_seconds=0.5, read_timeout_seconds=0.5)
UNAUTHORISED = 'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'
Answer = Callable[[socket.socket], None]


def refusal(url: str, settings: StreamSettings = QUICK) -> SourceOpenError:
    """Return the error that opening raises: one line, without credentials, wherever one looks."""
    with pytest.raises(SourceOpenError) as refused:
        StreamSource(Address(url), settings=settings)
    error = refused.value
    chain = f"{error!r} {error.__cause__!r} {error.__context__!r} {vars(error)}"
    assert SECRET not in chain
    assert "bob" not in chain
    assert "\n" not in str(error)
    return error


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no answer of use within 0.5 s"),
        (speak_garbage, "not a stream|no answer of use"),
        (hang_up, "closed|not a stream|end of file|reset"),
        (say("RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n"), "no such stream"),
        (say("RTSP/1.0 503 Service Unavailable\r\nCSeq: 1\r\n\r\n"), "server has failed"),
        (say(UNAUTHORISED), "user and a password"),
    ],
)
def test_a_bad_server_is_told_in_one_line(answer: Answer | None, words: str) -> None:
    with listener(answer) as port:
        began = time.monotonic()
        error = refusal(f"rtsp://bob:{SECRET}@127.0.0.1:{port}/x")
        assert time.monotonic() - began < 4
    assert re.search(words, str(error)), error


def test_a_refused_login_is_told_apart() -> None:
    with listener(say(UNAUTHORISED)) as port:
        assert isinstance(refusal(f"rtsp://bob:{SECRET}@127.0.0.1:{port}/x"), LoginRefusedError)


def test_no_server_and_no_host_are_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "refused" in str(refusal(f"rtsp://bob:{SECRET}@127.0.0.1:{port}/x"))
    assert "refused" in str(refusal(f"http://bob:{SECRET}@127.0.0.1:{port}/x"))
    assert "no.such.invalid is not known" in str(refusal(f"rtsp://bob:{SECRET}@no.such.invalid/x"))


def test_the_configured_time_out_is_kept() -> None:
    config = load_config(overrides=["source.open_timeout_seconds=0.3"])
    with listener() as port:
        began = time.monotonic()
        with pytest.raises(SourceOpenError, match=r"no answer of use within 0\.3 s"):
            open_stream(Address(f"rtsp://127.0.0.1:{port}/x"), config)
        assert 0.25 < time.monotonic() - began < 2


def test_time_outs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="read_timeout_seconds"):
        StreamSettings(read_timeout_seconds=0)


def test_a_stream_that_is_not_there_yet_is_opened_when_it_is() -> None:
    """Each failure is told; a stop request ends the waiting at once."""
    told: list[SourceStatus] = []
    stop = Interrupt()

    def open_source() -> StreamSource:
        if len(told) == 3:
            threading.Timer(0.05, stop.set).start()
        raise SourceOpenError("rtsp://***@host/x cannot be opened: the connection was refused")

    began = time.monotonic()
    assert opened_with_retries(open_source, stop.wait, told.append) is None
    assert [status.state for status in told] == [SourceState.INITIALISING] + [SourceState.RECONNECTING] * 3
    assert told[-1].detail.endswith("the connection was refused (attempt 3)")
    assert time.monotonic() - began < 3


def test_a_request_that_wakes_nobody_is_seen_all_the_same() -> None:
    """A signal handler sets a flag, and may wake no thread."""
    stop = StopRequest()
    wait = polling(stop.is_set)
    assert not wait(0.01)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert wait(60.0)
    assert time.monotonic() - began < 5


def test_waiting_ends_when_asked_to() -> None:
    interrupt = Interrupt()
    assert not interrupt.wait(0.0)
    threading.Timer(0.05, interrupt.set).start()
    began = time.monotonic()
    assert interrupt.wait(60.0)
    assert interrupt.is_set()
    assert time.monotonic() - began < 5


def test_waits_double_up_to_a_limit_and_are_not_all_the_same() -> None:
    waits = BackOff(0.1, 1.0)
    seconds = [waits.next_seconds() for _ in range(200)]
    for wait, longest in zip(seconds, [0.1, 0.2, 0.4, 0.8] + [1.0] * 196, strict=True):
        assert longest / 2 <= wait <= longest
    assert len(set(seconds)) > 100
    waits.succeeded()
    assert waits.next_seconds() <= 0.1
    with pytest.raises(ValueError, match="back-off"):
        BackOff(2.0, 1.0)


@dataclass
class Coded:
    """As much of a decoded frame as tells whether it is whole."""

    is_corrupt: bool = False
    key_frame: bool = False


def whole(damage: Damage, *frames: Coded) -> list[bool]:
    return [damage.is_whole(cast(VideoFrame, frame)) for frame in frames]


def test_what_is_made_from_a_damaged_frame_is_damaged_until_a_key_frame() -> None:
    """The decoder flags the damaged one alone."""
    damage = Damage(may_lose=False)
    frames = (Coded(key_frame=True), Coded(), Coded(is_corrupt=True), Coded(), Coded(), Coded(key_frame=True), Coded())
    assert whole(damage, *frames) == [True, True, False, False, False, True, True]
    assert whole(damage, Coded(is_corrupt=True, key_frame=True), Coded()) == [False, False]


@pytest.mark.parametrize("may_lose", [True, False])
def test_over_udp_a_gap_in_the_stamps_is_a_lost_frame(may_lose: bool) -> None:
    damage = Damage(may_lose=may_lose)
    whole(damage, Coded(key_frame=True))
    for number in range(30):
        damage.note_packet(number * 3600 + number % 3 * 900)  # servers stamp unevenly
        assert whole(damage, Coded()) == [True]
    damage.note_packet(31 * 3600 + 1800)
    assert whole(damage, Coded(), Coded(key_frame=True)) == [not may_lose, True]
    damage.note_packet(32 * 3600 + 1800)
    assert whole(damage, Coded()) == [True]


TICK = Fraction(1, 90_000)


def placed(stamps: list[int], times: LiveTimes, start: float = 100.0) -> list[float]:
    return [times.place(stamp, stamp, start + number / 25) for number, stamp in enumerate(stamps)]


@pytest.mark.parametrize("jump", [117_000_000, -117_000_000, 2**32, -(2**32)])
def test_times_go_on_where_stamps_jump(jump: int) -> None:
    """A camera that changes its resolution, or whose 32-bit stamps wrap, moves them by minutes or hours."""
    times = LiveTimes(TICK)
    times.connected(TICK, 25)
    stamps = [3600 * number + (jump if number >= 10 else 0) for number in range(20)]
    assert placed(stamps, times) == pytest.approx([number / 25 for number in range(20)], abs=0.001)


def test_times_show_the_gap_after_a_new_connection() -> None:
    """Whatever the stamps of the new one are, its times go on by the clock, in another time base, too."""
    times = LiveTimes(TICK)
    times.connected(TICK, 25)
    first = placed([7200, 10_800, 14_400], times, 100.0)
    times.connected(Fraction(1, 1000), 25)
    second = placed([0, 40, 80], times, 105.0)
    assert first + second == pytest.approx([0, 0.04, 0.08, 5, 5.04, 5.08])
    assert all((Fraction(one) / TICK).limit_denominator(1000).denominator == 1 for one in first + second)


def test_times_always_advance() -> None:
    times = LiveTimes(TICK)
    times.connected(TICK, 25)
    got = placed([0, 3600, 3600, 3500, 100, 14_400, 10_800], times)
    got += placed([0, 0], times, 100.0)
    assert all(before < after for before, after in itertools.pairwise(got))


def test_a_drifting_clock_is_put_right() -> None:
    """A camera whose clock is 1 % fast would be 36 s ahead after an hour."""
    times = LiveTimes(TICK)
    times.connected(TICK, 1)
    for second in range(3600):
        got = times.place(round(second * 90_900), None, 100.0 + second)
        assert abs(got - second) <= 10.1


def test_a_frame_that_waited_while_nobody_read_is_stale() -> None:
    freshness = Freshness()
    for number in range(50):
        freshness.note(number / 25, 10 + number / 25, had_waited=False)
        assert not freshness.is_stale
    # Nobody reads for 1 s; then 25 frames are there at once.
    stale = []
    for number in range(50, 75):
        freshness.note(number / 25, 12.99, had_waited=True)
        stale.append(freshness.is_stale)
    assert stale == [True] * 23 + [False] * 2


def test_a_network_that_becomes_slower_makes_nothing_stale() -> None:
    """What had to be waited for is the newest there is, however late."""
    freshness = Freshness()
    for number in range(500):
        delay = 0.0 if number < 250 else 0.5
        freshness.note(number / 25, 10 + number / 25 + delay, had_waited=False)
        assert not freshness.is_stale


def test_who_decodes_too_slowly_takes_key_frames_only_until_it_has_caught_up() -> None:
    freshness = Freshness()
    freshness.note(0.0, 10.0, had_waited=False)
    freshness.note(1.0, 13.5, had_waited=True)
    assert freshness.must_leap(is_leaping=False)
    freshness.note(3.0, 14.0, had_waited=True)
    assert freshness.must_leap(is_leaping=True)
    assert not freshness.must_leap(is_leaping=False)
    freshness.note(4.0, 14.1, had_waited=True)
    assert not freshness.must_leap(is_leaping=True)
