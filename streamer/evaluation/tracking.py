"""How well faces were found, followed and named in a video, against a truth: sums over frames, and no file.

Faces are matched frame by frame from an IoU of .5 on. As CLEAR MOT has it (Bernardin and Stiefelhagen, 2008) a pair
that was matched in the frame before stays one while it overlaps enough; the others are assigned so that the overlaps'
sum is largest (Hungarian method). A switch is where a face of the truth is matched to another track than when it was
last matched, however long ago.

IDF1 (Ristani et al., ECCV Workshops 2016) asks how long each face is covered by one and the same track: tracks are
assigned to faces of the truth once for all the video, so that they lie on each other in as many frames as possible, and
all other boxes, of both, are errors.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from streamer.evaluation.face_files import FaceId, FrameFaces
from streamer.evaluation.matching import MATCH_IOU, assign, match, sides
from streamer.evaluation.shares import Share
from streamer.geometry import iou

Overlaps = Counter[tuple[FaceId, FaceId]]  # frames in which a face of the truth and a track lie on each other


@dataclass(frozen=True, slots=True)
class TrackingFigures:
    """What was found in a video, against a truth.

    Attributes:
        recall: Of the truth's faces, those that were found.
        precision: Of the found faces, those that lie on one of the truth's.
        id_switches: How often a face's track is another than before.
        identity: Twice the faces covered by their own track, of all faces of truth and results: its value is IDF1.
        names: Of the found faces that have a name in truth, those that were given it; not assessed is not given.
        false_names: Faces that were given a name which is not theirs in truth: another's, a stranger's, or nobody's
            where no face of the truth is.
        false_name_tracks: How many tracks have such a face.
    """

    recall: Share
    precision: Share
    id_switches: int
    identity: Share
    names: Share
    false_names: int
    false_name_tracks: int


class TrackingTally:
    """Adds up frame after frame.

    Args:
        min_face_pixels: Faces of the truth with a shorter side below it, and what is found of them, are not judged,
            nor are found faces so small that lie on none.
    """

    def __init__(self, min_face_pixels: float = 0.0) -> None:
        self._min_face_pixels = min_face_pixels
        self._recall = self._precision = self._names = Share()
        self._overlaps: Overlaps = Counter()
        self._latest: dict[FaceId, FaceId] = {}  # by face of the truth: its track when it was last matched
        self._before: dict[FaceId, FaceId] = {}  # the same, of the frame before only
        self._switches = self._false_names = 0
        self._false_tracks: set[FaceId] = set()

    def add(self, found: FrameFaces, truth: FrameFaces) -> None:
        """Count one frame."""
        found, truth = self._judged(found, truth)
        rows, columns, _ = match(found.xyxy, truth.xyxy, is_kept=self._kept(found, truth))
        owners = dict(zip(rows.tolist(), columns.tolist(), strict=True))
        self._recall += Share(len(owners), len(truth.ids))
        self._precision += Share(len(owners), len(found.ids))
        self._before = {truth.ids[column]: found.ids[row] for row, column in owners.items()}
        self._switches += sum(self._latest.get(face, track) != track for face, track in self._before.items())
        self._latest.update(self._before)
        self._count_names(found, truth, owners)
        for row, column in zip(*np.nonzero(iou(found.xyxy, truth.xyxy) >= MATCH_IOU), strict=True):
            self._overlaps[truth.ids[column], found.ids[row]] += 1

    def _judged(self, found: FrameFaces, truth: FrameFaces) -> tuple[FrameFaces, FrameFaces]:
        """Leave out what is too small to be judged."""
        if self._min_face_pixels <= 0:
            return found, truth
        is_large, is_kept = sides(truth.xyxy) >= self._min_face_pixels, sides(found.xyxy) >= self._min_face_pixels
        rows, columns, _ = match(found.xyxy, truth.xyxy, is_kept=self._kept(found, truth))
        is_kept[rows] = is_large[columns]
        return found.of(np.flatnonzero(is_kept).tolist()), truth.of(np.flatnonzero(is_large).tolist())

    def _kept(self, found: FrameFaces, truth: FrameFaces) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        pairs = [[self._before.get(face) == track for face in truth.ids] for track in found.ids]
        return np.array(pairs, bool).reshape(len(found.ids), len(truth.ids))

    def _count_names(self, found: FrameFaces, truth: FrameFaces, owners: dict[int, int]) -> None:
        for row, name in enumerate(found.names):
            expected = truth.names[owners[row]] if row in owners else None
            if expected is not None:
                self._names += Share(int(name == expected), 1)
            if name is not None and name != expected:
                self._false_names += 1
                self._false_tracks.add(found.ids[row])

    def figures(self) -> TrackingFigures:
        """Return what it has come to so far."""
        covered = sum(self._overlaps[pair] for pair in _own_tracks(self._overlaps))
        return TrackingFigures(
            recall=self._recall,
            precision=self._precision,
            id_switches=self._switches,
            identity=Share(2 * covered, self._recall.total + self._precision.total),
            names=self._names,
            false_names=self._false_names,
            false_name_tracks=len(self._false_tracks),
        )


def _own_tracks(overlaps: Overlaps) -> list[tuple[FaceId, FaceId]]:
    """Return the one-to-one pairs of faces and tracks that lie on each other in most frames altogether.

    Faces that share no track, not even by way of others, are assigned apart: a day's video has thousands of tracks, and
    the assignment's time grows with the cube of their number.
    """
    pairs: list[tuple[FaceId, FaceId]] = []
    for faces, tracks in _groups(overlaps):
        gains = np.array([[overlaps.get((face, track), 0) for track in tracks] for face in faces], np.float64)
        rows, columns = assign(gains)
        pairs += [(faces[row], tracks[column]) for row, column in zip(rows, columns, strict=True)]
    return pairs


def _groups(overlaps: Overlaps) -> list[tuple[list[FaceId], list[FaceId]]]:
    """Return the connected parts of the graph of faces and tracks."""
    neighbours: dict[tuple[str, FaceId], list[tuple[str, FaceId]]] = {}
    for face, track in overlaps:
        neighbours.setdefault(("face", face), []).append(("track", track))
        neighbours.setdefault(("track", track), []).append(("face", face))
    groups, seen = [], set()
    for start in neighbours:
        waiting, group = [start], []
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                group.append(node)
                waiting += neighbours[node]
        if group:
            faces = [own for kind, own in group if kind == "face"]
            groups.append((faces, [own for kind, own in group if kind == "track"]))
    return groups
