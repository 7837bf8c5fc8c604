"""Changes the gallery of a live run, one change at a time, and lets the labeller know; and follows what others change.

Whatever is shown is kept: a gallery is saved first, with the matcher over it made before that, so that nothing is saved
which could not be used.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from streamer.errors import GalleryError, UsageError, printable
from streamer.labels import Word
from streamer.live_gallery import GalleryStore, Version, is_same
from streamer.recognition.growing import GrowingThresholds
from streamer.recognition.people import Gallery
from streamer.stages import Matcher

_MOST_DEEDS = 20  # that can be taken back

MakeMatcher: TypeAlias = Callable[[Gallery], Matcher]
Know: TypeAlias = Callable[[Matcher | None, Sequence[Word]], None]


class Change(Protocol):
    """What is done to a gallery. Implementations: Enrolling, Denying (both in live_changes)."""

    @property
    def name(self) -> str:
        """Whose entry is changed."""
        ...

    @property
    def what(self) -> str:
        """What it is, in a few words."""
        ...

    def __call__(self, current: Gallery) -> Gallery:
        """Return the gallery as it shall be. Raises GalleryError."""
        ...

    def cleared(self, grown: Gallery, matcher: Matcher) -> Gallery | None:
        """Return what is better still than what came out, given the matcher over that; None: nothing."""
        ...

    def back(self, current: Gallery) -> Gallery:
        """Return a gallery, perhaps changed since, without what was done. Raises GalleryError."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Deed:
    """A change that can be taken back, and what has to be said then."""

    change: Change
    words: tuple[Word, ...]


class LiveEditor:
    """The gallery of a run; every method may be called from any thread.

    Args:
        store: Where it is kept; None: a trained matcher names people, and its people cannot be changed.
        known: As it is.
        make_matcher: Returns the matcher over a gallery of one person at least; may raise GalleryError.
        know: Told whenever others are known; with no matcher, that nobody is.
    """

    def __init__(self, store: GalleryStore | None, known: Gallery, make_matcher: MakeMatcher, know: Know) -> None:
        self._store, self._known, self._make_matcher, self._know = store, known, make_matcher, know
        self._turns = threading.Lock()  # whoever changes the gallery holds it
        self._thresholds = GrowingThresholds()
        self._version: Version = None
        self._deeds: deque[_Deed] = deque(maxlen=_MOST_DEEDS)

    def open_store(self) -> GalleryStore:
        """Return where the gallery is kept. Raises UsageError where it cannot be changed."""
        if self._store is None:
            raise UsageError(
                "a trained matcher names people here, which knows only whom it was trained with; "
                "run without --matcher to enrol people while it goes on"
            )
        return self._store

    def prepare(self) -> None:
        """Do ahead what makes the first change slow."""
        with self._turns:
            self._thresholds.prepare(self._known)

    def apply(self, change: Change, said: Word, unsaid: tuple[Word, ...], timeout_seconds: float) -> Matcher | None:
        """Change the gallery and let it be known.

        Args:
            change: What to do.
            said: What was said of a face.
            unsaid: What is said of it where that is taken back.
            timeout_seconds: How long to wait for others, in this process and in any.

        Returns:
            The matcher over the gallery that came out; None: it is empty.

        Raises:
            UsageError: The gallery cannot be changed.
            GalleryError: It is in use, or cannot be written; all is as it was before.
        """
        store = self.open_store()
        with self._turn(timeout_seconds) as left:
            matcher = self._saved(store, change, change.cleared, (said,), left())
            self._deeds.append(_Deed(change, unsaid))
        return matcher

    def undo(self, timeout_seconds: float) -> str:
        """Take the last change back, then the one before it, and say what that was. Raises as `apply` does."""
        store = self.open_store()
        with self._turn(timeout_seconds) as left:
            if not self._deeds:
                raise UsageError("nothing was enrolled or denied in this run that could be taken back")
            deed = self._deeds.pop()
            try:
                self._saved(store, deed.change.back, _as_it_is, deed.words, left())
            except GalleryError:
                self._deeds.append(deed)
                raise
        return printable(f"taken back: {deed.change.what}")

    def refresh_if_changed(self) -> str | None:
        """Take up what others changed; return what happened, in a line, or why it cannot be read, once."""
        if self._store is None or not self._turns.acquire(blocking=False):
            return None
        try:
            # Asked first, so that what changes while it is read is seen the next time.
            version = self._store.version()
            if version == self._version:
                return None
            self._version = version
            return self._taken_up(self._store)
        finally:
            self._turns.release()

    def _taken_up(self, store: GalleryStore) -> str | None:
        try:
            gallery = store.load()
            if is_same(gallery, self._known):
                return None
            self._tell(gallery, self._matcher_over(gallery), ())
        except GalleryError as error:
            return f"those who were known before are named, for {error}"
        count = len(gallery.people)
        return f"the gallery has changed: {count} {'person is' if count == 1 else 'people are'} known now"

    def _saved(
        self,
        store: GalleryStore,
        change: Callable[[Gallery], Gallery],
        better: Callable[[Gallery, Matcher], Gallery | None],
        words: tuple[Word, ...],
        seconds: float,
    ) -> Matcher | None:
        """Save what comes of a change, let it be known, and return the matcher over it."""
        made: list[Matcher | None] = []

        def changed(current: Gallery) -> Gallery:
            after = self._thresholds.calibrated(change(current))
            matcher = self._matcher_over(after)
            second = better(after, matcher) if matcher is not None else None
            if second is not None:
                after = self._thresholds.calibrated(second)
                matcher = self._matcher_over(after)
            made.append(matcher)
            return after

        saved = store.edit(changed, seconds)
        self._tell(saved, made[0], words)
        return made[0]

    def _tell(self, gallery: Gallery, matcher: Matcher | None, words: tuple[Word, ...]) -> None:
        self._known = gallery
        # Of those who were forgotten nothing is kept, not even to be taken back.
        self._deeds = deque((deed for deed in self._deeds if deed.change.name in gallery.names), _MOST_DEEDS)
        self._know(matcher, words)

    def _matcher_over(self, gallery: Gallery) -> Matcher | None:
        return self._make_matcher(gallery) if gallery.people else None

    @contextlib.contextmanager
    def _turn(self, timeout_seconds: float) -> Iterator[Callable[[], float]]:
        """Be the only one who changes the gallery; gives what tells how much of the time is left."""
        end = time.monotonic() + timeout_seconds
        if not self._turns.acquire(timeout=timeout_seconds):
            raise GalleryError("another change of the gallery is still under way; try again in a moment")
        try:
            yield lambda: max(0.0, end - time.monotonic())
        finally:
            self._turns.release()


def _as_it_is(_grown: Gallery, _matcher: Matcher) -> None:
    """Find nothing better."""
