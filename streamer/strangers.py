"""Who the unnamed are: tracks without a name, of any number of results files, gathered into people.

Average-linkage agglomerative clustering (scikit-learn) of the tracks' quality-weighted mean vectors by cosine distance.
Tracks that are in the picture at once are different people, whatever their vectors say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamer.errors import UsageError
from streamer.recognition.people import EmbedderId
from streamer.recorded import RecordedLook, RecordedTrack
from streamer.recorded_tracks import TracksFile, read_tracks
from streamer.types import Float32

# Mean cosine distance up to which two groups of tracks are one person. Measured on LFW's 2,719 pictures, tracks made
# of one picture or of one to four, ten draws each: B-cubed F (precision / recall) is .976 (.997 / .957) for 20 people,
# .985 (.986 / .985) for 100, .975 (.969 / .981) for 300; with one picture a track .950 (.997 / .908) for 100. At .065
# it is .986, .981, .965 and .967, but groups of two people are more: a wrong one costs more than a person in two cards.
MAX_DISTANCES = {"dlib-resnet": 0.06}
MAX_TRACKS = 5_000  # for which clustering takes 0.7 GB and, on one core, 2.5 s
# A mean over groups that holds one such pair is above every threshold.
_NEVER = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class StrangerTrack:
    """One track without a name.

    Attributes:
        path: The results file.
        declared_fps: Of its source.
        track: What is recorded; it has looks.
    """

    path: Path
    declared_fps: float
    track: RecordedTrack

    @property
    def seconds(self) -> float:
        """For how long it is in the picture."""
        return self.track.frames / self.declared_fps if self.declared_fps else 0.0

    @property
    def quality(self) -> float:
        """The best look's quality."""
        return max(look.quality for look in self.track.looks)


@dataclass(frozen=True, slots=True, eq=False)
class Stranger:
    """One unnamed person.

    Attributes:
        number: From 1, who is seen longest first.
        tracks: In the order of the files, then of time; one at least.
    """

    number: int
    tracks: tuple[StrangerTrack, ...]

    @property
    def seconds(self) -> float:
        """For how long they are in the picture, over all files."""
        return sum(track.seconds for track in self.tracks)

    @property
    def last(self) -> StrangerTrack:
        """The track in which they are seen last: of those in the last file, the one that ends last."""
        in_last_file = [track for track in self.tracks if track.path == self.tracks[-1].path]
        return max(in_last_file, key=lambda track: track.track.last_seconds)

    @property
    def crop(self) -> bytes | None:
        """JPEG of the best look; None: no crop is recorded."""
        best = max(self.tracks, key=lambda track: (track.track.crop is not None, track.quality))
        return best.track.crop


def max_distance(embedder: EmbedderId, wanted: float | None) -> float:
    """Return the distance up to which tracks are one person. Raises UsageError where none is known for the net."""
    if wanted is not None:
        if not 0 < wanted < 2:
            raise UsageError(f"the distance must lie between 0 and 2, not {wanted:g}")
        return wanted
    if embedder.name not in MAX_DISTANCES:
        raise UsageError(f"no distance between people was measured for the net {embedder.name}; give one by --distance")
    return MAX_DISTANCES[embedder.name]


def find_strangers(paths: Sequence[Path], embedder: EmbedderId, distance: float) -> list[Stranger]:
    """Gather the unnamed tracks of results files into people.

    Args:
        paths: Results files that hold looks, each once.
        embedder: The net in use.
        distance: Mean cosine distance up to which groups of tracks are one person.

    Raises:
        StreamerError: See `read_tracks`.
        UsageError: There are more than MAX_TRACKS tracks.
    """
    tracks: list[StrangerTrack] = []
    apart: list[tuple[int, int]] = []
    for path in paths:
        found = read_tracks(path, embedder)
        apart += _add(found, tracks)
        if len(tracks) > MAX_TRACKS:
            raise UsageError(f"there are more than {MAX_TRACKS} unnamed tracks; give fewer files at a time")
    groups: dict[int, list[StrangerTrack]] = {}
    for track, group in zip(tracks, cluster(_vectors(tracks), apart, distance), strict=True):
        groups.setdefault(int(group), []).append(track)
    # Python's sort is stable: of equals, the one that comes first in the files is first.
    ordered = sorted(groups.values(), key=lambda own: -sum(track.seconds for track in own))
    return [Stranger(number, tuple(own)) for number, own in enumerate(ordered, start=1)]


def _add(found: TracksFile, tracks: list[StrangerTrack]) -> list[tuple[int, int]]:
    """Add a file's unnamed tracks in order of time, and return which places in the list are different people."""
    own = [track for track in found.tracks.values() if track.name is None and track.looks]
    own.sort(key=lambda track: (track.first_seconds, track.track_id))
    places = {track.track_id: len(tracks) + place for place, track in enumerate(own)}
    tracks += [StrangerTrack(found.path, found.header.declared_fps, track) for track in own]
    return [(places[a], places[b]) for a, b in found.together if a in places and b in places]


def mean_vector(looks: Sequence[RecordedLook]) -> Float32:
    """Return the (D,) float32 direction of a track: the mean of its looks, weighted by their quality."""
    weighted = sum((np.float64(max(look.quality, 1e-6)) * look.vector for look in looks), np.zeros(1))
    return np.asarray(weighted / max(float(np.linalg.norm(weighted)), 1e-9), np.float32)


def _vectors(tracks: Sequence[StrangerTrack]) -> Float32:
    vectors = [mean_vector(track.track.looks) for track in tracks]
    if len({len(vector) for vector in vectors}) > 1:
        raise UsageError("the files' face vectors differ in length, though they name one net; process the videos again")
    return np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)


def cluster(vectors: Float32, apart: Sequence[tuple[int, int]], distance: float) -> npt.NDArray[np.intp]:
    """Return the number of each row's group.

    Args:
        vectors: (N, D) float32 unit vectors.
        apart: Pairs of rows that are never in one group.
        distance: Mean cosine distance up to which groups are joined.
    """
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.intp)
    from sklearn.cluster import AgglomerativeClustering

    rows = vectors.astype(np.float64)
    distances = rows @ rows.T
    np.subtract(1, distances, out=distances)
    np.clip(distances, 0, 2, out=distances)
    np.fill_diagonal(distances, 0)
    for first, second in apart:
        distances[first, second] = distances[second, first] = _NEVER
    joined = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=distance
    ).fit(distances)
    return np.asarray(joined.labels_, np.intp)
