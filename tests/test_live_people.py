"""People are enrolled, and wrong names taken away, while a run goes on: what the next frames show, and what is kept."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from streamer.errors import GalleryError, UsageError
from streamer.labels import LabelPolicy
from streamer.live_gallery import DiskGallery, MemoryGallery
from streamer.recognition import gallery as stored
from streamer.recognition.gallery import edit_gallery, forget, load_gallery
from streamer.recognition.people import Gallery, Person
from streamer.types import Float32, SourceInfo
from tests.live_fakes import (
    EMBEDDER,
    FPS,
    GREEN,
    ORANGE,
    RED,
    Colour,
    LiveShow,
    TexturedEmbedder,
    drawn,
    events,
    names,
    track_of,
)

HERE, THERE, AWAY = (40.0, 60.0), (200.0, 60.0), (360.0, 60.0)


def at(place: tuple[float, float], colour: Colour) -> tuple[float, float, Colour]:
    return (*place, colour)


ANA, CLEO = at(HERE, RED), at(THERE, GREEN)


def person_like(name: str, colour: Colour) -> Person:
    """Return somebody enrolled from photos of a colour."""
    crops = np.full((1, 8, 8, 3), colour, np.uint8)
    vectors: Float32 = TexturedEmbedder().embed(crops)
    return Person(name, vectors, ("photo.jpg",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def show(folder: Path) -> LiveShow:
    return LiveShow(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name != stored.LOCK_NAME}


def enrolled_show(folder: Path, name: str = "Ana") -> tuple[LiveShow, int]:
    """Return a run in which the red face has been enrolled."""
    show = LiveShow(folder)
    track = track_of(show.watch(ANA, CLEO), RED)
    show.people.enrol("s", track, name)
    return show, track


class TestEnrolment:
    def test_the_next_frame_shows_the_name_and_the_event_and_nobody_else_changes(self, show: LiveShow) -> None:
        """Also where nobody was known before, so that nobody was assessed."""
        before = show.watch(ANA, CLEO)
        assert names(before) == {}
        track = track_of(before, RED)
        enrolled = show.people.enrol("s", track, "Ana")
        after = show.step(ANA, CLEO)
        assert names(after) == {RED: "Ana", GREEN: None}
        assert events(after) == [("identified", track, "Ana")]
        assert (enrolled.name, enrolled.was_known, enrolled.is_kept) == ("Ana", False, True)
        assert enrolled.text.startswith("Ana is known now, from ")
        assert names(show.watch(ANA, CLEO, seconds=4)) == {RED: "Ana", GREEN: None}

    def test_it_survives_a_restart(self, folder: Path) -> None:
        enrolled_show(folder)
        again = LiveShow(folder)
        assert names(again.watch(ANA, CLEO)) == {RED: "Ana", GREEN: None}

    def test_what_is_kept_says_where_it_is_from_and_has_pictures(self, folder: Path) -> None:
        enrolled_show(folder)
        (ana,) = load_gallery(folder, EMBEDDER).people
        assert all(source.startswith("live 20") and source.endswith(" (camera s)") for source in ana.sources)
        small = cv2.imdecode(np.frombuffer(ana.thumbnails[0], np.uint8), cv2.IMREAD_COLOR)
        assert small is not None
        assert small.shape == (96, 96, 3)

    @pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
    def test_what_is_kept_is_private(self, folder: Path) -> None:
        enrolled_show(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert all(entry.stat().st_mode & 0o177 == 0 for entry in folder.iterdir())

    def test_a_second_person_is_enrolled_beside_the_first(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        result = show.step(ANA, CLEO)
        show.people.enrol("s", track_of(result, GREEN), "Cleo")
        assert names(show.step(ANA, CLEO)) == {RED: "Ana", GREEN: "Cleo"}

    def test_who_leaves_and_comes_back_is_named(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        show.watch(CLEO, seconds=2)
        assert names(show.watch(at(AWAY, RED), CLEO, seconds=0.5)) == {RED: "Ana", GREEN: None}

    def test_who_left_a_moment_ago_can_be_enrolled_still(self, show: LiveShow) -> None:
        track = track_of(show.watch(ANA), RED)
        show.watch(seconds=5)
        show.people.enrol("s", track, "Ana")
        assert names(show.watch(ANA, seconds=0.5)) == {RED: "Ana"}

    def test_the_looks_of_a_known_name_are_added(self, folder: Path) -> None:
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", ORANGE)))
        show = LiveShow(folder)
        enrolled = show.people.enrol("s", track_of(show.watch(ANA), RED), " Ana ")
        assert enrolled.was_known
        assert enrolled.text.endswith("more of Ana")
        assert load_gallery(folder).photo_count == 1 + enrolled.looks

    def test_the_same_looks_twice_are_said_to_be_known(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        again = show.people.enrol("s", track, "Ana")
        assert again.looks == 0
        assert again.notes[0] == "Ana was known by these looks already"

    def test_a_face_like_somebody_elses_is_enrolled_with_a_warning(self, folder: Path) -> None:
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Olga", ORANGE)))
        show = LiveShow(folder)
        track = track_of(show.watch(ANA), RED)
        enrolled = show.people.enrol("s", track, "Ana")
        assert any("the face looks like Olga, too" in note for note in enrolled.notes)
        result = show.step(ANA)
        assert names(result) == {RED: "Ana"}
        assert events(result) == [("renamed", track, "Ana")]

    def test_a_name_that_is_held_by_who_stands_beside_goes_to_the_face_that_was_pointed_at(self, folder: Path) -> None:
        """The user's word goes before a likeness, also where the other one has had the name for long."""
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", RED)))
        show = LiveShow(folder)
        orange = at(THERE, ORANGE)
        result = show.watch(ANA, orange, seconds=2)
        assert names(result)[RED] == "Ana"
        show.people.enrol("s", track_of(result, ORANGE), "Ana")
        assert names(show.step(ANA, orange)) == {RED: None, ORANGE: "Ana"}
        assert names(show.watch(ANA, orange, seconds=4)) == {RED: None, ORANGE: "Ana"}

    def test_who_is_enrolled_at_one_camera_is_known_at_all_of_them_at_once(self, folder: Path) -> None:
        show = LiveShow(folder, sources=("a", "b"))
        track = track_of(show.watch(ANA, source="a"), RED)
        show.watch(CLEO, at(AWAY, RED), source="b")
        show.people.enrol("a", track, "Ana")
        assert names(show.step(CLEO, at(AWAY, RED), source="b")) == {GREEN: None, RED: "Ana"}
        assert names(show.step(ANA, source="a")) == {RED: "Ana"}

    def test_two_galleries_do_not_mix(self, tmp_path: Path) -> None:
        (first, one), (second, two) = (enrolled_show(tmp_path / name, name) for name in ("Ana", "Bea"))
        assert one == two
        assert names(first.step(ANA))[RED] == "Ana"
        assert names(second.step(ANA))[RED] == "Bea"
        assert load_gallery(tmp_path / "Ana").names == ("Ana",)

    def test_a_gallery_in_memory_is_for_the_run_only(self, tmp_path: Path) -> None:
        known = Gallery(EMBEDDER, (person_like("Olga", ORANGE),))
        show = LiveShow(MemoryGallery(known))
        result = show.watch(CLEO)
        enrolled = show.people.enrol("s", track_of(result, GREEN), "Cleo")
        assert not enrolled.is_kept
        assert enrolled.text.endswith("; for this run only")
        assert names(show.step(CLEO)) == {GREEN: "Cleo"}
        assert "for this run only" in show.people.deny("s", track_of(result, GREEN)).text
        assert names(show.step(CLEO)) == {GREEN: None}
        assert show.people.refresh_if_changed() is None
        assert list(tmp_path.iterdir()) == []

    def test_with_a_trained_matcher_all_is_refused_in_one_line(self) -> None:
        show = LiveShow(None)
        track = track_of(show.watch(ANA), RED)
        for change in (
            lambda: show.people.enrol("s", track, "Ana"),
            lambda: show.people.deny("s", track),
            show.people.undo,
        ):
            with pytest.raises(UsageError, match="without --matcher") as error:
                change()
            assert str(error.value).isprintable()
        assert show.people.refresh_if_changed() is None

    def test_a_face_can_be_looked_at_more_closely_while_its_name_is_typed(self, show: LiveShow) -> None:
        track = track_of(show.watch(ANA, CLEO, seconds=3), RED)
        show.embedder.calls.clear()
        show.watch(ANA, CLEO, seconds=2)
        usual = sum(show.embedder.calls)
        show.people.look_closely("s", track)
        show.embedder.calls.clear()
        show.watch(ANA, CLEO, seconds=2)
        closely = sum(show.embedder.calls)
        show.people.look_as_usual("s", track)
        show.embedder.calls.clear()
        show.watch(ANA, CLEO, seconds=2)
        assert sum(show.embedder.calls) <= usual + 1
        assert usual + 10 <= closely <= usual + 20

    def test_a_source_that_begins_anew_has_nobody_who_is_looked_at_closely(self, show: LiveShow) -> None:
        track = track_of(show.watch(ANA, seconds=3), RED)
        show.people.look_closely("s", track)
        show.pipeline.begin(SourceInfo("s", "camera s", 480, 180, FPS, is_live=True))
        show.watch(ANA, seconds=3)
        show.embedder.calls.clear()
        assert track_of(show.watch(ANA), RED) == track
        assert sum(show.embedder.calls) <= 3

    def test_close_looks_stay_within_the_budget(self, folder: Path) -> None:
        policy = LabelPolicy(same_similarity=None, keep_looks=True, embeddings_per_second=2.0)
        show = LiveShow(folder, policy=policy)
        track = track_of(show.watch(ANA), RED)
        show.people.look_closely("s", track)
        show.embedder.calls.clear()
        show.watch(ANA, seconds=4)
        assert sum(show.embedder.calls) <= 9


