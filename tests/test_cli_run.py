"""Around a run on the command line: which files are meant, where outputs go, progress, Ctrl-C."""

from __future__ import annotations

import io
import logging
import os
import signal
from pathlib import Path

import pytest

from streamer.cli import progress
from streamer.cli.inputs import expand, make_folders, results_paths, video_paths
from streamer.errors import SinkError, SourceOpenError, UsageError
from streamer.types import FrameResult, SourceInfo
from tests.fakes import draw, make_frame

INFO = SourceInfo("clip", "clip [bold].mp4", 320, 180, 25.0, 3)


class TestInputs:
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("b.mp4", "a.mp4", "[x].mp4", "sub/c.mp4"):
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).touch()

    def test_patterns_are_expanded_in_order_and_each_file_comes_once(self) -> None:
        assert expand(["b.mp4", "*.mp4"]) == [Path("b.mp4"), Path("[x].mp4"), Path("a.mp4")]
        assert expand(["**/c.mp4"]) == [Path("sub/c.mp4")]

    def test_a_file_whose_name_looks_like_a_pattern_is_that_file(self) -> None:
        assert expand(["[x].mp4"]) == [Path("[x].mp4")]

    def test_a_missing_file_is_left_to_the_source_to_tell(self) -> None:
        assert expand(["none.mp4"]) == [Path("none.mp4")]

    def test_a_pattern_that_matches_nothing_is_told(self) -> None:
        with pytest.raises(SourceOpenError, match=r"\*\.avi: no file matches"):
            expand(["*.avi"])

    def test_outputs_go_to_recordings_or_where_they_are_sent(self) -> None:
        one, two = [Path("a.mp4")], [Path("a.mp4"), Path("b.mkv")]
        assert video_paths(one, None) == [Path("recordings/a.mp4")]
        assert video_paths(one, Path("x.mkv")) == [Path("x.mkv")]
        assert video_paths(one, Path("sub")) == [Path("sub/a.mp4")]
        assert video_paths(two, Path("new")) == [Path("new/a.mp4"), Path("new/b.mp4")]
        assert results_paths(one, None, [Path("x.mkv")]) == [Path("x.jsonl")]
        assert results_paths(one, None, None) == [Path("recordings/a.jsonl")]
        assert results_paths(one, Path("r.jsonl"), None) == [Path("r.jsonl")]
        assert results_paths(two, Path("new"), None) == [Path("new/a.jsonl"), Path("new/b.jsonl")]

    def test_many_inputs_do_not_fit_into_one_file(self) -> None:
        with pytest.raises(UsageError, match="is a file, but 2 inputs need a folder"):
            video_paths([Path("a.mp4"), Path("b.mp4")], Path("b.mp4"))

    def test_a_folder_that_cannot_be_made_is_told(self) -> None:
        with pytest.raises(SinkError, match=r"cannot make the folder a\.mp4"):
            make_folders([Path("a.mp4/x/out.mp4")])


def one_result() -> FrameResult:
    return FrameResult(make_frame(draw([]), 0))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_the_name_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.meter() as shown:
        shown.begin(INFO)
        for _ in range(3):
            shown.advance(one_result())
    assert "clip [bold].mp4" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_elsewhere_plain_lines_tell_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "_LOG_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "streamer"), progress.meter() as shown:
        shown.begin(INFO)
        shown.advance(one_result())
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("clip [bold].mp4: 1 of 3 frames")
    assert "s left" in caplog.messages[0]


def test_a_terminal_shows_how_much_of_one_job_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.share_meter("training [bold]") as show:
        show(0.42)
    assert "training [bold]" in terminal.getvalue()
    assert "42%" in terminal.getvalue()


def test_elsewhere_plain_lines_tell_how_much_of_one_job_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "_LOG_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "streamer"), progress.share_meter("training") as show:
        show(0.42)
    assert caplog.messages == ["training: 42 %"]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SAME_REQUEST_SECONDS", 0.0)
    before = signal.getsignal(number)
    with progress.stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_signals_that_follow_at_once_are_the_same_request() -> None:
    """`timeout -s INT` signals the process and its group, so that one wish comes twice."""
    with progress.stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_set()
