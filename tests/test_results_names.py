"""The results file carries a track's first name from its first frame; and looks, where a user asked for them."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.errors import SinkError
from streamer.recorded import MAX_LOOKS, RecordedTrack
from streamer.recordings import read_lines
from streamer.sinks import results
from streamer.sinks.files import part_path
from streamer.types import Ending, Event, FrameResult, SourceInfo
from tests.recorded import Shown, frame_result, named, names_in, objects_in, unit, write_results


def late(*stories: list[str | None]) -> list[FrameResult]:
    """Make frames from each track's names, one a frame; "-": not assessed, "": not there."""
    return [
        frame_result(
            at,
            [
                Shown(number, None if name == "-" else named(name, 0.5 + number / 10))
                for number, name in enumerate(names, start=1)
                if name != ""
            ],
        )
        for at, names in enumerate(zip(*stories, strict=True))
    ]


def test_the_first_name_stands_in_the_frames_before_it_was_known(tmp_path: Path) -> None:
    path = write_results(tmp_path / "clip.jsonl", late(["-", None, "Ana", "Ana"], ["-", None, None, None]))
    assert names_in(path) == [{1: "Ana", 2: "-"}, *[{1: "Ana", 2: None}] * 3]
    first = objects_in(path, "frame")[0]["faces"][0]["identity"]
    assert first == {"name": "Ana", "similarity": 0.6, "probability": 0.95}
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_rewritten_where_nothing_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("rewritten")

    monkeypatch.setattr(results, "rewrite", refuse)
    write_results(tmp_path / "a.jsonl", late(["Ana", None, "Ben"], [None, None, None], ["-", "-", "-"]))
    write_results(tmp_path / "b.jsonl", [])


def test_whoever_stood_there_before_a_renaming_gets_no_name(tmp_path: Path) -> None:
    renamed = Event("renamed", 0.08, 1, "Ana")
    frames = [
        frame_result(0, [Shown(1)]),
        frame_result(1, [Shown(1, named(None))]),
        frame_result(2, [Shown(1, named("Ana"))], [renamed]),
        frame_result(3, [Shown(1, named("Ana"))]),
    ]
    path = write_results(tmp_path / "clip.jsonl", frames)
    assert names_in(path) == [{1: "-"}, {1: None}, {1: "Ana"}, {1: "Ana"}]


def test_of_two_names_the_first_goes_to_the_beginning(tmp_path: Path) -> None:
    frames = late(["-", "Ana", "Ben"])
    frames[2] = frame_result(2, [Shown(1, named("Ben"))], [Event("renamed", 0.08, 1, "Ben")])
    path = write_results(tmp_path / "clip.jsonl", frames)
    assert names_in(path) == [{1: "Ana"}, {1: "Ana"}, {1: "Ben"}]


def test_a_name_is_given_once_a_frame(tmp_path: Path) -> None:
    """Track 1 had Ana while track 2 was not known, which later has her: where both are, one is named."""
    path = write_results(tmp_path / "clip.jsonl", late(["", "Ana", ""], ["-", "-", "Ana"]))
    assert names_in(path) == [{2: "Ana"}, {1: "Ana", 2: "-"}, {2: "Ana"}]


def test_of_two_that_want_a_name_the_more_similar_gets_it(tmp_path: Path) -> None:
    path = write_results(tmp_path / "clip.jsonl", late(["-", "Ana", ""], ["-", "", "Ana"]))
    assert names_in(path) == [{1: "-", 2: "Ana"}, {1: "Ana"}, {2: "Ana"}]


def test_a_live_file_stays_as_it_was_written(tmp_path: Path) -> None:
    info = SourceInfo("source", "camera", 64, 48, 25.0, is_live=True)
    path = write_results(tmp_path / "clip.jsonl", late(["-", "Ana"]), info=info)
    assert names_in(path) == [{1: "-"}, {1: "Ana"}]


