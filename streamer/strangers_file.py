"""What is remembered of the last gathering of strangers, in the gallery's folder: which tracks are one person's.

It names results files and their tracks only; vectors and pictures stay in the results files.
{"schema_version": 1, "files": [{"path": …, "sha256": …}],
 "strangers": [{"number": 1, "tracks": [[place in files, track_id], …]}, …]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer import json_checks as checks
from streamer.errors import GalleryError, SourceOpenError, UsageError, printable
from streamer.json_checks import MalformedError
from streamer.sinks.files import PartFile
from streamer.strangers import Stranger, StrangerTrack

STRANGERS_NAME = "strangers.json"
_SCHEMA_VERSION = 1
_MAX_BYTES = 64 * 2**20
_MAX_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True)
class TrackReference:
    """A track of a results file that had this sha256 then."""

    path: Path
    sha256: str
    track_id: int


@dataclass(frozen=True, slots=True)
class KnownStranger:
    """One person of the last gathering."""

    number: int
    tracks: tuple[TrackReference, ...]


def remember_strangers(gallery: Path, strangers: Sequence[Stranger]) -> None:
    """Write who was found, in place of what was remembered before. Raises GalleryError, and nothing is changed."""
    paths = {track.path for stranger in strangers for track in stranger.tracks}
    sha256_of = {path: file_sha256(path) for path in paths}
    known = [
        KnownStranger(stranger.number, tuple(_reference_to(track, sha256_of[track.path]) for track in stranger.tracks))
        for stranger in strangers
    ]
    save_strangers(gallery, known)


def _reference_to(track: StrangerTrack, sha256: str) -> TrackReference:
    return TrackReference(track.path.resolve(), sha256, track.track.track_id)


def save_strangers(gallery: Path, strangers: Sequence[KnownStranger]) -> None:
    """Write these strangers, private, in one step. Raises GalleryError, and nothing is changed."""
    files = list(dict.fromkeys((track.path, track.sha256) for known in strangers for track in known.tracks))
    place_of = {file: place for place, file in enumerate(files)}
    content = {
        "schema_version": _SCHEMA_VERSION,
        "files": [{"path": str(path), "sha256": sha256} for path, sha256 in files],
        "strangers": [
            {
                "number": known.number,
                "tracks": [[place_of[track.path, track.sha256], track.track_id] for track in known.tracks],
            }
            for known in strangers
        ],
    }
    try:
        gallery.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = PartFile(gallery / STRANGERS_NAME, mode=0o600)
        try:
            part.write(json.dumps(content).encode() + b"\n")
            part.sync()
            part.publish()
        except OSError:
            part.remove()
            raise
    except OSError as error:
        raise GalleryError(
            f"{printable(gallery / STRANGERS_NAME)} cannot be written ({error.strerror}); "
            "choose another folder with --gallery"
        ) from error


def load_strangers(gallery: Path) -> list[KnownStranger]:
    """Return who was found by the last gathering; nobody where there was none. Raises GalleryError where damaged."""
    path = gallery / STRANGERS_NAME
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GalleryError(f"{printable(path)} cannot be read ({error.strerror}); see to its folder") from error
    try:
        if len(content) > _MAX_BYTES:
            raise MalformedError("it is too large")
        return _strangers(checks.parse_object(content))
    except MalformedError as error:
        raise GalleryError(f"{printable(path)} is damaged: {printable(error)}; run `people strangers` again") from error


def _strangers(fields: checks.Fields) -> list[KnownStranger]:
    if checks.whole(fields, "schema_version") != _SCHEMA_VERSION:
        raise MalformedError(f"its schema version is not {_SCHEMA_VERSION}")
    files = [
        (Path(checks.text(file, "path")), checks.sha256(file, "sha256"))
        for file in checks.objects(fields, "files", _MAX_ITEMS)
    ]
    strangers = []
    for entry in checks.objects(fields, "strangers", _MAX_ITEMS):
        tracks = tuple(_reference(item, files) for item in checks.items(entry, "tracks", _MAX_ITEMS))
        strangers.append(KnownStranger(checks.whole(entry, "number", 1), tracks))
    return strangers


def _reference(item: object, files: Sequence[tuple[Path, str]]) -> TrackReference:
    pair = checks.checked_list(item, "a track", 2)
    if len(pair) != 2 or not all(type(number) is int for number in pair):
        raise MalformedError("a track is not two whole numbers")
    place, track_id = (int(checks.checked_number(number, "a track's number", 0)) for number in pair)
    if place >= len(files):
        raise MalformedError("a track's file is not in the list")
    return TrackReference(*files[place], track_id)


def stranger_numbered(gallery: Path, number: int) -> KnownStranger:
    """Return one of the last gathering. Raises UsageError where none has that number, GalleryError where damaged."""
    strangers = load_strangers(gallery)
    for known in strangers:
        if known.number == number:
            return known
    told = f"the last run found 1 to {len(strangers)}" if strangers else "run `people strangers RESULTS…` first"
    raise UsageError(f"there is no stranger {number}; {told}")


def file_sha256(path: Path) -> str:
    """Return a file's sha256. Raises SourceOpenError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise SourceOpenError(f"{printable(path)} {why}; run `people strangers` again") from error