class TestRefusals:
    @pytest.mark.parametrize(
        "name", ["", "  ", "x" * 10_240, "a\nb", "a\x1b[31mb", "a\x00", "\x7f", "a\u2028b"], ids=repr
    )
    def test_what_is_no_name_is_refused_in_one_line(self, show: LiveShow, folder: Path, name: str) -> None:
        track = track_of(show.watch(ANA), RED)
        with pytest.raises(GalleryError) as error:
            show.people.enrol("s", track, name)
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 400
        assert not folder.exists()

    @pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "<b>", "gallery.json", "'; --", "Zoë 李小龍"])
    def test_a_name_is_data_and_never_a_path(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "deep" / "gallery"
        show, _ = enrolled_show(folder, name)
        assert names(show.step(ANA))[RED] == name
        assert load_gallery(folder).names == (name,)
        assert [entry.name for entry in tmp_path.iterdir()] == ["deep"]
        assert {entry.name.split("-")[0] for entry in folder.iterdir()} == {
            stored.INDEX_NAME,
            stored.LOCK_NAME,
            "vectors",
        }

    def test_a_small_face_is_told_to_come_nearer(self, show: LiveShow) -> None:
        track = track_of(show.watch(ANA, side=30), RED)
        assert show.people.readiness("s", track).advice == "come nearer"
        with pytest.raises(GalleryError, match=r"has only 30 px .* come nearer") as error:
            show.people.enrol("s", track, "Ana")
        assert str(error.value).isprintable()

    def test_a_face_that_is_gone_or_never_was_is_refused(self, show: LiveShow) -> None:
        show.watch(ANA)
        assert show.people.readiness("s", 99).advice == "come back into the picture"
        for source, track in (("s", 99), ("other", 1)):
            with pytest.raises(GalleryError, match="has not been in the picture for a while"):
                show.people.enrol(source, track, "Ana")

    def test_a_gallery_in_use_is_waited_for_no_longer_than_asked_and_nothing_is_lost(
        self, show: LiveShow, folder: Path
    ) -> None:
        track = track_of(show.watch(ANA), RED)
        folder.mkdir(mode=0o700)
        with FileLock(folder / stored.LOCK_NAME), pytest.raises(GalleryError, match="in use by another process"):
            show.people.enrol("s", track, "Ana", timeout_seconds=0.2)
        assert names(show.watch(ANA, seconds=0.2)) == {}
        show.people.enrol("s", track, "Ana", timeout_seconds=0.2)
        assert names(show.step(ANA)) == {RED: "Ana"}

    def test_on_a_full_disk_there_is_a_line_and_the_run_goes_on(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        show, _ = enrolled_show(folder)
        before = contents(folder)
        track = track_of(show.step(ANA, CLEO), GREEN)

        def full(_path: Path, _content: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(stored, "write_private", full)
            with pytest.raises(GalleryError, match=r"cannot be written .*as it was before"):
                show.people.enrol("s", track, "Cleo")
            with pytest.raises(GalleryError, match="cannot be written"):
                show.people.undo()
        assert contents(folder) == before
        assert names(show.watch(ANA, CLEO)) == {RED: "Ana", GREEN: None}
        show.people.enrol("s", track, "Cleo")
        assert names(show.step(ANA, CLEO)) == {RED: "Ana", GREEN: "Cleo"}

    def test_where_no_gallery_can_be_made_there_is_a_line_and_the_run_goes_on(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        show = LiveShow(tmp_path / "gallery")
        track = track_of(show.watch(ANA), RED)
        (tmp_path / "gallery").write_text("no folder")
        with pytest.raises(GalleryError) as error:
            show.people.enrol("s", track, "Ana")
        assert str(error.value).isprintable()
        assert names(show.step(ANA)) == {}

    def test_a_matcher_that_cannot_be_made_leaves_the_gallery_as_it_was(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        show, track = enrolled_show(folder)
        before = contents(folder)

        def refuse(_gallery: Gallery) -> None:
            raise GalleryError("no threshold can be chosen")

        monkeypatch.setattr(show.people._editor, "_make_matcher", refuse)
        with pytest.raises(GalleryError, match="no threshold"):
            show.people.enrol("s", track, "Bea")
        assert contents(folder) == before
        assert names(show.step(ANA))[RED] == "Ana"


class TestDenial:
    @pytest.fixture
    def mistaken(self, folder: Path) -> LiveShow:
        """A run in which an orange face is taken for Ana, who is red."""
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", RED)))
        return LiveShow(folder)

    def test_the_name_is_gone_in_the_next_frame_and_does_not_come_back(self, mistaken: LiveShow) -> None:
        orange = at(HERE, ORANGE)
        before = mistaken.watch(orange)
        assert names(before) == {ORANGE: "Ana"}
        track = track_of(before, ORANGE)
        denied = mistaken.people.deny("s", track)
        after = mistaken.step(orange)
        assert names(after) == {ORANGE: None}
        assert events(after) == [("renamed", track, None)]
        assert denied.name == "Ana"
        assert denied.text.startswith("this is not Ana: ")
        shown = [names(mistaken.step(orange))[ORANGE] for _ in range(100)]
        assert set(shown) == {None}
        mistaken.watch(seconds=11)  # longer than anybody is remembered
        assert names(mistaken.watch(orange, seconds=3)) == {ORANGE: None}

    def test_it_holds_after_a_restart_and_the_real_one_keeps_the_name(self, mistaken: LiveShow, folder: Path) -> None:
        mistaken.people.deny("s", track_of(mistaken.watch(at(HERE, ORANGE)), ORANGE))
        (source,) = load_gallery(folder).person("Ana").look_alike_sources
        assert source.startswith("live 20")
        again = LiveShow(folder)
        assert names(again.watch(at(HERE, ORANGE), at(THERE, RED))) == {ORANGE: None, RED: "Ana"}

    def test_who_is_denied_a_name_may_be_the_next_likely_person(self, folder: Path) -> None:
        """The face lies between two people, and nearer to the wrong one."""
        between = (0, 90, 250)
        people = (person_like("Ana", RED), person_like("Olga", (0, 250, 250)))
        edit_gallery(folder, EMBEDDER, lambda known: known.merged_with(Gallery(EMBEDDER, people)))
        show = LiveShow(folder)
        result = show.watch(at(HERE, between))
        assert names(result) == {between: "Ana"}
        show.people.deny("s", track_of(result, between))
        assert names(show.step(at(HERE, between))) == {between: "Olga"}

    def test_a_face_without_a_name_has_none_to_lose(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        track = track_of(show.step(ANA, CLEO), GREEN)
        with pytest.raises(UsageError, match="has no name") as error:
            show.people.deny("s", track)
        assert str(error.value).isprintable()

    def test_the_right_name_can_be_given_then(self, mistaken: LiveShow, folder: Path) -> None:
        orange = at(HERE, ORANGE)
        track = track_of(mistaken.watch(orange), ORANGE)
        mistaken.people.deny("s", track)
        mistaken.watch(orange, at(THERE, RED))
        mistaken.people.enrol("s", track, "Olga")
        assert names(mistaken.step(orange, at(THERE, RED))) == {ORANGE: "Olga", RED: "Ana"}
        assert load_gallery(folder).names == ("Ana", "Olga")

    def test_a_slip_of_the_keyboard_is_put_right_by_denying_and_enrolling_again(self, folder: Path) -> None:
        """Nothing tells the two people apart but that the first is said not to be this face."""
        show, track = enrolled_show(folder, "Aan")
        show.step(ANA)
        show.people.deny("s", track)
        assert names(show.step(ANA)) == {RED: None}
        show.people.enrol("s", track, "Ana")
        assert names(show.step(ANA)) == {RED: "Ana"}
        assert names(LiveShow(folder).watch(ANA)) == {RED: "Ana"}

    def test_a_face_that_is_enrolled_under_a_second_name_has_that_one(self, folder: Path) -> None:
        """Nobody could tell two people of the same looks apart, so neither would be named: the last word holds."""
        show, track = enrolled_show(folder, "Aan")
        again = show.people.enrol("s", track, "Ana")
        assert again.notes[-1].startswith("it was known as Aan: that it is not Aan is noted, too")
        result = show.step(ANA)
        assert names(result) == {RED: "Ana"}
        assert events(result) == [("identified", track, "Ana")]
        assert names(LiveShow(folder).watch(ANA)) == {RED: "Ana"}
        show.people.undo()
        assert names(show.step(ANA)) == {RED: "Aan"}
        assert len(load_gallery(folder).person("Aan").look_alikes) == 0

    def test_who_changes_their_mind_enrols_the_face_under_the_denied_name(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        show.step(ANA)
        show.people.deny("s", track)
        assert names(show.watch(ANA, seconds=2)) == {RED: None}
        show.people.enrol("s", track, "Ana")
        assert names(show.step(ANA)) == {RED: "Ana"}
        assert len(load_gallery(folder).person("Ana").look_alikes) == 0

    def test_of_somebody_who_was_forgotten_meanwhile_nothing_is_denied(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        show.step(ANA)
        forget(folder, "Ana")
        with pytest.raises(GalleryError, match="'Ana'"):
            show.people.deny("s", track)


class TestUndo:
    def test_an_enrolment_is_taken_back_on_disk_and_in_the_next_frame(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        vectors = load_gallery(folder).person("Ana").embeddings
        assert names(show.step(ANA)) == {RED: "Ana"}
        assert show.people.undo() == "taken back: the enrolment of Ana"
        after = show.step(ANA)
        assert names(after) == {}, "nobody is known, so nobody is assessed"
        assert events(after) == [("renamed", track, None)]
        assert load_gallery(folder).people == ()
        assert not any(row.tobytes() in content for row in vectors for content in contents(folder).values())

    def test_of_who_was_known_before_the_earlier_photos_stay(self, folder: Path) -> None:
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Ana", ORANGE)))
        before = load_gallery(folder).person("Ana")
        show = LiveShow(folder)
        show.people.enrol("s", track_of(show.watch(ANA), RED), "Ana")
        show.people.undo()
        np.testing.assert_array_equal(load_gallery(folder).person("Ana").embeddings, before.embeddings)

    def test_a_denial_is_taken_back(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        show.step(ANA)
        show.people.deny("s", track)
        assert names(show.step(ANA)) == {RED: None}
        assert show.people.undo() == "taken back: that a face is not Ana"
        assert names(show.step(ANA)) == {RED: "Ana"}
        assert show.people.undo() == "taken back: the enrolment of Ana"
        with pytest.raises(UsageError, match="nothing was enrolled"):
            show.people.undo()


class TestOthersWhoChangeTheGallery:
    def test_who_is_added_elsewhere_is_named(self, show: LiveShow, folder: Path) -> None:
        show.watch(ANA)
        assert show.people.refresh_if_changed() is None
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Rosa", RED)))
        assert show.people.refresh_if_changed() == "the gallery has changed: 1 person is known now"
        assert names(show.step(ANA)) == {RED: "Rosa"}
        assert show.people.refresh_if_changed() is None

    def test_who_is_forgotten_elsewhere_is_named_no_more(self, folder: Path) -> None:
        """The last person, too: then nobody is assessed."""
        show, track = enrolled_show(folder)
        show.people.enrol("s", track_of(show.step(ANA, CLEO), GREEN), "Cleo")
        show.step(ANA, CLEO)
        assert show.people.refresh_if_changed() is None
        forget(folder, "Ana")
        assert show.people.refresh_if_changed() == "the gallery has changed: 1 person is known now"
        after = show.step(ANA, CLEO)
        assert names(after) == {RED: None, GREEN: "Cleo"}
        assert events(after) == [("renamed", track, None)]
        forget(folder, "Cleo")
        assert show.people.refresh_if_changed() == "the gallery has changed: 0 people are known now"
        assert names(show.step(ANA, CLEO)) == {}

    def test_an_own_change_is_no_news(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        assert show.people.refresh_if_changed() is None

    def test_an_own_change_keeps_what_others_changed_before(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Cleo", GREEN)))
        show.people.enrol("s", track, "Ana")
        assert load_gallery(folder).names == ("Ana", "Cleo")
        assert names(show.step(ANA, CLEO)) == {RED: "Ana", GREEN: "Cleo"}

    def test_one_that_cannot_be_read_is_said_so_once_and_the_old_one_stays(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        show.people.refresh_if_changed()
        index = folder / stored.INDEX_NAME
        content = index.read_bytes()
        index.write_bytes(content[:50])
        warning = show.people.refresh_if_changed()
        assert warning is not None
        assert warning.startswith("those who were known before are named")
        assert warning.isprintable()
        assert show.people.refresh_if_changed() is None
        assert names(show.step(ANA))[RED] == "Ana"
        index.write_bytes(content)
        edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Cleo", GREEN)))
        assert show.people.refresh_if_changed() == "the gallery has changed: 2 people are known now"

    def test_one_that_is_removed_knows_nobody(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        show.people.refresh_if_changed()
        folder.rename(folder.with_name("elsewhere"))
        assert show.people.refresh_if_changed() == "the gallery has changed: 0 people are known now"
        assert names(show.step(ANA)) == {}

    def test_of_who_is_forgotten_nothing_is_left_to_be_taken_back(self, folder: Path) -> None:
        show, _ = enrolled_show(folder)
        forget(folder, "Ana")
        show.people.refresh_if_changed()
        with pytest.raises(UsageError, match="nothing was enrolled"):
            show.people.undo()

    def test_a_look_at_an_unchanged_gallery_reads_nothing(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        show, _ = enrolled_show(folder)
        show.people.refresh_if_changed()
        monkeypatch.setattr(DiskGallery, "load", lambda _: pytest.fail("it was read"))
        assert show.people.refresh_if_changed() is None


class TestThreads:
    @pytest.mark.timeout(60)
    def test_people_are_enrolled_forgotten_and_denied_while_frames_are_labelled(self, folder: Path) -> None:
        """Nothing fails, nothing is lost, and in the end everybody has the name that was given last."""
        show = LiveShow(folder, sources=("a", "b"))
        tracks = {source: track_of(show.watch(ANA, CLEO, source=source), RED) for source in ("a", "b")}
        green = track_of(show.step(ANA, CLEO, source="a"), GREEN)
        start, failures = threading.Barrier(4), list[Exception]()
        is_over = threading.Event()

        def run(work: Callable[[], None]) -> None:
            start.wait()
            try:
                work()
            except Exception as error:  # noqa: BLE001  whatever it is, the test fails
                failures.append(error)

        def watch() -> None:
            while not is_over.is_set():
                for source in ("a", "b"):
                    result = show.step(ANA, CLEO, source=source)
                    shown = [one.identity.name for one in result.annotations if one.identity and one.identity.name]
                    assert len(shown) == len(set(shown)), "each name once a frame"

        def enrol() -> None:
            for number in range(15):
                show.people.enrol("a", green, f"Cleo {number}")
                if number < 14:
                    show.people.undo()

        def elsewhere() -> None:
            for number in range(15):
                edit_gallery(folder, EMBEDDER, lambda known: known.with_person(person_like("Zoe", (250, 0, 0))))
                show.people.refresh_if_changed()
                if number < 14:
                    forget(folder, "Zoe")

        threads = [threading.Thread(target=run, args=(work,)) for work in (watch, enrol, elsewhere)]
        for thread in threads:
            thread.start()
        start.wait()
        for thread in threads[1:]:
            thread.join()
        show.people.enrol("b", tracks["b"], "Ana")
        is_over.set()
        threads[0].join()
        assert failures == []
        assert set(load_gallery(folder).names) == {"Cleo 14", "Zoe", "Ana"}
        for source in ("a", "b"):
            assert names(show.step(ANA, CLEO, source=source)) == {RED: "Ana", GREEN: "Cleo 14"}

    def test_who_waits_for_a_change_under_way_waits_no_longer_than_asked(self, folder: Path) -> None:
        show, track = enrolled_show(folder)
        show.step(ANA)
        is_held, is_done = threading.Event(), threading.Event()

        def hold() -> None:
            with FileLock(folder / stored.LOCK_NAME):
                is_held.set()
                is_done.wait()

        holder = threading.Thread(target=hold)
        waiting = threading.Thread(target=show.people.enrol, args=("s", track, "Ana"))
        holder.start()
        is_held.wait()
        waiting.start()
        try:
            with pytest.raises(GalleryError, match=r"in use|under way"):
                show.people.deny("s", track, timeout_seconds=0.2)
            show.people.refresh_if_changed()  # does not wait
        finally:
            is_done.set()
            waiting.join()
            holder.join()


def test_drawn_faces_are_found_by_their_colour() -> None:
    assert drawn([ANA])[61, 41].tolist() == list(RED)
