"""How good what was found in a drawn scene is, against the exact truth about it: pure arithmetic."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.bench.records import Found
from streamer.evaluation.matching import count_changes, match, sides
from streamer.evaluation.shares import Share
from streamer.sources.scene import TrueFace

# A face that shows less is nobody's to find; what is found of it is not wrong either.
_LEAST_VISIBLE = 0.6
_LEAST_PIXELS = 20.0


@dataclass(frozen=True, slots=True)
class TruthScores:
    """What was found in a drawn scene, against the truth.

    Attributes:
        recall: Of the faces of 20 px and more of which six tenths can be seen, those that were found.
        precision: Of the found boxes, those that lie on a face, however little of it shows.
        id_switches: How often an actor's track is another than before.
        names: Of the found faces of enrolled people, those that bear their name.
        false_names: Faces, or boxes without one, that were given the name of somebody else.
    """

    recall: Share
    precision: Share
    id_switches: int
    names: Share
    false_names: int


def compare(found: Sequence[Found], truth: Sequence[Sequence[TrueFace]], enrolled: Collection[str]) -> TruthScores:
    """Compare every frame of a scene.

    Args:
        found: One a frame.
        truth: One a frame.
        enrolled: Who is in the gallery; all others are strangers to it.
    """
    recall, precision, names = Share(), Share(), Share()
    tracks: dict[int, list[int]] = {}
    false_names = 0
    for ours, faces in zip(found, truth, strict=True):
        boxes = np.array([face.xyxy for face in faces], np.float32).reshape(-1, 4)
        rows, columns, _ = match(ours.xyxy, boxes)
        owner = {int(row): faces[column] for row, column in zip(rows, columns, strict=True)}
        is_shown = np.array([face.visible_fraction >= _LEAST_VISIBLE for face in faces], bool)
        fair = (sides(boxes) >= _LEAST_PIXELS) & is_shown
        recall += Share(int(fair[columns].sum()), int(fair.sum()))
        precision += Share(len(rows), len(ours.xyxy))
        for row, name in enumerate(ours.names):
            face = owner.get(row)
            if face is not None:
                tracks.setdefault(face.actor_id, []).append(int(ours.track_ids[row]))
                if face.name in enrolled:
                    names += Share(int(name == face.name), 1)
            false_names += name is not None and (face is None or name != face.name)
    return TruthScores(recall, precision, sum(map(count_changes, tracks.values())), names, false_names)
