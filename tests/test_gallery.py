"""The gallery on disk: what is saved is read again, and whatever happens the previous gallery is intact."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as save_tensors

from streamer.errors import GalleryError
from streamer.recognition import gallery as stored
from streamer.recognition import gallery_format
from streamer.recognition.gallery import edit_gallery, forget, load_gallery, load_or_empty
from streamer.recognition.people import EmbedderId, Gallery, Person, clean_name
from streamer.types import Float32

EMBEDDER = EmbedderId("fake-net", "a" * 64)
OTHER_EMBEDDER = EmbedderId("fake-net", "b" * 64)
DIMENSION = 8
HOSTILE_NAMES = [
    "../../x",
    "/etc/passwd",
    "..",
    "<script>alert(1)</script>",
    "C:\\con",
    "Zoë 李小龍 שלום",
    "x" * 200,
    "'; --",
]


def vectors(count: int, seed: int) -> Float32:
    drawn = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def person(name: str, count: int = 2, seed: int | None = None) -> Person:
    seed = sum(map(ord, name)) if seed is None else seed
    return Person(name, vectors(count, seed), tuple(f"{i}.jpg" for i in range(count)))


def adding(*people: Person) -> Callable[[Gallery], Gallery]:
    def change(gallery: Gallery) -> Gallery:
        for one in people:
            gallery = gallery.with_person(one)
        return gallery

    return change


def same(first: Gallery, second: Gallery) -> bool:
    return (
        first.embedder == second.embedder
        and first.names == second.names
        and all(
            np.array_equal(one.embeddings, other.embeddings) and one.sources == other.sources
            for one, other in zip(first.people, second.people, strict=True)
        )
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name != stored.LOCK_NAME}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of Ana and Bob."""
    edit_gallery(tmp_path / "gallery", EMBEDDER, adding(person("Ana"), person("Bob", 3)))
    return tmp_path / "gallery"


class TestNames:
    @given(st.text(max_size=210))
    def test_a_name_is_either_refused_or_one_clean_line(self, text: str) -> None:
        try:
            name = clean_name(text)
        except GalleryError:
            return
        assert clean_name(name) == name
        assert 1 <= len(name) <= 200
        assert len(name.splitlines()) == 1
        name.encode()  # no half of a surrogate pair

    def test_the_two_ways_to_write_an_accent_are_one_name(self) -> None:
        assert clean_name(" Zoe\u0308 ") == "Zo\u00eb"

    def test_names_that_differ_in_case_are_two_people(self) -> None:
        assert Gallery(EMBEDDER).with_person(person("ana")).with_person(person("Ana")).names == ("ana", "Ana")

    @pytest.mark.parametrize("text", ["", " \t ", "a\nb", "a\x00b", "a\x1b[31m", "a\u2028b", "a\udcff", "x" * 201])
    def test_what_is_no_name_is_refused_in_one_printable_line(self, text: str) -> None:
        with pytest.raises(GalleryError) as error:
            clean_name(text)
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 400


