"""Naming recorded tracks anew from their looks: frames, events and tracks say the same, one name once a frame."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import GalleryError, SinkError, SourceOpenError, StreamerError, UsageError
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.people import EmbedderId, Gallery, Person
from streamer.recorded import RecordedEmbedder, RecordedLook
from streamer.relabelling import Relabelling, relabel, stretches_of
from streamer.types import Event, Float32
from tests.recorded import EMBEDDER, Shown, frame_result, named, names_in, objects_in, unit, write_results

NET = EmbedderId(EMBEDDER.name, EMBEDDER.sha256)
ANA, BEN, STRANGER = unit(1), unit(0, 1), unit(0, 0, 1)


def gallery_of(**people: Float32) -> Gallery:
    return Gallery(NET, tuple(Person(name, vector[None], ("photo",)) for name, vector in people.items()))


BOTH = gallery_of(Ana=ANA, Ben=BEN)


def done(path: Path, gallery: Gallery = BOTH, *, to: Path | None = None) -> Relabelling:
    return relabel(path, gallery, CosineMatcher(gallery, similarity_threshold=0.7), to=to)


def recorded(path: Path, *frames: Iterable[Shown], events: dict[int, list[Event]] | None = None) -> Path:
    return write_results(path, [frame_result(at, faces, (events or {}).get(at, ())) for at, faces in enumerate(frames)])


def events_in(path: Path) -> list[tuple[str, float, int | None, str | None]]:
    return [(one["kind"], one["pts_seconds"], one["track_id"], one["name"]) for one in objects_in(path, "event")]


def track_names(path: Path) -> dict[int, str | None]:
    return {track["track_id"]: track["name"] for track in objects_in(path, "track")}


def test_an_unknown_track_gets_its_name_from_its_first_frame_everywhere(tmp_path: Path) -> None:
    appeared, left = Event("appeared", 0.0, 1), Event("left", 0.12, 1)
    path = recorded(
        tmp_path / "clip.jsonl",
        [Shown(1)],
        [Shown(1, named(None), ANA)],
        [Shown(1, named(None))],
        [],
        events={0: [appeared], 3: [left]},
    )
    assert done(path) == Relabelling(1, {"Ana": 1}, 0)
    assert names_in(path) == [{1: "Ana"}, {1: "Ana"}, {1: "Ana"}, {}]
    assert events_in(path) == [
        ("appeared", 0.0, 1, None),
        ("identified", 0.0, 1, "Ana"),
        ("left", 0.12, 1, "Ana"),
    ]
    assert track_names(path) == {1: "Ana"}
    first, _, third, _ = [frame["faces"] for frame in objects_in(path, "frame")]
    assert first[0]["identity"] == third[0]["identity"]
    assert first[0]["identity"]["similarity"] == 1.0


def test_it_can_be_done_again_and_then_changes_nothing(tmp_path: Path) -> None:
    path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, ANA), Shown(2, None, STRANGER)], [Shown(2)])
    assert done(path) == Relabelling(2, {"Ana": 1}, 0)
    content = path.read_bytes()
    assert done(path) == Relabelling(2, {}, 0)
    assert path.read_bytes() == content


def test_a_name_that_the_gallery_has_no_more_is_removed(tmp_path: Path) -> None:
    identified = Event("identified", 0.0, 1, "Ana")
    path = recorded(tmp_path / "clip.jsonl", [Shown(1, named("Ana"), ANA)], events={0: [identified]})
    assert done(path, gallery_of(Ben=BEN)) == Relabelling(1, {}, 1)
    assert names_in(path) == [{1: None}]
    assert events_in(path) == []
    assert track_names(path) == {1: None}


def test_with_nobody_enrolled_nobody_is_assessed(tmp_path: Path) -> None:
    path = recorded(tmp_path / "clip.jsonl", [Shown(1, named("Ana"), ANA)])
    assert done(path, Gallery(NET)) == Relabelling(1, {}, 1)
    assert names_in(path) == [{1: "-"}]


def test_a_name_goes_once_to_those_who_are_seen_together(tmp_path: Path) -> None:
    """Track 2 resembles Ana, too, but less; it is in one frame with track 1, and so somebody else in all of them."""
    alike = unit(1, 0, 0.6)
    path = recorded(
        tmp_path / "clip.jsonl", [Shown(2, None, alike)], [Shown(1, None, ANA), Shown(2)], [Shown(3, None, alike)]
    )
    assert done(path) == Relabelling(3, {"Ana": 2}, 0)
    assert names_in(path) == [{2: None}, {1: "Ana", 2: None}, {3: "Ana"}]
    assert track_names(path) == {1: "Ana", 2: None, 3: "Ana"}


def test_whoever_comes_to_stand_there_is_renamed_at_that_time(tmp_path: Path) -> None:
    frames = [[Shown(1, None, ANA)]] * 3 + [[Shown(1)]] + [[Shown(1, None, BEN)]] * 3
    path = recorded(tmp_path / "clip.jsonl", *frames)
    done(path)
    assert names_in(path) == [{1: "Ana"}] * 4 + [{1: "Ben"}] * 3
    assert events_in(path) == [("identified", 0.0, 1, "Ana"), ("renamed", 0.16, 1, "Ben")]
    assert track_names(path) == {1: "Ben"}


def test_a_face_that_was_never_looked_at_keeps_what_was_recorded(tmp_path: Path) -> None:
    path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, ANA), Shown(2, named("Ana"))], [Shown(1)])
    done(path)
    assert names_in(path) == [{1: None, 2: "Ana"}, {1: "Ana"}]


def test_all_that_is_not_a_name_stays(tmp_path: Path) -> None:
    path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, ANA), Shown(2)])
    before = objects_in(path)
    done(path)
    after = objects_in(path)
    after[1]["faces"][0]["identity"] = None
    del after[2]  # identified
    after[2]["name"] = None
    assert after == before


class TestStretches:
    MATCHER = CosineMatcher(BOTH, similarity_threshold=0.7)

    def names(self, *views: Float32, qualities: dict[int, float] | None = None) -> list[tuple[float, str | None]]:
        looks = [
            RecordedLook(float(at), (qualities or {}).get(at, 0.8), vector) for at, vector in enumerate(views, start=1)
        ]
        return [(one.start_seconds, one.name) for one in stretches_of(looks, self.MATCHER)]

    def test_one_look_at_somebody_else_changes_nothing(self) -> None:
        assert self.names(ANA, ANA, BEN, ANA, ANA) == [(-math.inf, "Ana")]

    def test_two_looks_in_a_row_do_from_the_first_of_them(self) -> None:
        assert self.names(ANA, ANA, ANA, BEN, BEN, BEN) == [(-math.inf, "Ana"), (4.0, "Ben")]

    def test_a_stranger_takes_three(self) -> None:
        assert self.names(ANA, ANA, ANA, ANA, STRANGER, STRANGER, ANA) == [(-math.inf, "Ana")]
        assert self.names(ANA, ANA, ANA, STRANGER, STRANGER, STRANGER) == [(-math.inf, "Ana"), (4.0, None)]

    def test_bad_looks_do_not_outvote_good_ones(self) -> None:
        assert self.names(ANA, ANA, BEN, BEN, BEN, qualities=dict.fromkeys((3, 4, 5), 0.1)) == [(-math.inf, "Ana")]

    def test_the_stretches_cover_all_time(self) -> None:
        looks = [RecordedLook(float(at), 0.8, vector) for at, vector in enumerate([ANA, ANA, BEN, BEN])]
        first, second = stretches_of(looks, self.MATCHER)
        assert (first.end_seconds, second.end_seconds) == (second.start_seconds, math.inf)


class TestFaults:
    def test_files_that_hold_no_looks_say_what_to_do(self, tmp_path: Path) -> None:
        path = write_results(tmp_path / "clip.jsonl", [frame_result(0, [Shown(1)])], embedder=None)
        with pytest.raises(UsageError, match=r"clip\.jsonl holds no face vectors; .*process --keep-embeddings"):
            done(path)

    def test_another_net_s_vectors_are_refused(self, tmp_path: Path) -> None:
        path = write_results(tmp_path / "clip.jsonl", [], embedder=RecordedEmbedder("other", "b" * 64))
        with pytest.raises(GalleryError, match="was made with the net other"):
            done(path)

    def test_vectors_of_another_length_are_told(self, tmp_path: Path) -> None:
        path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, unit(1, dimension=4))])
        with pytest.raises(SourceOpenError, match="lengths of 4 and 8"):
            done(path)

    def test_the_original_stays_where_another_file_is_written(self, tmp_path: Path) -> None:
        path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, ANA)])
        before = path.read_bytes()
        done(path, to=tmp_path / "new.jsonl")
        assert path.read_bytes() == before
        assert names_in(tmp_path / "new.jsonl") == [{1: "Ana"}]

    def test_a_full_disk_leaves_the_file_as_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, ANA)])
        before = path.read_bytes()

        def refuse(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", refuse)
        with pytest.raises(SinkError, match="no space left"):
            done(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.timeout(30)
    def test_whatever_bytes_are_damaged_it_is_done_or_told_and_then_left(self, tmp_path: Path) -> None:
        path = recorded(tmp_path / "clip.jsonl", [Shown(1, None, ANA), Shown(2, named("Ben"), BEN)], [Shown(1)])
        content = path.read_bytes()
        random = np.random.default_rng(8)
        told = 0
        for _ in range(200):
            damaged = bytearray(content)
            damaged[int(random.integers(0, len(content)))] = int(random.integers(0, 256))
            path.write_bytes(damaged)
            try:
                done(path)
            except StreamerError:
                told += 1
                assert path.read_bytes() == damaged
        assert 20 < told < 200