def test_an_interrupted_run_is_finished_and_a_failed_one_is_left(tmp_path: Path) -> None:
    frames = late(["-", "Ana"])
    path = write_results(tmp_path / "clip.jsonl", frames, ending=Ending.INTERRUPTED)
    assert names_in(path) == [{1: "Ana"}] * 2
    write_results(tmp_path / "bad.jsonl", frames, ending=Ending.FAILED)
    assert names_in(tmp_path / "bad.part.jsonl") == [{1: "-"}, {1: "Ana"}]


def test_a_rewriting_that_fails_leaves_whole_lines_under_the_part_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise SinkError("cannot write: no space")

    monkeypatch.setattr(results, "rewrite", refuse)
    with pytest.raises(SinkError, match="no space"):
        write_results(tmp_path / "clip.jsonl", late(["-", "Ana"]))
    assert not (tmp_path / "clip.jsonl").exists()
    assert [line["type"] for line in objects_in(tmp_path / "clip.part.jsonl")] == (
        ["header", "frame", "frame", "track", "summary"]
    )


def test_a_full_disk_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SinkError, match="no space left"):
        write_results(tmp_path / "clip.jsonl", late(["-", "Ana"]))


class TestLooks:
    def track(self, path: Path) -> RecordedTrack:
        (track,) = [line.record for line in read_lines(path) if isinstance(line.record, RecordedTrack)]
        return track

    def test_a_file_with_looks_says_whose_they_are_and_is_private(self, tmp_path: Path) -> None:
        path = write_results(tmp_path / "clip.jsonl", [frame_result(0, [Shown(1, None, unit(1))])])
        assert objects_in(path)[0]["embedder"] == {"name": "dlib-resnet", "sha256": "a" * 64}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_it_is_private_from_the_start_also_where_a_part_was_left(self, tmp_path: Path) -> None:
        part = part_path(tmp_path / "clip.jsonl")
        part.touch(0o644)
        frames = [frame_result(0, [Shown(1, None, unit(1))])]
        write_results(tmp_path / "clip.jsonl", frames, ending=Ending.FAILED)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600

    def test_without_a_wish_nothing_is_kept_and_the_file_is_as_any(self, tmp_path: Path) -> None:
        path = write_results(tmp_path / "clip.jsonl", [frame_result(0, [Shown(1, None, unit(1))])], embedder=None)
        assert "embedder" not in objects_in(path)[0]
        assert not {"looks", "crop"} & objects_in(path, "track")[0].keys()
        (tmp_path / "any").touch()
        assert path.stat().st_mode == (tmp_path / "any").stat().st_mode

    def test_many_looks_are_thinned_to_good_ones_over_all_of_the_time(self, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        qualities = random.uniform(0.1, 0.9, 400)
        qualities[123] = 0.95
        frames = [
            frame_result(at, [Shown(1, None, unit(1, at), float(quality))]) for at, quality in enumerate(qualities)
        ]
        looks = self.track(write_results(tmp_path / "clip.jsonl", frames)).looks
        assert len(looks) == MAX_LOOKS
        times = [look.pts_seconds for look in looks]
        assert 123 / 25 in times
        assert np.diff([0.0, *times, 400 / 25]).max() < 3 * (400 / 25) / MAX_LOOKS
        assert np.mean([look.quality for look in looks]) > qualities.mean() + 0.1

    def test_the_crop_is_that_of_the_best_look(self, tmp_path: Path) -> None:
        shades = [(10, 0.2), (200, 0.9), (90, 0.5)]
        frames = []
        for at, (shade, quality) in enumerate(shades):
            result = frame_result(at, [Shown(1, None, unit(1), quality)])
            look = result.annotations[0].look
            assert look is not None
            look.crop[:] = shade
            frames.append(result)
        crop = self.track(write_results(tmp_path / "clip.jsonl", frames)).crop
        assert crop is not None
        picture = cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (150, 150, 3)
        assert abs(float(picture.mean()) - 200) < 3
