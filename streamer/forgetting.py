"""Takes a person out of results files: the name, and with it the looks and crops of their tracks.

It works file by file, each in one step, and reads each again to verify it. Sheets of cards and annotated videos are
pictures, of which nothing is known here; on the disk itself the bytes stay until they are overwritten.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamer.errors import GalleryError, StreamerError, printable
from streamer.json_checks import MalformedError, parse_object
from streamer.recognition.people import clean_name
from streamer.recorded import RecordedEvent, RecordedFrame, RecordedTrack
from streamer.recordings import MAX_LINE_BYTES, Line, read_lines
from streamer.sinks.results import RESULTS_SUFFIXES
from streamer.sinks.results_lines import Fields, Json, frame_with_identities, identity_json
from streamer.sinks.rewriting import discard_leftover, is_leftover, rewrite
from streamer.strangers_file import file_sha256, load_strangers, save_strangers
from streamer.types import Float32, Identity

_SAME_LOOK = 0.9999  # two vectors more alike are of one picture, as in recognition/people.py


@dataclass(frozen=True, slots=True, eq=False)
class ForgottenPerson:
    """Who is to be forgotten.

    Attributes:
        name: As `clean_name` returns it.
        vectors: (K, D) float32, theirs in the gallery; a track with a look among these is theirs, whatever its name.
            None: not known.
    """

    name: str
    vectors: Float32 | None = None

    def is_named(self, name: str | None) -> bool:
        """Say whether a recorded name is theirs."""
        if name is None:
            return False
        try:
            return clean_name(name) == self.name
        except GalleryError:
            return False  # it can be nobody's

    def is_seen_in(self, track: RecordedTrack) -> bool:
        """Say whether a track holds one of their vectors."""
        if self.vectors is None or not track.looks or len(track.looks[0].vector) != self.vectors.shape[1]:
            return False
        looks = np.stack([look.vector for look in track.looks])
        return bool((looks @ self.vectors.T).max() > _SAME_LOOK)


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was done.

    Attributes:
        searched: So many results files were read.
        changed: Those that held something of the person and do no more, each verified by reading it again.
        tracks: So many tracks of theirs there were.
    """

    searched: int
    changed: tuple[Path, ...]
    tracks: int


def forget_in_recordings(
    folder: Path, name: str, *, vectors: Float32 | None = None, gallery: Path | None = None
) -> ForgetReport:
    """Take a person out of every results file under a folder, links not followed.

    Where they are named they become unknown; the looks and crops of their tracks are removed. Interrupted runs' part
    files are results files, too; what killed rewritings left is removed; what is none is passed over.

    Args:
        folder: Where to search.
        name: The person's name.
        vectors: (K, D) float32, theirs in the gallery before it forgot them: finds tracks that they were enrolled from
            and that never had the name; None: those stay.
        gallery: The gallery's folder. What was gathered there as one stranger with a track of theirs is theirs, too,
            and the notes on strangers forget these tracks; None: they stay.

    Raises:
        GalleryError: The folder cannot be searched, or a file could not be cleaned; all others are.
    """
    person = ForgottenPerson(clean_name(name), vectors)
    failures: list[str] = []
    traces: dict[Path, frozenset[int]] = {}
    changed: list[Path] = []
    paths = []
    for path in _results_files(folder):
        with _noting(failures):
            if is_leftover(path):
                discard_leftover(path)
            else:
                paths.append(path)
    for path in paths:
        with _noting(failures):
            found = _traces(path, person)
            if found is not None:
                traces[path] = found
    if gallery is not None:
        _add_same_strangers(gallery, traces, paths)
    for path, theirs in traces.items():
        with _noting(failures):
            before = file_sha256(path)
            _forget_in(path, person, theirs)
            changed.append(path)
            if gallery is not None:
                _forget_references(gallery, path, before, theirs)
    if failures:
        others = f"; {len(failures) - 1} more files could not be cleaned either" if failures[1:] else ""
        raise GalleryError(
            f"{printable(person.name)} is not forgotten in all of {printable(folder)}: {failures[0]}{others}; "
            f"{len(changed)} files were cleaned"
        )
    return ForgetReport(len(paths), tuple(changed), sum(map(len, traces.values())))


@contextlib.contextmanager
def _noting(failures: list[str]) -> Iterator[None]:
    """Note what fails: one bad file does not keep the others from being cleaned."""
    try:
        yield
    except StreamerError as error:
        failures.append(str(error))


