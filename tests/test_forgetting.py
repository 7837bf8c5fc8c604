"""Taking a person out of results files: everywhere, verified, all or nothing a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import GalleryError
from streamer.forgetting import forget_in_recordings
from streamer.naming import name_stranger
from streamer.recognition.gallery import EmbedderId, load_gallery
from streamer.sinks.files import PartFile
from streamer.strangers import find_strangers
from streamer.strangers_file import load_strangers, remember_strangers
from streamer.types import Ending, Event
from tests.recorded import EMBEDDER, Shown, frame_result, named, names_in, objects_in, unit, write_results

NET = EmbedderId(EMBEDDER.name, EMBEDDER.sha256)
ANA, BEN = unit(1), unit(0, 1)


def two_people(path: Path, name: str = "Ana", *, ending: Ending = Ending.COMPLETE) -> Path:
    identified = Event("identified", 0.0, 1, name)
    frames = [
        frame_result(0, [Shown(1, named(name), ANA), Shown(2, named("Ben"), BEN)], [identified]),
        frame_result(1, [Shown(1, named(name)), Shown(2, named("Ben"))], [Event("left", 0.04, 1, name)]),
    ]
    return write_results(path, frames, ending=ending)


def test_the_name_the_looks_and_the_crop_are_gone_and_all_else_stays(tmp_path: Path) -> None:
    path = two_people(tmp_path / "a.jsonl")
    before = objects_in(path)
    report = forget_in_recordings(tmp_path, "Ana")
    assert (report.searched, report.changed, report.tracks) == (1, (path,), 1)
    assert b"Ana" not in path.read_bytes()
    assert names_in(path) == [{1: None, 2: "Ben"}] * 2
    first, second = objects_in(path, "track")
    assert (first["name"], first["looks"], first["crop"]) == (None, [], None)
    assert second in before
    assert [event["name"] for event in objects_in(path, "event")] == [None, None]
    assert objects_in(path, "frame")[0]["faces"][0]["identity"]["similarity"] == -1.0


def test_every_file_under_the_folder_is_searched_and_no_link_followed_out_of_it(tmp_path: Path) -> None:
    outside = two_people(tmp_path / "outside.jsonl")
    (tmp_path / "other").mkdir()
    two_people(tmp_path / "other" / "x.jsonl")
    folder = tmp_path / "recordings"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    inside = [two_people(folder / "a.jsonl"), two_people(folder / "deep" / ".hidden" / "B.JSONL")]
    (folder / "link.jsonl").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "notes.jsonl").write_text('{"about": "Ana"}\n')
    (folder / "notes.txt").write_text("Ana")
    os.mkfifo(folder / "pipe.jsonl")
    report = forget_in_recordings(folder, "Ana")
    assert sorted(report.changed) == sorted(inside)
    assert b"Ana" in outside.read_bytes()
    assert b"Ana" in (tmp_path / "other" / "x.jsonl").read_bytes()


def test_what_interrupted_runs_and_rewritings_left_is_cleaned_too(tmp_path: Path) -> None:
    two_people(tmp_path / "a.jsonl", ending=Ending.FAILED)
    content = two_people(tmp_path / "b.jsonl").read_bytes()
    (tmp_path / "b.rewriting.part.jsonl").write_bytes(content[: len(content) // 2])
    assert len(forget_in_recordings(tmp_path, "Ana").changed) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"a.part.jsonl", "b.jsonl"}
    assert all(b"Ana" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_file_without_the_person_is_not_touched(tmp_path: Path) -> None:
    path = two_people(tmp_path / "a.jsonl", "Cem")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    assert forget_in_recordings(tmp_path, "Ana").changed == ()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ("<b>Ana</b>", "<b>Ana</b>"),
        ("Ana", "Ana"),
        ("  Ana ", "Ana"),
        ("E\u0301va", "\u00c9va"),
        ("../../x", "../../x"),
    ],
)
def test_names_are_compared_as_the_gallery_keeps_them(tmp_path: Path, asked: str, recorded: str) -> None:
    path = two_people(tmp_path / "a.jsonl", recorded)
    assert forget_in_recordings(tmp_path, asked).changed == (path,)
    assert names_in(path) == [{1: None, 2: "Ben"}] * 2


@pytest.mark.parametrize("name", ["a\nb", "x" * 10_000, "\udc80"])
def test_recorded_names_that_can_be_nobody_s_are_passed_over(tmp_path: Path, name: str) -> None:
    path = two_people(tmp_path / "a.jsonl", name)
    assert forget_in_recordings(tmp_path, "Ana").changed == ()
    assert forget_in_recordings(tmp_path, "Ben").changed == (path,)
    assert names_in(path)[0] == {1: name, 2: None}


def test_a_track_that_was_renamed_loses_its_looks_and_keeps_the_other_name(tmp_path: Path) -> None:
    frames = [frame_result(0, [Shown(1, named("Ana"), ANA)]), frame_result(1, [Shown(1, named("Ben"), BEN)])]
    path = write_results(tmp_path / "a.jsonl", frames)
    forget_in_recordings(tmp_path, "Ana")
    assert names_in(path) == [{1: None}, {1: "Ben"}]
    (track,) = objects_in(path, "track")
    assert (track["name"], track["looks"]) == ("Ben", [])


def test_a_named_stranger_s_tracks_are_forgotten_though_they_never_had_the_name(tmp_path: Path) -> None:
    """Two tracks were gathered as one stranger and named Ana; both lose their looks, and the notes forget them."""
    frames = [
        frame_result(at, [Shown(1, named(None), ANA), Shown(3, named(None), BEN)])
        if at < 5
        else frame_result(at, [Shown(2, named(None), unit(1, 0.02))])
        for at in range(10)
    ]
    path = write_results(tmp_path / "a.jsonl", frames)
    gallery = tmp_path / "gallery"
    remember_strangers(gallery, find_strangers([path], NET, 0.06))
    name_stranger(gallery, NET, 1, "Ana")
    vectors = load_gallery(gallery).people[0].embeddings
    report = forget_in_recordings(tmp_path, "Ana", vectors=vectors, gallery=gallery)
    assert (report.changed, report.tracks) == ((path,), 2)
    assert [bool(track["looks"]) for track in objects_in(path, "track")] == [False, False, True]
    (known,) = load_strangers(gallery)
    assert [track.track_id for track in known.tracks] == [3]
    assert name_stranger(gallery, NET, known.number, "Ben").looks == 5  # its file is known under its new content


def test_one_file_that_fails_is_told_and_the_others_are_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = two_people(tmp_path / "a.jsonl"), two_people(tmp_path / "b.jsonl")
    bad.write_bytes(bad.read_bytes().replace(b'"scanned":true', b'"scanned":maybe', 1))
    with pytest.raises(GalleryError, match=r"not forgotten in all of .*a\.jsonl is damaged in line 2.*1 files"):
        forget_in_recordings(tmp_path, "Ana")
    assert b"Ana" not in good.read_bytes()
    bad.unlink()
    again = two_people(tmp_path / "c.jsonl")
    before = again.read_bytes()

    def refuse(part: PartFile) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartFile, "sync", refuse)
    with pytest.raises(GalleryError, match="no space left"):
        forget_in_recordings(tmp_path, "Ana")
    assert again.read_bytes() == before


def test_what_a_rewriting_left_behind_is_found_by_reading_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_people(tmp_path / "a.jsonl")
    monkeypatch.setattr("streamer.forgetting.rewrite", lambda path, change: None)
    with pytest.raises(GalleryError, match=r"a\.jsonl still holds something of Ana; remove it yourself"):
        forget_in_recordings(tmp_path, "Ana")


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be searched"):
        forget_in_recordings(tmp_path / "none", "Ana")
    with pytest.raises(GalleryError, match="empty"):
        forget_in_recordings(tmp_path, " ")


def test_vectors_of_another_net_are_nobody_s(tmp_path: Path) -> None:
    two_people(tmp_path / "a.jsonl", "Cem")
    assert forget_in_recordings(tmp_path, "Ana", vectors=np.eye(4, dtype=np.float32)).changed == ()
