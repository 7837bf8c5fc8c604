"""The tracks of a results file with their looks, and which of them were in the picture at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SourceOpenError, UsageError, printable
from streamer.recognition.people import EmbedderId, Gallery, check_embedder
from streamer.recorded import RecordedFrame, RecordedHeader, RecordedSummary, RecordedTrack
from streamer.recordings import Line, read_lines

Pair = tuple[int, int]  # two track_ids, the smaller first


@dataclass(frozen=True, slots=True, eq=False)
class TracksFile:
    """What a results file says of its tracks.

    Attributes:
        path: The file.
        header: Its first line.
        tracks: By track_id.
        together: Pairs that are in one frame, so two people; each with the first and last time of that, in seconds.
    """

    path: Path
    header: RecordedHeader
    tracks: dict[int, RecordedTrack]
    together: dict[Pair, tuple[float, float]]


def read_tracks(path: Path, embedder: EmbedderId) -> TracksFile:
    """Read the tracks of a results file that holds looks.

    Args:
        path: The file.
        embedder: The net in use.

    Raises:
        SourceOpenError: It is no results file, or damaged.
        UsageError: It holds no looks: they were not kept, or it was cut off before its tracks.
        GalleryError: Its vectors are another net's.
    """
    lines = read_lines(path)
    header = next(lines).record
    assert isinstance(header, RecordedHeader)
    if header.embedder is None:
        raise UsageError(
            f"{printable(path)} holds no face vectors; process its video again with `process --keep-embeddings`"
        )
    found = EmbedderId(header.embedder.name, header.embedder.sha256)
    check_embedder(found, embedder, f"the results file {printable(path)}")
    tracks: dict[int, RecordedTrack] = {}
    together = _Together()
    is_whole = False
    for line in lines:
        together.add(line)
        if isinstance(line.record, RecordedTrack):
            tracks[line.record.track_id] = line.record
        is_whole = isinstance(line.record, RecordedSummary)
    if not is_whole:
        raise UsageError(
            f"{printable(path)} was cut off before its tracks were written, which hold the face vectors; "
            "process its video again with `process --keep-embeddings`"
        )
    return TracksFile(path, header, tracks, together.pairs)


def check_dimension(found: TracksFile, gallery: Gallery) -> None:
    """Raise SourceOpenError where a file's vectors differ in length, from each other or from the gallery's."""
    lengths = {len(look.vector) for track in found.tracks.values() for look in track.looks}
    lengths |= {person.embeddings.shape[1] for person in gallery.people[:1]}
    if len(lengths) > 1:
        raise SourceOpenError(
            f"{printable(found.path)} is damaged: it says that its vectors are those of {gallery.embedder.name}, "
            f"but there are lengths of {' and '.join(map(str, sorted(lengths)))}; process its video again"
        )


class _Together:
    """Gathers which tracks are in one frame, and when."""

    def __init__(self) -> None:
        self.pairs: dict[Pair, tuple[float, float]] = {}

    def add(self, line: Line) -> None:
        frame = line.record
        if not isinstance(frame, RecordedFrame):
            return
        for pair in itertools.combinations(sorted(face.track_id for face in frame.faces), 2):
            first, _ = self.pairs.get(pair, (frame.pts_seconds, 0.0))
            self.pairs[pair] = (first, frame.pts_seconds)