def _add_same_strangers(gallery: Path, traces: dict[Path, frozenset[int]], paths: Sequence[Path]) -> None:
    """Add the tracks that were gathered as one stranger with some that are the person's: they are theirs, too."""
    ours = {path.resolve(): path for path in paths}
    for known in load_strangers(gallery):
        here = [track for track in known.tracks if track.path in ours and file_sha256(track.path) == track.sha256]
        if any(track.track_id in traces.get(ours[track.path], ()) for track in here):
            for track in here:
                traces[ours[track.path]] = traces.get(ours[track.path], frozenset()) | {track.track_id}


def _results_files(folder: Path) -> Iterator[Path]:
    """Yield the results files under a folder in order, those of interrupted runs included."""

    def refuse(error: OSError) -> None:
        raise GalleryError(
            f"{printable(error.filename)} cannot be searched ({error.strerror}); see to it, then try again"
        )

    # A list, because rewriting puts files into folders that are not listed yet.
    for root, folders, names in list(os.walk(folder, onerror=refuse)):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            is_file = path.is_file() and not path.is_symlink()
            if is_file and path.suffix.lower() in RESULTS_SUFFIXES and (is_leftover(path) or _is_ours(path)):
                yield path


def _is_ours(path: Path) -> bool:
    """Say whether a file is a results file: other programs write JSON lines, too. Raises GalleryError."""
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE_BYTES)
        return parse_object(first).get("type") == "header"
    except MalformedError:
        return False
    except OSError as error:
        raise GalleryError(f"{printable(path)} cannot be read ({error.strerror}); see to it, then try again") from error


def _forget_in(path: Path, person: ForgottenPerson, theirs: frozenset[int]) -> None:
    """Clean one file, and verify it."""
    rewrite(path, lambda lines: (_cleaned(line, person, theirs) for line in lines))
    if _traces(path, person) is not None or _has_looks(path, theirs):
        raise GalleryError(f"{printable(path)} still holds something of {printable(person.name)}; remove it yourself")


def _traces(path: Path, person: ForgottenPerson) -> frozenset[int] | None:
    """Return the tracks that are the person's; None: they are nowhere in the file."""
    theirs: set[int] = set()
    is_named = False
    for line in read_lines(path):
        record = line.record
        if isinstance(record, RecordedFrame):
            theirs |= {face.track_id for face in record.faces if person.is_named(face.name)}
        elif isinstance(record, RecordedEvent | RecordedTrack) and person.is_named(record.name):
            is_named = True  # an event need not have a track
            theirs |= {record.track_id} if record.track_id is not None else set()
        if isinstance(record, RecordedTrack) and person.is_seen_in(record):
            theirs.add(record.track_id)
    return frozenset(theirs) if theirs or is_named else None


def _has_looks(path: Path, tracks: frozenset[int]) -> bool:
    return any(
        isinstance(line.record, RecordedTrack)
        and line.record.track_id in tracks
        and (line.record.looks or line.record.crop is not None)
        for line in read_lines(path)
    )


def _cleaned(line: Line, person: ForgottenPerson, theirs: frozenset[int]) -> Line | Fields:
    record = line.record
    if isinstance(record, RecordedFrame):
        given: dict[int, Json] = {
            face.track_id: identity_json(_unknown(face.identity))
            for face in record.faces
            if face.identity is not None and person.is_named(face.name)
        }
        return frame_with_identities(line.fields, given) if given else line
    if isinstance(record, RecordedEvent) and person.is_named(record.name):
        return {**line.fields, "name": None}
    if isinstance(record, RecordedTrack) and record.track_id in theirs:
        kept = {key: value for key, value in line.fields.items() if key not in ("looks", "crop")}
        kept["name"] = None if person.is_named(record.name) else record.name
        return {**kept, "looks": [], "crop": None} if "looks" in line.fields else kept
    return line


def _unknown(identity: Identity) -> Identity:
    """Return an answer that knows nothing of the person any more, nor how alike they looked."""
    return replace(identity, name=None, similarity=-1.0, probability=0.5)


def _forget_references(gallery: Path, path: Path, sha256: str, theirs: frozenset[int]) -> None:
    """Take these tracks out of the notes on strangers; who has none left is not in them any more.

    The others in the file are found under its new content.
    """
    strangers = load_strangers(gallery)
    if not any(track.path == path.resolve() for known in strangers for track in known.tracks):
        return
    after = file_sha256(path)
    kept = []
    for known in strangers:
        tracks = tuple(
            replace(track, sha256=after) if track.path == path.resolve() and track.sha256 == sha256 else track
            for track in known.tracks
            if track.path != path.resolve() or track.track_id not in theirs
        )
        if tracks:
            kept.append(replace(known, tracks=tracks))
    save_strangers(gallery, kept)
