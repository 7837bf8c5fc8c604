"""Whom a live run knows, and where that is kept: in a gallery on disk that others may change, too, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from streamer.errors import printable
from streamer.recognition.gallery import INDEX_NAME, edit_gallery, load_or_empty
from streamer.recognition.people import EmbedderId, Gallery, Person

Version: TypeAlias = tuple[int, ...] | str | None
"""What differs where a gallery on disk has changed; None: it never does."""


class GalleryStore(Protocol):
    """Where a live run's gallery is kept. Implementations: DiskGallery, MemoryGallery."""

    @property
    def is_kept(self) -> bool:
        """It outlives the run."""
        ...

    def version(self) -> Version:
        """Return what differs once somebody has changed the gallery; cheap."""
        ...

    def load(self) -> Gallery:
        """Return the gallery as it is now. Raises GalleryError."""
        ...

    def edit(self, change: Callable[[Gallery], Gallery], timeout_seconds: float) -> Gallery:
        """Change it, alone, and return what is kept now; where `change` raises, nothing is changed.

        Raises:
            GalleryError: Another has it for longer than `timeout_seconds`, or it cannot be read or written.
        """
        ...


class DiskGallery:
    """A gallery's folder.

    Args:
        path: The folder; an absent one is an empty gallery.
        embedder: The net in use.
    """

    is_kept = True

    def __init__(self, path: Path, embedder: EmbedderId) -> None:
        self._path, self._embedder = path, embedder

    def version(self) -> Version:
        """Return what tells one gallery.json from another that replaced it, or why it cannot be looked at."""
        try:
            found = (self._path / INDEX_NAME).stat()
        except OSError as error:
            return error.strerror or "no reason given"
        # A new owner or mode may make a gallery readable that was not.
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

    def load(self) -> Gallery:
        """Read it."""
        return load_or_empty(self._path, self._embedder)

    def edit(self, change: Callable[[Gallery], Gallery], timeout_seconds: float) -> Gallery:
        """Lock, read, change and write it."""
        return edit_gallery(self._path, self._embedder, change, lock_timeout_seconds=timeout_seconds)

    def __str__(self) -> str:
        return printable(self._path)


class MemoryGallery:
    """A gallery that ends with the run."""

    is_kept = False

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def version(self) -> None:
        """Return None: nobody else can change it."""

    def load(self) -> Gallery:
        """Return it."""
        return self._gallery

    def edit(self, change: Callable[[Gallery], Gallery], timeout_seconds: float) -> Gallery:  # noqa: ARG002
        """Put what comes out in its place."""
        self._gallery = change(self._gallery)
        return self._gallery


def is_same(first: Gallery, second: Gallery) -> bool:
    """Say whether two galleries name everybody alike."""
    return (
        first.embedder == second.embedder
        and first.names == second.names
        and all(map(_is_same_person, first.people, second.people))
        and _thresholds(first) == _thresholds(second)
    )


def _is_same_person(first: Person, second: Person) -> bool:
    return np.array_equal(first.embeddings, second.embeddings) and np.array_equal(first.look_alikes, second.look_alikes)


def _thresholds(gallery: Gallery) -> tuple[float, ...] | None:
    return tuple(gallery.calibration.thresholds.tolist()) if gallery.calibration is not None else None
