"""What a gallery keeps beside vectors: it survives failed writes, and goes when a person is forgotten."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import GalleryError
from streamer.recognition import gallery as stored
from streamer.recognition.expectations import expectations_of
from streamer.recognition.gallery import edit_gallery, forget, load_gallery
from streamer.recognition.import_journal import JOURNAL_NAME, ImportJournal
from streamer.recognition.people import Gallery, Person
from streamer.recognition.photo_reader import PhotoFace
from tests.test_gallery import EMBEDDER, adding, contents, fail_from, rewritten, vectors
from tests.test_suspects import DLIB, drawn


def person(name: str, seed: int, look_alikes: int = 0) -> Person:
    return Person(
        name,
        vectors(2, seed),
        ("0.jpg", "1.jpg"),
        (f"{name}'s first picture".encode(), f"{name}'s second".encode()),
        (f"{seed:064x}", ""),
        vectors(look_alikes, 90 + seed),
        tuple(f"twin {number}.jpg" for number in range(look_alikes)),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of Ana and Bob with pictures and look-alikes, and the journal of an import that was stopped."""
    edit_gallery(tmp_path, EMBEDDER, adding(person("Ana", 1, look_alikes=1), person("Bob", 2)))
    leave_journal(tmp_path)
    return tmp_path


def leave_journal(folder: Path) -> None:
    ana = person("Ana", 1)
    with ImportJournal(folder, EMBEDDER, "fit", 8) as journal:
        journal.keep("a", PhotoFace(ana.embeddings[0], ana.thumbnails[0]))


def equal(one: Person, other: Person) -> bool:
    return (
        (one.name, one.sources, one.thumbnails, one.digests, one.look_alike_sources)
        == (other.name, other.sources, other.thumbnails, other.digests, other.look_alike_sources)
        and np.array_equal(one.embeddings, other.embeddings)
        and np.array_equal(one.look_alikes, other.look_alikes)
    )


def test_a_write_that_fails_anywhere_leaves_pictures_look_alikes_and_the_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    for nth in range(1, 100):
        with monkeypatch.context() as patch:
            calls = fail_from(patch, nth)
            try:
                edit_gallery(folder, EMBEDDER, adding(person("Cy", 3)))
            except GalleryError as error:
                is_saved = "is saved, but" in str(error)
        if len(calls) < nth or is_saved:
            break
        assert contents(folder) == before
    assert nth > 5
    people = load_gallery(folder).people
    assert [equal(one, other) for one, other in zip(people, wanted(), strict=True)] == [True] * 3


def wanted() -> list[Person]:
    return [person("Ana", 1, look_alikes=1), person("Bob", 2), person("Cy", 3)]


def test_the_forgotten_leave_no_picture_and_no_journal(folder: Path) -> None:
    ana = load_gallery(folder).person("Ana")
    traces = [row.tobytes() for row in (*ana.embeddings, *ana.look_alikes)]
    traces += [*ana.thumbnails, *map(base64.b64encode, traces)]
    forget(folder, "Ana")
    assert not (folder / JOURNAL_NAME).exists()
    for name, content in contents(folder).items():
        assert not any(trace in content for trace in traces), name
    assert equal(load_gallery(folder).people[0], person("Bob", 2))


def test_a_copy_of_the_journal_is_found(folder: Path) -> None:
    (folder / "import.journal.bak").write_bytes((folder / JOURNAL_NAME).read_bytes())
    with pytest.raises(GalleryError, match=r"import\.journal\.bak still holds data of 'Ana'"):
        forget(folder, "Ana")


def test_a_look_alike_of_the_forgotten_goes_and_others_stay(tmp_path: Path) -> None:
    """One that is their enrolled picture, and one that is another picture of them."""
    ana, bob, eve = drawn(3, 5, seed=8)
    known = [Person(name, own[:4], tuple("abcd")) for name, own in (("Ana", ana), ("Bob", bob))]
    for vector, source in ((bob[0], "same.jpg"), (bob[4], "other.jpg"), (eve[0], "eve.jpg")):
        known[0] = known[0].with_look_alike(vector, source)
    edit_gallery(tmp_path, DLIB, adding(*known))
    left = forget(tmp_path, "Bob")
    assert left.person("Ana").look_alike_sources == ("eve.jpg",)
    np.testing.assert_array_equal(left.person("Ana").look_alikes, eve[:1])


def test_a_gallery_of_the_first_version_is_read_and_saved_in_todays(tmp_path: Path) -> None:
    plain = Person("Ana", vectors(2, 1), ("0.jpg", "1.jpg"))
    edit_gallery(tmp_path, EMBEDDER, adding(plain))

    def first_version(index: dict[str, object]) -> object:
        kept = {key: index[key] for key in ("embedder", "vectors")}
        return {**kept, "schema_version": 1, "people": [{"name": "Ana", "photos": ["0.jpg", "1.jpg"]}]}

    rewritten(first_version)(tmp_path)
    assert equal(load_gallery(tmp_path, EMBEDDER).people[0], plain)
    edit_gallery(tmp_path, EMBEDDER, lambda gallery: gallery)
    assert json.loads((tmp_path / stored.INDEX_NAME).read_bytes())["schema_version"] == 2
    assert equal(load_gallery(tmp_path, EMBEDDER).people[0], plain)


class TestExpectations:
    def test_more_photos_mean_fewer_misses_and_few_are_told_to_be_too_few(self) -> None:
        own = drawn(30, 8, seed=5)
        few = Gallery(DLIB, tuple(Person(f"p{i}", one[:1], ("a",)) for i, one in enumerate(own)))
        many = Gallery(DLIB, tuple(Person(f"p{i}", one, tuple("abcdefgh")) for i, one in enumerate(own)))
        misses = [
            [person.misses for person in expectations_of(gallery, 0.01).people if person.misses is not None]
            for gallery in (few, many)
        ]
        assert np.mean(misses[0]) > np.mean(misses[1])
        assert all(person.needs_photos for person in expectations_of(few, 0.01).people)

    def test_strangers_taken_add_up_to_the_rate_and_doubles_are_paired(self) -> None:
        own = drawn(5, 6, seed=6)
        people = [Person(f"p{i}", one[:3], tuple("abc")) for i, one in enumerate(own)]
        people.append(Person("again", own[2][3:], tuple("abc")))
        expected = expectations_of(Gallery(DLIB, tuple(people)), 0.01)
        assert sum(person.taken for person in expected.people) == pytest.approx(0.01)
        assert [(pair.first, pair.second) for pair in expected.look_alikes] == [("p2", "again")]
