"""The gallery of known people on disk: load, edit, forget. No picture and no net is touched here.

A gallery is a folder of two files. `vectors-<start of its sha256>.safetensors` holds all vectors and thumbnails;
`gallery.json` names that file with its sha256 and says whose they are, and how alike a face must be to be named. A save
writes the new vectors under their new name, then replaces gallery.json, then removes the old vectors: whenever it is
stopped, gallery.json names vectors that are whole. Writers take turns by a file lock; readers need none. All files are
private to the user, for they are biometric data.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from streamer.errors import GalleryError, printable
from streamer.recognition import gallery_format as form
from streamer.recognition.import_journal import JOURNAL_NAME
from streamer.recognition.people import EmbedderId, Gallery, Person, check_embedder, clean_name
from streamer.recognition.private_file import write_private
from streamer.recognition.thresholds import calibrated, without_look_alikes_of

__all__ = ["EmbedderId", "Gallery", "Person", "clean_name", "edit_gallery", "forget", "load_gallery", "load_or_empty"]

INDEX_NAME = "gallery.json"
LOCK_NAME = "gallery.lock"
LOCK_TIMEOUT_SECONDS = 10.0

# Ten million vectors of 128 numbers; anything above is no gallery, and would fill the memory.
MAX_INDEX_BYTES = 256 * 2**20
MAX_VECTORS_BYTES = 6 * 2**30
# What a save, or one that was stopped, may leave behind. Nothing else in the folder is ever removed.
_OWN_FILES = re.compile(rf"{form.VECTORS_PATTERN}(\.part)?|{re.escape(INDEX_NAME)}\.part")
# How often a reader starts again because a writer replaced the gallery meanwhile.
_MOST_READS = 20


def load_gallery(path: Path, embedder: EmbedderId | None = None) -> Gallery:
    """Read a gallery.

    Args:
        path: The gallery's folder.
        embedder: The net in use; None: whichever made the gallery.

    Raises:
        GalleryError: There is none, it is damaged or too large, or it was made with another net.
    """
    if not _exists(path):
        raise GalleryError(f"there is no gallery at {printable(path)}; make one with `people import DIR`")
    gallery = _read(path)
    if embedder is not None:
        check_embedder(gallery.embedder, embedder, f"the gallery {printable(path)}")
    return gallery


def load_or_empty(path: Path, embedder: EmbedderId) -> Gallery:
    """Read a gallery as `load_gallery` does; an absent one is empty. Raises GalleryError."""
    return load_gallery(path, embedder) if _exists(path) else Gallery(embedder)


def edit_gallery(
    path: Path,
    embedder: EmbedderId,
    change: Callable[[Gallery], Gallery],
    *,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
) -> Gallery:
    """Change a gallery, alone: lock it, load it (an absent one is empty), change it, save it.

    Args:
        path: The gallery's folder; made, private, where it is absent.
        embedder: The net in use.
        change: Takes the gallery as it stands and returns what shall be saved; where it raises, nothing is changed.
        lock_timeout_seconds: How long to wait for another process.

    Returns:
        What was saved.

    Raises:
        GalleryError: It is in use, damaged, made with another net, or cannot be written; the old one is intact.
    """
    _exists(path)  # what is wrong with an absent one is told before a folder is made
    with _locked(path, lock_timeout_seconds):
        changed = calibrated(change(load_or_empty(path, embedder)))
        check_embedder(changed.embedder, embedder, "the changed gallery")
        _save(path, changed)
    return changed


def forget(path: Path, name: str, *, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Gallery:
    """Remove a person and every copy of the vectors from a gallery, and verify that none is left.

    What was said of others not to be them goes, too, where it looks like them: it is a vector of theirs.

    It works whichever net made the gallery. On the disk itself the bytes stay until they are overwritten.

    Raises:
        GalleryError: Nobody has that name, or the gallery cannot be read or written, or something is left.
    """
    load_gallery(path)
    with _locked(path, lock_timeout_seconds):
        before = load_gallery(path)
        person = before.person(name)
        after = calibrated(without_look_alikes_of(person, before.without_person(name)))
        _save(path, after)
        _verify_forgotten(path, person, _traces(before) - _traces(after))
    return after


def _traces(gallery: Gallery) -> frozenset[bytes]:
    """Return all vectors and thumbnails as they stand in files: as they are, and as an import's journal has them."""
    vectors = {row.tobytes() for person in gallery.people for row in (*person.embeddings, *person.look_alikes)}
    pictures = {thumbnail for person in gallery.people for thumbnail in person.thumbnails if thumbnail}
    return frozenset(vectors | pictures | {base64.b64encode(trace) for trace in vectors | pictures})


