"""Rewriting results files: all or nothing, whatever fails and whenever the program dies."""

from __future__ import annotations

import errno
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.errors import SinkError, SourceOpenError
from streamer.recordings import Line
from streamer.sinks.files import PartFile, part_path
from streamer.sinks.results_lines import Fields
from streamer.sinks.rewriting import rewrite
from tests.recorded import Shown, frame_result, named, objects_in, write_results


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_results(tmp_path / "clip.jsonl", [frame_result(at, [Shown(1, named("Ana"))]) for at in range(5)])


def marked(lines: Iterator[Line]) -> Iterator[Line | Fields]:
    for line in lines:
        yield {**line.fields, "note": "ü\u2028"} if line.fields["type"] == "frame" else line


def test_lines_go_through_the_function_and_all_others_keep_their_bytes(recording: Path) -> None:
    before = recording.read_bytes().splitlines()
    rewrite(recording, marked)
    after = recording.read_bytes().splitlines()
    assert [line["note"] for line in objects_in(recording, "frame")] == ["ü\u2028"] * 5
    assert [after[0], *after[6:]] == [before[0], *before[6:]]
    assert list(recording.parent.iterdir()) == [recording]


def test_another_file_may_be_written_and_the_first_stays(recording: Path) -> None:
    before = recording.read_bytes()
    rewrite(recording, marked, to=recording.with_name("new.jsonl"))
    assert recording.read_bytes() == before
    assert len(objects_in(recording.with_name("new.jsonl"), "frame")) == 5


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_who_may_read_it_stays_as_it_was(recording: Path, mode: int) -> None:
    recording.chmod(mode)
    rewrite(recording, marked)
    assert stat.S_IMODE(recording.stat().st_mode) == mode


def test_a_link_goes_on_leading_to_the_file(recording: Path) -> None:
    link = recording.with_name("link.jsonl")
    link.symlink_to(recording)
    rewrite(link, marked)
    assert link.is_symlink()
    assert objects_in(recording, "frame")[0]["note"]


def test_a_line_that_was_cut_off_is_left_out(recording: Path) -> None:
    content = recording.read_bytes()
    recording.write_bytes(content[:-5])
    rewrite(recording, marked)
    assert [line["type"] for line in objects_in(recording)] == ["header", *["frame"] * 5, "track"]


def test_a_write_that_fails_at_the_nth_call_leaves_the_old_file(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = recording.read_bytes()
    real = {"write": PartFile.write, "sync": PartFile.sync, "keep": PartFile.keep, "replace": Path.replace}
    calls, fails_at = [0], [0]

    def counted(name: str) -> object:
        def call(*arguments: object) -> object:
            calls[0] += 1
            if calls[0] == fails_at[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real[name](*arguments)  # type: ignore[operator]

        return call

    for name in ("write", "sync", "keep"):
        monkeypatch.setattr(PartFile, name, counted(name))
    monkeypatch.setattr(Path, "replace", counted("replace"))
    rewrite(recording, lambda lines: lines)
    count = calls[0]
    assert count == len(before.splitlines()) + 3
    for fails_at[0] in range(1, count + 1):
        calls[0] = 0
        with pytest.raises(SinkError, match="no space left on device"):
            rewrite(recording, marked)
        assert recording.read_bytes() == before
        assert list(recording.parent.iterdir()) == [recording]


def test_what_the_function_raises_changes_nothing(recording: Path) -> None:
    before = recording.read_bytes()

    def fail(lines: Iterator[Line]) -> Iterator[Line]:
        yield next(lines)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrite(recording, fail)
    assert recording.read_bytes() == before
    assert list(recording.parent.iterdir()) == [recording]


def test_a_damaged_file_is_told_and_stays(recording: Path) -> None:
    recording.write_bytes(recording.read_bytes().replace(b'"type":"track"', b'"type":"truck"'))
    before = recording.read_bytes()
    with pytest.raises(SourceOpenError, match="line 7"):
        rewrite(recording, marked)
    assert recording.read_bytes() == before
    with pytest.raises(SourceOpenError, match="does not exist"):
        rewrite(recording.with_name("none.jsonl"), marked)


def test_a_file_that_a_run_writes_is_left_alone(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "clip.jsonl")
    with pytest.raises(SinkError, match="being written by another program"):
        rewrite(part_path(tmp_path / "clip.jsonl"), marked)
    part.keep()


def test_one_rewriting_keeps_another_out(recording: Path) -> None:
    def again(lines: Iterator[Line]) -> Iterator[Line]:
        with pytest.raises(SinkError, match="being written by another program"):
            rewrite(recording, marked)
        yield from lines

    rewrite(recording, again)
    assert "note" not in objects_in(recording, "frame")[0]


def test_what_a_killed_run_left_under_its_part_name_stays(recording: Path) -> None:
    part_path(recording).write_text("somebody's")
    rewrite(recording, marked)
    assert part_path(recording).read_text() == "somebody's"


_REWRITER = """
import sys
from pathlib import Path
from streamer.sinks.rewriting import rewrite

def change(lines):
    for place, line in enumerate(lines):
        if place == int(sys.argv[2]):
            print("half way", flush=True)
            sys.stdin.read()
        yield {**line.fields, "note": 1}

rewrite(Path(sys.argv[1]), change)
"""


@pytest.mark.timeout(30)
@pytest.mark.parametrize("place", [0, 4])
def test_a_killed_rewriting_leaves_the_old_file_and_can_be_done_again(recording: Path, place: int) -> None:
    before = recording.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", _REWRITER, str(recording), str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"half way"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert recording.read_bytes() == before
    rewrite(recording, marked)
    assert list(recording.parent.iterdir()) == [recording]
