"""What holds for every sink, and which outputs are refused before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamer.canvas import Canvas
from streamer.errors import SinkError
from streamer.pictures import BgrPicture
from streamer.sinks.collect import CollectSink
from streamer.sinks.files import PartFile, check_output, part_path
from streamer.sinks.results import ResultsSink, RunDescription
from streamer.sinks.video import VideoSink
from streamer.stages import Sink
from streamer.stats import RunStats
from streamer.types import Ending, Frame, FrameResult, SourceInfo

INFO = SourceInfo("source", "drawn", 64, 48, 25.0)


def collect(folder: Path) -> Sink:
    return CollectSink(needs_canvas=True)


def results(folder: Path) -> Sink:
    return ResultsSink(folder / "out.jsonl", description=RunDescription(), stats=RunStats())


def video(folder: Path) -> Sink:
    return VideoSink(folder / "out.mp4")


def drawn(index: int) -> tuple[FrameResult, Canvas]:
    picture = BgrPicture(np.full((48, 64, 3), index * 10 % 256, np.uint8))
    return FrameResult(Frame(picture, index, index / 25, 0.0, "source")), Canvas(picture)


@pytest.mark.parametrize("make", [collect, results, video])
class TestEverySink:
    def test_it_says_whether_it_needs_the_drawn_picture(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        assert isinstance(make(tmp_path).needs_canvas, bool)

    def test_nothing_is_made_before_open(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        make(tmp_path)
        assert not list(tmp_path.iterdir())

    def test_frames_in_order_then_a_complete_close_leave_only_final_names(
        self, make: Callable[[Path], Sink], tmp_path: Path
    ) -> None:
        sink = make(tmp_path)
        sink.open(INFO)
        for index in range(5):
            sink.write(*drawn(index))
        sink.close(Ending.COMPLETE)
        assert not list(tmp_path.glob("*.part.*"))

    def test_an_incomplete_close_leaves_nothing_under_a_final_name(
        self, make: Callable[[Path], Sink], tmp_path: Path
    ) -> None:
        sink = make(tmp_path)
        sink.open(INFO)
        sink.write(*drawn(0))
        sink.close(Ending.FAILED)
        assert list(tmp_path.iterdir()) == list(tmp_path.glob("*.part.*"))

    @pytest.mark.parametrize("ending", list(Ending))
    def test_a_run_without_frames_can_be_closed(
        self, make: Callable[[Path], Sink], tmp_path: Path, ending: Ending
    ) -> None:
        sink = make(tmp_path)
        sink.open(INFO)
        sink.close(ending)
        assert not list(tmp_path.glob("*.mp4"))

    def test_an_interrupted_run_replaces_no_whole_file(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        for content in (b"", b"whole"):
            sink = make(tmp_path)
            sink.open(INFO)
            sink.write(*drawn(0))
            finals = [path.with_name(path.name.replace(".part", "")) for path in tmp_path.glob("*.part.*")]
            for path in finals:
                path.write_bytes(content) if content else path.unlink(missing_ok=True)
            sink.close(Ending.INTERRUPTED)
            for path in finals:
                assert (path.read_bytes() == b"whole") == bool(content)

    def test_a_second_close_does_nothing(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        sink = make(tmp_path)
        sink.open(INFO)
        sink.write(*drawn(0))
        sink.close(Ending.COMPLETE)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        sink.close(Ending.COMPLETE)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_it_can_be_closed_without_ever_being_opened(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        make(tmp_path).close(Ending.FAILED)
        assert not list(tmp_path.iterdir())

    def test_a_write_before_open_or_after_close_is_refused(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        sink = make(tmp_path)
        with pytest.raises(SinkError, match="not open"):
            sink.write(*drawn(0))
        sink.open(INFO)
        sink.close(Ending.COMPLETE)
        with pytest.raises(SinkError, match="not open"):
            sink.write(*drawn(0))

    def test_the_canvas_is_not_changed(self, make: Callable[[Path], Sink], tmp_path: Path) -> None:
        sink = make(tmp_path)
        result, canvas = drawn(3)
        before = canvas.y.copy(), canvas.u.copy(), canvas.v.copy()
        sink.open(INFO)
        sink.write(result, canvas)
        sink.close(Ending.COMPLETE)
        for plane, old in zip((canvas.y, canvas.u, canvas.v), before, strict=True):
            np.testing.assert_array_equal(plane, old)


@pytest.mark.parametrize("make", [results, video])
class TestEveryFileSink:
    def test_a_folder_that_is_not_there_is_a_one_line_error_naming_the_file(
        self, make: Callable[[Path], Sink], tmp_path: Path
    ) -> None:
        sink = make(tmp_path / "absent")
        with pytest.raises(SinkError, match=r"absent.out\.") as caught:
            sink.open(INFO)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 5
        sink.close(Ending.FAILED)

    def test_a_folder_that_vanishes_is_an_error_at_the_end_and_not_a_crash(
        self, make: Callable[[Path], Sink], tmp_path: Path
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        sink = make(folder)
        sink.open(INFO)
        sink.write(*drawn(0))
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        with pytest.raises(SinkError, match="no such file"):
            sink.close(Ending.COMPLETE)
        sink.close(Ending.FAILED)

    def test_what_had_the_name_stays_until_the_new_file_is_whole(
        self, make: Callable[[Path], Sink], tmp_path: Path
    ) -> None:
        old = {tmp_path / "out.mp4": b"old video", tmp_path / "out.jsonl": b"old results"}
        for path, content in old.items():
            path.write_bytes(content)
        sink = make(tmp_path)
        sink.open(INFO)
        sink.write(*drawn(0))
        sink.close(Ending.FAILED)
        assert all(path.read_bytes() == content for path, content in old.items())
        sink = make(tmp_path)
        sink.open(INFO)
        sink.write(*drawn(0))
        sink.close(Ending.COMPLETE)
        assert sum(path.read_bytes() != content for path, content in old.items()) == 1


class TestCollectSink:
    def test_it_keeps_results_and_canvases_and_how_the_run_ended(self) -> None:
        sink = CollectSink(needs_canvas=True)
        sink.open(INFO)
        frames = [drawn(index) for index in range(3)]
        for result, canvas in frames:
            sink.write(result, canvas)
        sink.close(Ending.FAILED)
        assert sink.info is INFO
        assert sink.results == [result for result, _ in frames]
        assert sink.canvases == [canvas for _, canvas in frames]
        assert sink.ending is Ending.FAILED

    def test_canvases_that_were_not_asked_for_are_not_kept(self) -> None:
        sink = CollectSink()
        sink.open(INFO)
        sink.write(*drawn(0))
        assert not sink.canvases


class TestCheckOutput:
    def check(self, path: Path, *sources: Path, overwrite: bool = False) -> None:
        check_output(path, sources=sources, suffixes=(".mp4", ".mkv"), overwrite=overwrite)

    def test_a_new_name_in_a_folder_is_accepted_and_nothing_is_made(self, tmp_path: Path) -> None:
        self.check(tmp_path / "new.MP4", tmp_path / "absent.mp4")
        assert not list(tmp_path.iterdir())

    def test_an_unsupported_ending_is_refused_with_the_supported_ones(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match=r"must end in \.mp4, \.mkv"):
            self.check(tmp_path / "out.avi")

    def test_an_absent_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="there is no folder"):
            self.check(tmp_path / "absent" / "out.mp4")

    def test_a_folder_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SinkError, match="there is no folder"):
            self.check(tmp_path / "file" / "out.mp4")

    def test_a_folder_that_is_not_writable_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # A superuser may write anywhere, so the system's answer is given here.
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(SinkError, match="not writable"):
            self.check(tmp_path / "out.mp4")

    def test_a_folder_with_the_name_of_the_output_is_refused_even_to_overwrite(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").mkdir()
        with pytest.raises(SinkError, match="not a file"):
            self.check(tmp_path / "out.mp4", overwrite=True)

    def test_an_existing_file_is_replaced_only_where_that_is_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").touch()
        with pytest.raises(SinkError, match=r"exists already.*--overwrite"):
            self.check(tmp_path / "out.mp4")
        self.check(tmp_path / "out.mp4", overwrite=True)

    def test_the_input_is_never_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "in.mp4").touch()
        with pytest.raises(SinkError, match="would replace the input"):
            self.check(tmp_path / "in.mp4", tmp_path / "in.mp4", overwrite=True)

    @pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
    def test_nor_is_it_under_another_name(self, tmp_path: Path, link: str) -> None:
        (tmp_path / "in.mp4").touch()
        try:
            getattr(tmp_path / "out.mp4", link)(tmp_path / "in.mp4")
        except OSError:
            pytest.skip("this system does not let us make links")
        with pytest.raises(SinkError, match="would replace the input"):
            self.check(tmp_path / "out.mp4", tmp_path / "in.mp4", overwrite=True)

    def test_nor_is_an_input_that_has_the_name_of_the_part_file(self, tmp_path: Path) -> None:
        (tmp_path / "crowd.part.mp4").write_bytes(b"the rest of an earlier run")
        with pytest.raises(SinkError, match="would replace the input"):
            self.check(tmp_path / "crowd.mp4", tmp_path / "crowd.part.mp4", overwrite=True)

    def test_a_name_that_the_system_does_not_take_is_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="too long") as caught:
            self.check(tmp_path / ("x" * 300 + ".mp4"), tmp_path)
        assert "\n" not in str(caught.value)


def test_the_part_name_keeps_the_ending() -> None:
    assert part_path(Path("a") / "crowd.v2.mp4") == Path("a") / "crowd.v2.part.mp4"


def test_a_write_that_the_disk_takes_in_pieces_is_whole(tmp_path: Path) -> None:
    class Sluggish:
        def __init__(self) -> None:
            self.taken = b""

        def write(self, view: memoryview) -> int:
            self.taken += bytes(view[:7])
            return min(len(view), 7)

        def close(self) -> None:
            pass

    part = PartFile(tmp_path / "x.mp4")
    part.keep()
    sluggish = Sluggish()
    part._file = sluggish  # type: ignore[assignment]
    assert part.write(bytes(range(100))) == 100
    assert sluggish.taken == bytes(range(100))


@pytest.mark.skipif(os.name != "posix", reason="locks and links as POSIX has them")
class TestPartFile:
    def test_two_runs_do_not_write_one_output(self, tmp_path: Path) -> None:
        first = PartFile(tmp_path / "out.mp4")
        first.write(b"first")
        with pytest.raises(SinkError, match="another run is writing it"):
            PartFile(tmp_path / "out.mp4")
        first.publish()
        assert (tmp_path / "out.mp4").read_bytes() == b"first"
        second = PartFile(tmp_path / "out.mp4")
        second.write(b"2")
        second.publish()
        assert (tmp_path / "out.mp4").read_bytes() == b"2"

    def test_a_part_that_is_a_link_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "precious.txt").write_text("precious")
        (tmp_path / "out.part.mp4").symlink_to(tmp_path / "precious.txt")
        with pytest.raises(OSError, match=r"[Ss]ymbolic link"):
            PartFile(tmp_path / "out.mp4")
        assert (tmp_path / "precious.txt").read_text() == "precious"