def _verify_forgotten(path: Path, person: Person, traces: frozenset[bytes]) -> None:
    for entry in _entries(path):
        if entry.name == LOCK_NAME or not entry.is_file():
            continue
        content = _content(entry, MAX_VECTORS_BYTES)
        if any(trace in content for trace in traces):
            raise GalleryError(f"{printable(entry)} still holds data of {person.name!r}; remove that file yourself")
    if person.name in load_gallery(path).names:
        raise GalleryError(f"{person.name!r} is still in the gallery {printable(path)}; try again")


def _read(path: Path) -> Gallery:
    """Read the folder; a reader takes no lock, so it starts again where a writer was faster."""
    index_path = path / INDEX_NAME
    for _ in range(_MOST_READS):
        content = _content(index_path, MAX_INDEX_BYTES)
        index = form.parse_index(content, index_path)
        if index.vectors is None:
            return form.assemble(index, None, index_path)
        vectors_path = path / index.vectors.file_name
        try:
            return form.assemble(index, _content(vectors_path, MAX_VECTORS_BYTES), vectors_path)
        except GalleryError:
            if _content(index_path, MAX_INDEX_BYTES) == content:
                raise
    raise GalleryError(f"the gallery {printable(path)} changes faster than it can be read; try again")


def _save(path: Path, gallery: Gallery) -> None:
    """Write a gallery; whenever this is stopped, the folder holds the old or the new one. The lock must be held."""
    content = form.serialise_vectors(gallery)
    name = form.vectors_name(content) if content is not None else None
    try:
        if content is not None and name is not None:
            write_private(path / name, content)
            _sync_folder(path)  # the vectors' name must be on the disk before the index that names it
        write_private(path / INDEX_NAME, form.serialise_index(gallery, content))
    except OSError as error:
        # The new vectors, if they got that far, are named by nobody; the old gallery stands.
        with contextlib.suppress(GalleryError, OSError):
            _remove_leftovers(path, _current_vectors(path))
        raise GalleryError(
            f"the gallery {printable(path)} cannot be written ({error.strerror}); it is as it was before"
        ) from error
    try:
        _sync_folder(path)
        (path / JOURNAL_NAME).unlink(missing_ok=True)
        _remove_leftovers(path, name)
    except OSError as error:
        raise GalleryError(
            f"the gallery {printable(path)} is saved, but old copies in it may be left ({error.strerror}); "
            "see to the disk, then save again"
        ) from error


def _current_vectors(path: Path) -> str | None:
    """Return the name of the vectors file that gallery.json names. Raises GalleryError where it cannot be read."""
    index_path = path / INDEX_NAME
    if not _exists(path):
        return None
    index = form.parse_index(_content(index_path, MAX_INDEX_BYTES), index_path)
    return index.vectors.file_name if index.vectors is not None else None


def _exists(path: Path) -> bool:
    """Return whether there is a gallery; a folder without gallery.json holds none: its first save was stopped."""
    try:
        (path / INDEX_NAME).stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise GalleryError(
            f"the gallery {printable(path)} cannot be read ({error.strerror}); give a folder of your own"
        ) from error
    return True


def _remove_leftovers(path: Path, vectors_name: str | None) -> None:
    """Remove the vectors of earlier saves, and what stopped ones left. Raises OSError."""
    for entry in _entries(path):
        if entry.name != vectors_name and _OWN_FILES.fullmatch(entry.name):
            entry.unlink(missing_ok=True)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened, and a rename is on the disk when it returns
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError as error:
        raise GalleryError(f"the gallery {printable(path)} cannot be read ({error.strerror})") from error


def _content(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > most_bytes:
                raise GalleryError(f"{printable(path)} has {size_bytes} bytes, too many for a gallery; {form.REMEDY}")
            return file.read(most_bytes + 1)
    except OSError as error:
        raise GalleryError(f"{printable(path)} cannot be read ({error.strerror}); {form.REMEDY}") from error


@contextlib.contextmanager
def _locked(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold the gallery's lock; the folder is made where it is absent."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(path / LOCK_NAME, timeout=timeout_seconds, mode=0o600)
        lock.acquire()
    except Timeout as error:
        raise GalleryError(
            f"the gallery {printable(path)} is in use by another process; try again when that has ended"
        ) from error
    except OSError as error:
        raise GalleryError(
            f"the gallery {printable(path)} cannot be written ({error.strerror}); choose another folder with --gallery"
        ) from error
    try:
        yield
    finally:
        lock.release()
