"""The journal of an import: what it keeps is recalled, damage and strangers' lines are passed over, faults are told."""

from __future__ import annotations

import base64
import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import GalleryError
from streamer.recognition.gallery import edit_gallery, forget
from streamer.recognition.import_journal import JOURNAL_NAME, ImportJournal
from streamer.recognition.people import EmbedderId, Person
from streamer.recognition.photo_reader import PhotoFace, RefusedError

EMBEDDER = EmbedderId("fake", "a" * 64)
FACE = PhotoFace(np.array([0.6, 0.8], np.float32), b"jpeg")


def opened(
    folder: Path, settings: str = "0.9 fit", embedder: EmbedderId = EMBEDDER, dimension: int = 2
) -> ImportJournal:
    return ImportJournal(folder, embedder, settings, dimension)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal of one face, "f", and one refusal, "r"."""
    with opened(tmp_path) as one:
        one.keep("f", FACE)
        one.keep("r", RefusedError("no face found"))
    return tmp_path / JOURNAL_NAME


def test_what_was_kept_is_recalled(journal: Path) -> None:
    with opened(journal.parent) as again:
        assert len(again) == 2
        face = again.recall("f")
        assert face is not None
        np.testing.assert_array_equal(face.vector, FACE.vector)
        assert face.thumbnail == b"jpeg"
        with pytest.raises(RefusedError, match="no face found"):
            again.recall("r")
        assert again.recall("unknown") is None


def test_answers_of_other_settings_or_another_net_are_not_recalled(journal: Path) -> None:
    for other in (
        opened(journal.parent, "0.5 fit"),
        opened(journal.parent, embedder=EmbedderId("fake", "b" * 64)),
        opened(journal.parent, dimension=3),
    ):
        with other:
            assert other.recall("f") is None


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path / "new").__exit__(None, None, None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / JOURNAL_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_cut_at_any_byte_the_lines_before_are_recalled_and_new_ones_kept(journal: Path) -> None:
    """A kill may cut the last line anywhere."""
    whole = journal.read_bytes()
    first_end = whole.index(b"\n", 2)
    for length in range(first_end, len(whole), 7):
        journal.write_bytes(whole[:length])
        with opened(journal.parent) as cut:
            assert cut.recall("f") is not None
            cut.keep("later", FACE)
        with opened(journal.parent) as again:
            assert again.recall("f") is not None
            assert again.recall("later") is not None


def line(**fields: object) -> bytes:
    whole = {"key": f"{EMBEDDER.sha256} 0.9 fit", "sha256": "x", "vector": vector(0.6, 0.8), "thumbnail": ""}
    return json.dumps({**whole, **fields}).encode()


def vector(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def test_a_line_made_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(line() + b"\n")
    with opened(tmp_path) as found:
        assert found.recall("x") is not None


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch executed'\ntR.",
        b"\x80\x04\x95" + bytes(50),
        b"[" * 90_000,
        b"x" * 300_000,
        b"null\n7\n[]\n",
        line(vector=vector(3, 4)),
        line(vector=vector(float("nan"), 0)),
        line(vector=vector(1, 0, 0)),
        line(vector="%%%"),
        line(vector=None),
        line(thumbnail=7),
        line(sha256=["x"]),
    ],
    ids=["pickle", "binary pickle", "nested", "no line ends", "no objects", "not unit", "nan", "3 numbers", "no base64",
         "null", "a number", "a list"],
)  # fmt: skip
def test_damaged_or_hostile_lines_are_passed_over(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / JOURNAL_NAME).write_bytes(content + b"\n" + line(sha256="good") + b"\n")
    with opened(tmp_path) as found:
        assert found.recall("x") is None
        assert found.recall("good") is not None
    assert [entry.name for entry in tmp_path.iterdir()] == [JOURNAL_NAME], "nothing was executed"


def test_a_write_that_fails_is_one_line_and_what_was_kept_stays(journal: Path) -> None:
    class Full:
        def write(self, _content: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    with opened(journal.parent) as full:
        full._file.close()
        full._file = Full()  # type: ignore[assignment]
        with pytest.raises(GalleryError, match=r"cannot be written \(No space left on device\)") as error:
            full.keep("more", FACE)
    assert str(error.value).isprintable()
    with opened(journal.parent) as again:
        assert again.recall("f") is not None
        assert again.recall("more") is None


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).mkdir()
    with pytest.raises(GalleryError, match="cannot be written"):
        opened(tmp_path)


def test_two_imports_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        for number in range(20):
            first.keep(f"a{number}", FACE)
            second.keep(f"b{number}", FACE)
    with opened(tmp_path) as again:
        assert len(again) == 40


def test_a_save_of_the_gallery_and_a_forget_remove_it(tmp_path: Path) -> None:
    ana = Person("Ana", FACE.vector[None], ("a.jpg",), (b"jpeg",))

    def kept() -> None:
        with opened(tmp_path) as one:
            one.keep("f", FACE)

    kept()
    edit_gallery(tmp_path, EMBEDDER, lambda gallery: gallery.with_person(ana))
    assert not (tmp_path / JOURNAL_NAME).exists()
    kept()
    forget(tmp_path, "Ana")
    assert not (tmp_path / JOURNAL_NAME).exists()


def test_discarded_it_is_gone(journal: Path) -> None:
    with opened(journal.parent) as one:
        one.discard()
    assert not journal.exists()