class TestValues:
    def test_a_known_persons_new_photos_are_added_and_known_photos_are_not(self) -> None:
        first, more = person("Ana", 2, seed=1), vectors(1, seed=2)
        again = Person("Ana", np.concatenate([first.embeddings[1:], more]), ("same.jpg", "new.jpg"))
        (ana,) = Gallery(EMBEDDER).with_person(first).with_person(again).people
        assert ana.sources == ("0.jpg", "1.jpg", "new.jpg")
        np.testing.assert_array_equal(ana.embeddings, np.concatenate([first.embeddings, more]))

    def test_merging_adds_people_and_photos(self) -> None:
        mine = Gallery(EMBEDDER, (person("Ana"), person("Bob")))
        theirs = Gallery(EMBEDDER, (person("Bob", 3, seed=99), person("Cy")))
        merged = mine.merged_with(theirs)
        assert merged.names == ("Ana", "Bob", "Cy")
        assert merged.photo_count == 2 + 5 + 2

    def test_a_gallery_of_another_net_is_not_merged(self) -> None:
        with pytest.raises(GalleryError, match="cannot be compared"):
            Gallery(EMBEDDER).merged_with(Gallery(OTHER_EMBEDDER))

    def test_a_removed_person_is_gone_and_the_others_stay(self) -> None:
        gallery = Gallery(EMBEDDER, (person("Ana"), person("Bob")))
        assert gallery.without_person(" Ana ").names == ("Bob",)
        assert gallery.names == ("Ana", "Bob"), "the value itself does not change"
        with pytest.raises(GalleryError, match="'Cy'"):
            gallery.without_person("Cy")

    def test_vectors_cannot_be_written_to(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            person("Ana").embeddings[0, 0] = 1

    @pytest.mark.parametrize(
        ("embeddings", "sources"),
        [
            (np.ones((1, 4), np.float32), ("a",)),
            (np.full((1, 4), np.nan, np.float32), ("a",)),
            (np.zeros((0, 4), np.float32), ()),
            (np.eye(4, dtype=np.float64), ("a",) * 4),
            (np.eye(4, dtype=np.float32), ("a",)),
        ],
        ids=["not unit", "not finite", "none", "float64", "labels missing"],
    )
    def test_a_person_of_unfit_vectors_cannot_be_made(self, embeddings: Float32, sources: tuple[str, ...]) -> None:
        with pytest.raises(ValueError, match="embeddings"):
            Person("Ana", embeddings, sources)

    def test_a_gallery_of_unfit_people_cannot_be_made(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            Gallery(EMBEDDER, (person("Ana"), person("Ana")))
        with pytest.raises(ValueError, match="length"):
            Gallery(EMBEDDER, (person("Ana"), Person("Bob", np.eye(4, dtype=np.float32)[:1], ("a",))))
        with pytest.raises(ValueError, match="clean_name"):
            person(" Ana")
        with pytest.raises(ValueError, match="sha256"):
            EmbedderId("net", "xyz")


class TestRoundTrip:
    def test_what_is_saved_is_read_again(self, tmp_path: Path) -> None:
        people = tuple(person(name) for name in HOSTILE_NAMES)
        saved = edit_gallery(tmp_path / "deep" / "gallery", EMBEDDER, adding(*people))
        assert same(load_gallery(tmp_path / "deep" / "gallery", EMBEDDER), saved)
        assert saved.names == tuple(HOSTILE_NAMES)

    def test_a_name_is_never_a_path(self, tmp_path: Path) -> None:
        edit_gallery(tmp_path / "gallery", EMBEDDER, adding(*map(person, HOSTILE_NAMES)))
        assert [entry.name for entry in tmp_path.iterdir()] == ["gallery"]
        names = {entry.name.split("-")[0] for entry in (tmp_path / "gallery").iterdir()}
        assert names <= {stored.INDEX_NAME, stored.LOCK_NAME, "vectors"}

    def test_an_absent_gallery_is_empty_only_where_that_is_asked(self, tmp_path: Path) -> None:
        assert load_or_empty(tmp_path / "none", EMBEDDER).people == ()
        assert not (tmp_path / "none").exists()
        with pytest.raises(GalleryError, match="there is no gallery at"):
            load_gallery(tmp_path / "none")

    def test_a_change_that_fails_changes_nothing(self, folder: Path) -> None:
        before = contents(folder)
        with pytest.raises(GalleryError):
            edit_gallery(folder, EMBEDDER, lambda gallery: gallery.without_person("nobody"))
        assert contents(folder) == before

    def test_saving_the_same_again_keeps_it(self, folder: Path) -> None:
        before = contents(folder)
        edit_gallery(folder, EMBEDDER, lambda gallery: gallery)
        assert contents(folder) == before

    def test_other_files_in_the_folder_are_left_alone(self, folder: Path) -> None:
        (folder / "mine.part").write_text("mine")
        (folder / "vectors-notes.txt").write_text("mine")
        edit_gallery(folder, EMBEDDER, adding(person("Cy")))
        assert {"mine.part", "vectors-notes.txt"} < contents(folder).keys()

    @pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
    def test_only_the_user_can_read_it(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            edit_gallery(tmp_path / "gallery", EMBEDDER, adding(person("Ana")))
        finally:
            os.umask(before)
        assert (tmp_path / "gallery").stat().st_mode & 0o777 == 0o700
        for entry in (tmp_path / "gallery").iterdir():
            assert entry.stat().st_mode & 0o177 == 0, entry.name

    def test_a_gallery_of_another_net_is_refused_in_one_line(self, folder: Path) -> None:
        for read in (load_gallery, load_or_empty):
            with pytest.raises(GalleryError, match="made with the net fake-net") as error:
                read(folder, OTHER_EMBEDDER)
            assert "\n" not in str(error.value)
        with pytest.raises(GalleryError, match="made with the net"):
            edit_gallery(folder, OTHER_EMBEDDER, adding(person("Cy")))
        assert load_gallery(folder).names == ("Ana", "Bob"), "without a net in use any gallery can be listed"


class TestForget:
    def test_no_byte_of_the_vectors_is_left_in_any_file(self, folder: Path) -> None:
        ana = load_gallery(folder).people[0]
        (vectors_file,) = folder.glob("vectors-*.safetensors")
        stopped = folder / f"vectors-{'0' * 16}.safetensors"
        stopped.write_bytes(vectors_file.read_bytes())  # as a save that was stopped leaves it
        (folder / f"{vectors_file.name}.part").write_bytes(vectors_file.read_bytes())
        forget(folder, "Ana")
        rows = [row.tobytes() for row in ana.embeddings]
        for name, content in contents(folder).items():
            assert not any(row in content for row in rows), name
            assert b"Ana" not in content, name
        assert load_gallery(folder).names == ("Bob",)

    def test_the_last_person_leaves_no_vectors_file(self, folder: Path) -> None:
        forget(folder, "Ana")
        forget(folder, "Bob")
        assert contents(folder).keys() == {stored.INDEX_NAME}
        assert load_gallery(folder, EMBEDDER).people == ()

    def test_a_copy_that_somebody_made_is_reported(self, folder: Path) -> None:
        (vectors_file,) = folder.glob("vectors-*.safetensors")
        (folder / "backup.bin").write_bytes(vectors_file.read_bytes())
        with pytest.raises(GalleryError, match=r"backup\.bin still holds data of 'Ana'"):
            forget(folder, "Ana")

    def test_somebody_unknown_cannot_be_forgotten(self, folder: Path, tmp_path: Path) -> None:
        before = contents(folder)
        with pytest.raises(GalleryError, match="nobody in the gallery is called 'Cy'"):
            forget(folder, "Cy")
        assert contents(folder) == before
        with pytest.raises(GalleryError, match="there is no gallery"):
            forget(tmp_path / "none", "Ana")
        assert not (tmp_path / "none").exists()


def rewritten(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    """Return a fault that changes the parsed index; what `change` returns replaces it, unless that is None."""

    def fault(folder: Path) -> None:
        index = json.loads((folder / stored.INDEX_NAME).read_bytes())
        changed = change(index)
        (folder / stored.INDEX_NAME).write_text(json.dumps(index if changed is None else changed))

    return fault


def index_bytes(content: bytes) -> Callable[[Path], None]:
    def fault(folder: Path) -> None:
        (folder / stored.INDEX_NAME).write_bytes(content)

    return fault


def vectors_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def fault(folder: Path) -> None:
        (file,) = folder.glob("vectors-*.safetensors")
        file.write_bytes(change(file.read_bytes()))

    return fault


def forged_vectors(content: bytes) -> Callable[[Path], None]:
    """Return a fault that puts other content in place, with the sha256 that suits it."""

    def fault(folder: Path) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        name = f"vectors-{sha256[:16]}.safetensors"
        (folder / name).write_bytes(content)
        rewritten(lambda index: index.update(vectors={"file": name, "sha256": sha256}))(folder)

    return fault


def named_file(name: object) -> Callable[[dict[str, object]], object]:
    return lambda index: index.update(vectors={"file": name, "sha256": "0" * 64})


def tensors(**arrays: npt.NDArray[np.generic]) -> bytes:
    return bytes(save_tensors(arrays))


def safetensors_file(header: str, content: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + content


PICKLE = b"cos\nsystem\n(S'touch executed'\ntR."
FAULTS: dict[str, Callable[[Path], None]] = {
    "index empty": index_bytes(b""),
    "index cut": index_bytes(b'{"schema_version": 1, "embedder": {"na'),
    "index no text": index_bytes(b"\xff\xfe\x00"),
    "index nested without end": index_bytes(b"[" * 200_000),
    "index a pickle": index_bytes(PICKLE),
    "index a list": rewritten(lambda index: [index]),
    "a number of 5000 digits": index_bytes(b'{"schema_version": ' + b"9" * 5000 + b"}"),
    "version of the future": rewritten(lambda index: index.update(schema_version=3)),
    "version true": rewritten(lambda index: index.update(schema_version=True)),
    "a field too many": rewritten(lambda index: index.update(extra=1)),
    "a field too few": rewritten(lambda index: index.pop("people")),
    "people an object": rewritten(lambda index: index.update(people={})),
    "a person a text": rewritten(lambda index: index.update(people=["Ana"])),
    "a name a number": rewritten(lambda index: index.update(people=[{"name": 1, "photos": [], "look_alikes": []}])),
    "a name with a line end": rewritten(lambda index: index.update(people=[{"name": "a\nb", "photos": ["a"] * 5}])),
    "a name twice": rewritten(lambda index: index.update(people=[{"name": "a", "photos": ["a"]}] * 5)),
    "a name of 10 kB": rewritten(lambda index: index.update(people=[{"name": "a" * 10_000, "photos": ["a"] * 5}])),
    "a person without photos": rewritten(
        lambda index: index.update(people=[{"name": "a", "photos": []}, {"name": "b", "photos": ["x"] * 5}])
    ),
    "a photo too many": rewritten(lambda index: index.update(people=[{"name": "a", "photos": ["x"] * 6}])),
    "people but no vectors": rewritten(lambda index: index.update(vectors=None)),
    "embedder of no sha256": rewritten(lambda index: index.update(embedder={"name": "x", "sha256": "y"})),
    "embedder null": rewritten(lambda index: index.update(embedder=None)),
    "vectors elsewhere": rewritten(named_file("../vectors-0000000000000000.safetensors")),
    "vectors at an absolute path": rewritten(named_file("/etc/passwd")),
    "vectors of a number": rewritten(named_file(7)),
    "vectors missing": rewritten(named_file("vectors-0000000000000000.safetensors")),
    "vectors empty": vectors_bytes(lambda content: b""),
    "vectors cut": vectors_bytes(lambda content: content[:-5]),
    "vectors with a flipped bit": vectors_bytes(lambda content: content[:-4] + bytes([content[-4] ^ 1]) + content[-3:]),
    "vectors a pickle": forged_vectors(PICKLE),
    "vectors that claim 2**60 rows": forged_vectors(
        safetensors_file('{"embeddings":{"dtype":"F32","shape":[1152921504606846976,1],"data_offsets":[0,4]}}', b"1234")
    ),
    "vectors of another type": forged_vectors(tensors(embeddings=np.eye(5, dtype=np.float64))),
    "vectors of a type that numpy lacks": forged_vectors(
        safetensors_file('{"embeddings":{"dtype":"BF16","shape":[5,2],"data_offsets":[0,20]}}', bytes(20))
    ),
    "vectors of a type that nobody knows": forged_vectors(
        safetensors_file('{"embeddings":{"dtype":"X9","shape":[5,2],"data_offsets":[0,20]}}', bytes(20))
    ),
    "vectors of another name": forged_vectors(tensors(other=np.eye(5, dtype=np.float32))),
    "vectors and more": forged_vectors(
        tensors(embeddings=np.eye(5, dtype=np.float32), more=np.eye(5, dtype=np.float32))
    ),
    "vectors of no length": forged_vectors(tensors(embeddings=np.zeros((5, 8), np.float32))),
    "vectors that are no numbers": forged_vectors(tensors(embeddings=np.full((5, 8), np.nan, np.float32))),
    "vectors without an axis": forged_vectors(tensors(embeddings=np.ones(5, np.float32))),
}


class TestFaults:
    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
    def test_a_damaged_gallery_is_refused_in_one_line_and_not_touched(
        self, folder: Path, fault: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        fault(folder)
        before = contents(folder)
        calls: tuple[Callable[[], object], ...] = (
            lambda: load_gallery(folder),
            lambda: load_or_empty(folder, EMBEDDER),
            lambda: edit_gallery(folder, EMBEDDER, adding(person("Cy"))),
            lambda: forget(folder, "Ana"),
        )
        for call in calls:
            with pytest.raises(GalleryError) as error:
                call()
            message = str(error.value)
            assert str(folder) in message
            assert message.isprintable()
            assert len(message) < 600
            assert "restore the gallery's folder" in message
        assert contents(folder) == before, "nothing was executed, removed or repaired"

    def test_a_file_or_a_name_too_long_is_no_gallery(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for path in (tmp_path / "file", tmp_path / ("x" * 300)):
            with pytest.raises(GalleryError, match="cannot be read"):
                load_or_empty(path, EMBEDDER)
            with pytest.raises(GalleryError, match="cannot be read"):
                edit_gallery(path, EMBEDDER, adding())

    def test_files_beyond_the_bounds_are_not_read(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stored, "MAX_VECTORS_BYTES", 100)
        with pytest.raises(GalleryError, match="too many for a gallery"):
            load_gallery(folder)

    def test_a_write_that_fails_anywhere_leaves_the_old_or_the_new_gallery(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, files = load_gallery(folder), contents(folder)
        failures: list[str] = []
        for nth in range(1, 100):
            with monkeypatch.context() as patch:
                calls = fail_from(patch, nth)
                try:
                    edit_gallery(folder, EMBEDDER, adding(person(f"new {nth}")))
                except GalleryError as error:
                    failures.append(str(error))
            if len(calls) < nth:
                break
            if "it is as it was before" in failures[-1]:
                assert contents(folder) == files, "the vectors that nobody names are removed"
            else:
                assert "is saved, but" in failures[-1]
                assert load_gallery(folder, EMBEDDER).names == (*old.names, f"new {nth}")
            old, files = load_gallery(folder), contents(folder)
        assert len(failures) >= 6, "two files to open, sync and replace"
        assert all("No space left on device" in failure for failure in failures)
        assert len(list(folder.glob("vectors-*"))) == 1
        assert not list(folder.glob("*.part"))

    def test_a_reader_meets_the_old_or_the_new_gallery_while_it_is_replaced(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parse = gallery_format.parse_index
        edits: list[str] = []

        def replaced_meanwhile(content: bytes, path: Path) -> gallery_format.Index:
            index = parse(content, path)
            if not edits:
                edits.append("Cy")
                edit_gallery(folder, EMBEDDER, adding(person("Cy")))
            return index

        monkeypatch.setattr(gallery_format, "parse_index", replaced_meanwhile)
        assert load_gallery(folder).names == ("Ana", "Bob", "Cy")


def fail_from(patch: pytest.MonkeyPatch, nth: int) -> list[str]:
    """Let the n-th call that writes, and all after it, fail as on a full disk; return the calls as they come."""
    calls: list[str] = []

    def failing(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            # The lock's own file and folders that are only read do not count.
            counts = "gallery.lock" not in str(arguments[0]) and not (name == "open" and arguments[1] == os.O_RDONLY)
            if counts:
                calls.append(name)
                if len(calls) >= nth:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **options)

        return call

    for name in ("open", "fsync"):
        patch.setattr(os, name, failing(name, getattr(os, name)))
    patch.setattr(Path, "replace", failing("replace", Path.replace))
    return calls


WRITER = """
import sys
from pathlib import Path
from tests.test_gallery import EMBEDDER, adding, person
from streamer.recognition.gallery import edit_gallery
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    edit_gallery(Path(sys.argv[1]), EMBEDDER, adding(person(f"{sys.argv[2]}{number}")))
    print(number, flush=True)
"""


def start_writer(folder: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), prefix, str(count)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


class TestProcesses:
    def test_two_writers_at_once_both_land(self, folder: Path) -> None:
        with start_writer(folder, "x", 10) as first, start_writer(folder, "y", 10) as second:
            for process in (first, second):
                go(process)
            assert first.wait(8) == second.wait(8) == 0
        expected = {"Ana", "Bob"} | {f"{prefix}{number}" for prefix in "xy" for number in range(10)}
        assert set(load_gallery(folder).names) == expected

    @pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
    @pytest.mark.timeout(60)
    def test_killed_at_any_moment_a_save_leaves_the_old_or_the_new_gallery(self, folder: Path) -> None:
        chance = random.Random(7)
        # Each of fifteen kills falls at a random moment of many saves; processes start three at a time to save time.
        for prefixes in (("a", "b", "c"), ("d", "e", "f"), ("g", "h", "i"), ("j", "k", "l"), ("m", "n", "o")):
            writers = {prefix: start_writer(folder, prefix, 100_000) for prefix in prefixes}
            for prefix, writer in writers.items():
                go(writer)
                assert writer.stdout is not None
                assert writer.stdout.readline() == "0\n", "the first save has landed"
                moment = time.monotonic() + chance.uniform(0, 0.03)
                while time.monotonic() < moment:
                    load_gallery(folder, EMBEDDER)  # a reader never meets a mix
                writer.send_signal(signal.SIGKILL)
                landed = ["0", *writer.communicate(timeout=5)[0].split()]
                gallery = load_gallery(folder, EMBEDDER)
                numbers = [name[1:] for name in gallery.names if name[0] == prefix]
                assert landed in (numbers, numbers[:-1]), "the last save may have landed before it was reported"
                for one in gallery.people[2:]:
                    np.testing.assert_array_equal(one.embeddings, person(one.name).embeddings)
        edit_gallery(folder, EMBEDDER, lambda gallery: gallery)
        assert len(list(folder.iterdir())) <= 3, "what the killed left is tidied by the next save"

    def test_a_gallery_in_use_is_reported_after_the_time_out(self, folder: Path) -> None:
        with FileLock(folder / stored.LOCK_NAME), pytest.raises(GalleryError, match="in use by another process"):
            edit_gallery(folder, EMBEDDER, adding(person("Cy")), lock_timeout_seconds=0.05)
        assert load_gallery(folder).names == ("Ana", "Bob")
        assert edit_gallery(folder, EMBEDDER, adding(person("Cy"))).names == ("Ana", "Bob", "Cy")
