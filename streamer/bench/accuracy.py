"""How good what was found is, against boxes of a reference: pure arithmetic over arrays.

Faces are matched one to one within a frame (evaluation/matching.py). A face's size is the shorter side of its box. The
reference is agreement with a detector that searched every frame, not truth: that is what drawn scenes are for
(`truth`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamer.bench.records import Found
from streamer.evaluation.matching import Rows, count_changes, match, sides
from streamer.evaluation.shares import Share
from streamer.types import Float32

LARGE_PIXELS = 40.0
_NOTHING = Share()
# Where the reference misses a face for some frames its chain goes on; a third of a second at 25 fps.
_CHAIN_FRAMES, _CHAIN_IOU = 8, 0.3


@dataclass(frozen=True, slots=True)
class Scores:
    """Recall and precision of the faces of one size.

    Attributes:
        recall: Of the reference's boxes of that size, those that a found box of any size matches.
        precision: Of the found boxes of that size, those that a reference box of any size matches.
    """

    recall: Share = _NOTHING
    precision: Share = _NOTHING

    def __add__(self, other: Scores) -> Scores:
        """Count both together."""
        return Scores(self.recall + other.recall, self.precision + other.precision)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How found boxes agree with a reference's.

    Attributes:
        large: Faces of 40 px and more.
        all_sizes: All faces.
        median_iou: Of matched pairs; None: there is none.
    """

    large: Scores
    all_sizes: Scores
    median_iou: float | None


def agreement(found: Sequence[Float32], reference: Sequence[Float32]) -> Agreement:
    """Compare the boxes of every frame: one (N, 4) array a frame of each."""
    large, every = Scores(), Scores()
    overlaps: list[npt.NDArray[np.floating]] = [np.zeros(0)]
    for ours, theirs in zip(found, reference, strict=True):
        rows, columns, overlap = match(ours, theirs)
        overlaps.append(overlap)
        matched_ours, matched_theirs = _mask(rows, len(ours)), _mask(columns, len(theirs))
        every += Scores(_share(matched_theirs), _share(matched_ours))
        large += Scores(
            _share(matched_theirs[sides(theirs) >= LARGE_PIXELS]), _share(matched_ours[sides(ours) >= LARGE_PIXELS])
        )
    joined = np.concatenate(overlaps)
    return Agreement(large, every, float(np.median(joined)) if len(joined) else None)


def _mask(rows: Rows, length: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(length, bool)
    mask[rows] = True
    return mask


def _share(mask: npt.NDArray[np.bool_]) -> Share:
    return Share(int(mask.sum()), len(mask))


@dataclass(slots=True)
class _Chain:
    """One face in the reference, from frame to frame."""

    box: Float32
    last_frame: int
    members: list[tuple[int, int]] = field(default_factory=list)  # frame, row


def chains(reference: Sequence[Float32]) -> list[list[tuple[int, int]]]:
    """Link the reference's boxes over the frames by their overlap; return each chain as (frame, row) pairs.

    A chain ends where a face is not found for more than eight frames, or moves by more than an IoU of .3 lets it.
    """
    every: list[_Chain] = []
    live: list[_Chain] = []
    for frame, boxes in enumerate(reference):
        live = [chain for chain in live if frame - chain.last_frame <= _CHAIN_FRAMES]
        ends = np.array([chain.box for chain in live], np.float32).reshape(-1, 4)
        owners = {int(column): live[row] for row, column in zip(*match(ends, boxes, _CHAIN_IOU)[:2], strict=True)}
        for row, box in enumerate(boxes):
            chain = owners.get(row)
            if chain is None:
                chain = _Chain(box, frame)
                every.append(chain)
                live.append(chain)
            chain.box, chain.last_frame = box, frame
            chain.members.append((frame, row))
    return [chain.members for chain in every]


def id_switches(found: Sequence[Found], reference: Sequence[Float32]) -> int:
    """Count how often the track that covers one face of the reference is another than the one that did before."""
    covering: list[dict[int, int]] = []
    for ours, theirs in zip(found, reference, strict=True):
        rows, columns, _ = match(ours.xyxy, theirs)
        covering.append({int(column): int(ours.track_ids[row]) for row, column in zip(rows, columns, strict=True)})
    return sum(
        count_changes([covering[frame][row] for frame, row in chain if row in covering[frame]])
        for chain in chains(reference)
    )


def names_given(found: Sequence[Found]) -> dict[str, int]:
    """Return to how many faces, over all frames, each name was given, the most frequent first."""
    counts: dict[str, int] = {}
    for frame in found:
        for name in frame.names:
            if name is not None:
                counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
