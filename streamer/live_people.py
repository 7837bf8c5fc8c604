"""Enrols who stands before a camera, and takes wrong names away, while the run goes on; from any thread.

A face is enrolled from looks that the run has had at it anyway (live_looks.py), so no net runs here. The gallery on
disk is changed first, then the labeller knows of it, and the next frame shows it: what is on the picture is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from streamer.errors import GalleryError, UsageError, printable
from streamer.labels import TrackLabeller, Word
from streamer.live_changes import ENOUGH_LOOKS, TURN_HEAD, Denied, Denying, Enrolled, Enrolling
from streamer.live_editing import LiveEditor, MakeMatcher
from streamer.live_gallery import GalleryStore
from streamer.live_looks import LiveLook, LiveLooks, SeenFace, mean_direction, of_one_person
from streamer.naming import SourcedLook, best_looks, person_of
from streamer.recognition.people import SAME_PICTURE_SIMILARITY, Gallery, clean_name
from streamer.recorded import RecordedLook
from streamer.types import FrameResult, SourceInfo

# How long the gallery is waited for where another process has it: less than a run may take to end.
LOCK_SECONDS = 1.5
_MOST_LABEL_CHARACTERS = 100  # of a source's name


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a face can be enrolled now.

    Attributes:
        looks: So many fit ones there are.
        advice: What the person should do, in a few words; None: nothing.
    """

    looks: int
    advice: str | None


