"""One file with people: whole or refused, private, and never of another net."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import GalleryError
from streamer.recognition.gallery import load_or_empty
from streamer.recognition.people import EmbedderId, Gallery, Person, Strangers
from streamer.recognition.population_fit import fit_population
from streamer.recognition.portable import export_people, read_people
from streamer.types import Float32

EMBEDDER = EmbedderId("fake-net", "a" * 64)


def vectors(count: int, seed: int) -> Float32:
    drawn = np.random.default_rng(seed).normal(size=(count, 8))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def person(name: str, seed: int) -> Person:
    return Person(
        name,
        vectors(2, seed),
        ("0.jpg", "1.jpg"),
        (b"jpeg", b""),
        ("d" * 64, ""),
        vectors(1, 50 + seed),
        ("photo.jpg",),
    )


GALLERY = Gallery(EMBEDDER, (person("Ana", 1), person("../../x", 2), person("<b>Zoë</b>", 3)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    export_people(GALLERY, [], tmp_path / "all.people")
    return tmp_path / "all.people"


def test_everything_comes_back(file: Path) -> None:
    found = read_people(file)
    assert found.names == GALLERY.names
    assert found.embedder == EMBEDDER
    for one, other in zip(found.people, GALLERY.people, strict=True):
        np.testing.assert_array_equal(one.embeddings, other.embeddings)
        np.testing.assert_array_equal(one.look_alikes, other.look_alikes)
        assert (one.sources, one.thumbnails, one.digests) == (other.sources, other.thumbnails, other.digests)
        assert one.look_alike_sources == other.look_alike_sources


def test_only_those_asked_for_are_in_it(tmp_path: Path) -> None:
    written = export_people(GALLERY, ["../../x", "../../x"], tmp_path / "one.people")
    assert written.names == read_people(tmp_path / "one.people").names == ("../../x",)
    content = (tmp_path / "one.people").read_bytes()
    assert not any(row.tobytes() in content for row in GALLERY.person("Ana").embeddings)


def test_what_is_known_of_strangers_goes_with_them_to_a_gallery_that_knows_nothing(tmp_path: Path) -> None:
    """A net without a population of its own would have no thresholds otherwise."""
    strangers = Strangers(60, 0.01, fit_population(vectors(60, 9)))
    export_people(Gallery(EMBEDDER, GALLERY.people, strangers), [], tmp_path / "a.people")
    found = read_people(tmp_path / "a.people")
    merged = Gallery(EMBEDDER).merged_with(found)
    assert merged.strangers is not None
    assert merged.strangers.pictures == 60
    assert merged.strangers.shift == pytest.approx(0.01)
    own = Strangers(70)
    assert Gallery(EMBEDDER, strangers=own).merged_with(found).strangers is own


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_only_the_user_can_read_it(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_existing_file_is_replaced_only_where_that_is_asked(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(GalleryError, match="exists already"):
        export_people(GALLERY, ["Ana"], file)
    assert file.read_bytes() == before
    export_people(GALLERY, ["Ana"], file, overwrite=True)
    assert read_people(file).names == ("Ana",)


def test_nobody_and_somebody_unknown_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="nobody is enrolled"):
        export_people(Gallery(EMBEDDER), [], tmp_path / "a.people")
    with pytest.raises(GalleryError, match="nobody in the gallery is called 'Eve'"):
        export_people(GALLERY, ["Ana", "Eve"], tmp_path / "a.people")
    assert not list(tmp_path.iterdir())


def test_cut_anywhere_it_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in range(0, len(whole), 13):
        file.write_bytes(whole[:length])
        with pytest.raises(GalleryError, match="is damaged, or not what `people export` wrote"):
            read_people(file)


def test_any_byte_altered_is_noticed(file: Path) -> None:
    """A letter in a name is no less an error than one in a vector."""
    whole = file.read_bytes()
    for place in [*range(0, len(whole), 11), whole.index(b"Ana")]:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(GalleryError, match="is damaged"):
            read_people(file)


@pytest.mark.parametrize(
    "content", [b"cos\nsystem\n(S'touch executed'\ntR.", b"\x80\x04\x95" + bytes(80), b"PK\x03\x04", b"\n" * 200]
)
def test_what_is_something_else_is_refused_and_not_executed(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.people").write_bytes(content)
    with pytest.raises(GalleryError, match="is damaged") as error:
        read_people(tmp_path / "x.people")
    assert str(error.value).isprintable()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.people"]


def test_an_absent_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(GalleryError, match="cannot be read"):
            read_people(path)


def test_people_of_another_net_are_not_merged(file: Path, tmp_path: Path) -> None:
    mine = load_or_empty(tmp_path / "gallery", EmbedderId("fake-net", "b" * 64))
    with pytest.raises(GalleryError, match=r"made with the net fake-net .* cannot be compared"):
        mine.merged_with(read_people(file))


def test_a_write_that_fails_anywhere_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    failures: list[str] = []
    for nth in range(1, 20):
        with monkeypatch.context() as patch:
            calls = _failing_from(patch, nth)
            try:
                export_people(GALLERY, ["Ana"], file, overwrite=True)
            except GalleryError as error:
                failures.append(str(error))
        if len(calls) < nth:
            break
        assert file.read_bytes() == before
        assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    assert len(failures) >= 3, "open, sync and replace"
    assert all("No space left on device" in failure for failure in failures)
    assert read_people(file).names == ("Ana",)


def _failing_from(patch: pytest.MonkeyPatch, nth: int) -> list[str]:
    """Let the n-th call that writes, and all after it, fail as on a full disk; return the calls as they come."""
    calls: list[str] = []

    def failing(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            calls.append(name)
            if len(calls) >= nth:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        return call

    for name in ("open", "fsync"):
        patch.setattr(os, name, failing(name, getattr(os, name)))
    patch.setattr(Path, "replace", failing("replace", Path.replace))
    return calls