class LivePeople:
    """Whom a live run knows, and how that changes.

    Args:
        labeller: Of the run; its looks must be kept.
        store: Where the gallery is kept; None: a trained matcher names people, and its people cannot be changed.
        known: The gallery that the labeller knows.
        make_matcher: Returns the matcher over a gallery of one person at least; may raise GalleryError.
    """

    def __init__(
        self,
        labeller: TrackLabeller,
        store: GalleryStore | None,
        known: Gallery,
        make_matcher: MakeMatcher,
    ) -> None:
        self._labeller, self._looks = labeller, LiveLooks()
        self._editor = LiveEditor(store, known, make_matcher, labeller.know)

    # ---- what is seen

    def begin(self, info: SourceInfo) -> None:
        """Get ready for a source; its name goes beside the looks that are enrolled from it."""
        self._looks.begin(info)

    def end(self, source_id: str) -> None:
        """Forget what was seen of a source."""
        self._looks.end(source_id)

    def see(self, result: FrameResult) -> None:
        """Take the next result of a source; each must be shown once, in order."""
        self._looks.see(result)

    def look_closely(self, source_id: str, track_id: int) -> None:
        """Gather more looks at a face from now on, while its name is typed."""
        self._labeller.look_closely(source_id, track_id)

    def look_as_usual(self, source_id: str, track_id: int) -> None:
        """Gather no more looks at a face than come anyway."""
        self._labeller.look_as_usual(source_id, track_id)

    def readiness(self, source_id: str, track_id: int) -> Readiness:
        """Say whether a face can be enrolled now, and what would help."""
        face = self._looks.face(source_id, track_id)
        if face is None:
            return Readiness(0, "come back into the picture")
        count = sum(look.fault is None for look in face.looks)
        if face.fault is not None:
            return Readiness(count, face.fault.remedy)
        if face.latest is None:
            return Readiness(count, "wait a moment")
        return Readiness(count, TURN_HEAD if count < ENOUGH_LOOKS else None)

    # ---- what is changed

    def prepare(self) -> None:
        """Do ahead what makes the first change slow: half a second where thousands are known."""
        self._editor.prepare()

    def enrol(self, source_id: str, track_id: int, name: str, *, timeout_seconds: float = LOCK_SECONDS) -> Enrolled:
        """Enrol the face of a track under a name; the next frame shows it.

        Args:
            source_id: Where the face is seen.
            track_id: What results call its track.
            name: Of a new person, or of one who is known and gets more looks.
            timeout_seconds: How long to wait for another process that has the gallery.

        Raises:
            UsageError: A trained matcher names people.
            GalleryError: The name is none, the face has not been seen well enough (it says what to do), or the gallery
                is in use or cannot be written; all is as it was before.
        """
        store, cleaned = self._editor.open_store(), clean_name(name)
        face = self._face(source_id, track_id)
        chosen = _all_different(best_looks([_sourced(look, face) for look in self._fit_looks(face)]))
        person = replace(person_of(cleaned, chosen), thumbnails=tuple(look.crop or b"" for look in chosen))
        change = Enrolling(person)
        word = Word(source_id, track_id, cleaned, is_theirs=True)
        matcher = self._editor.apply(change, word, (), timeout_seconds)
        assert matcher is not None  # there is one person at least
        notes = tuple(change.notes(matcher, self._other_similarity))
        return Enrolled(cleaned, change.added, change.before is not None, store.is_kept, notes)

    def deny(self, source_id: str, track_id: int, *, timeout_seconds: float = LOCK_SECONDS) -> Denied:
        """Take the name that a track has away from it: the next frame does not show it, and it does not come back.

        Raises:
            UsageError: A trained matcher names people, or the face has no name.
            GalleryError: The face has not been seen well enough, nobody has that name any more, or the gallery is in
                use or cannot be written; all is as it was before.
        """
        store, face = self._editor.open_store(), self._face(source_id, track_id)
        if face.name is None:
            raise UsageError("this face has no name, so there is none to take away; enrol it to give it one")
        name, looks = face.name, of_one_person(face.looks, self._other_similarity)
        if not looks:
            raise GalleryError("this face has not been looked at yet; try again in a moment")
        change = Denying(name, mean_direction(looks), _label(face))
        word = Word(source_id, track_id, name, is_theirs=False)
        self._editor.apply(change, word, (replace(word, is_theirs=True),), timeout_seconds)
        return Denied(name, store.is_kept, tuple(change.notes()))

    def undo(self, *, timeout_seconds: float = LOCK_SECONDS) -> str:
        """Take the last enrolment or denial of this run back, then those before it, and say what that was, in a line.

        Raises:
            UsageError: There is none that was not taken back.
            GalleryError: The person is gone, or the gallery is in use or cannot be written.
        """
        return self._editor.undo(timeout_seconds)

    def refresh_if_changed(self) -> str | None:
        """Take up what others changed in the gallery on disk; to be called about once a second, not on a picture's way.

        Returns:
            What happened, in a line, also that the gallery cannot be read, once; None: nothing.
        """
        return self._editor.refresh_if_changed()

    def _face(self, source_id: str, track_id: int) -> SeenFace:
        face = self._looks.face(source_id, track_id)
        if face is None:
            raise GalleryError(f"face {track_id} has not been in the picture for a while; choose one that is")
        return face

    @property
    def _other_similarity(self) -> float | None:
        policy = self._labeller.policy
        return policy.other_similarity if policy.same_similarity is not None else None

    def _fit_looks(self, face: SeenFace) -> list[LiveLook]:
        """Return the looks to enrol a face from, one at least. Raises GalleryError with what to do."""
        fit = of_one_person([look for look in face.looks if look.fault is None], self._other_similarity)
        if fit:
            return fit
        fault = face.fault
        if fault is None:
            raise GalleryError("this face has not been seen well enough yet; look into the camera for a moment")
        raise GalleryError(f"this face cannot be enrolled yet: {fault.reason}; {fault.remedy}")


def _all_different(looks: Sequence[SourcedLook]) -> list[SourcedLook]:
    """Return looks without those that are of one picture with an earlier one: many of one view are one look."""
    vectors = np.stack([one.look.vector for one in looks])
    alike = np.tril(vectors @ vectors.T, -1).max(axis=1)
    return [one for one, likeness in zip(looks, alike.tolist(), strict=True) if likeness < SAME_PICTURE_SIMILARITY]


def _sourced(look: LiveLook, face: SeenFace) -> SourcedLook:
    recorded = RecordedLook(look.pts_seconds, look.quality, look.vector)
    return SourcedLook(_label(face), recorded, look.thumbnail)


def _label(face: SeenFace) -> str:
    """Return where and when a look is from, for people to read."""
    name = f" ({printable(face.source_name)[:_MOST_LABEL_CHARACTERS]})" if face.source_name else ""
    return f"live {datetime.now().astimezone():%Y-%m-%d %H:%M}{name}"
