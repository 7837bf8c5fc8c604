"""The cascade's second and third stage over candidates: what the whole-picture search and `near` share.

Which library computes the nets is behind `CascadeNets`; here and in all that uses it there is only NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streamer.detectors import boxes as box
from streamer.types import Faces, Float32

Windows = npt.NDArray[np.int64]


class Proposals(NamedTuple):
    """The cells of P-Net whose scores reach the threshold."""

    cells: npt.NDArray[np.intp]  # (N, 2) row and column
    scores: Float32  # (N,) probability of a face
    offsets: Float32  # (N, 4) box corrections in box sides


class Verdict(NamedTuple):
    """What R-Net says of N crops."""

    scores: Float32  # (N,) probability of a face
    offsets: Float32  # (N, 4) box corrections in box sides

    @classmethod
    def of(cls, head: Float32) -> Verdict:
        """Read the net's (N, 6) output."""
        return cls(_face_scores(head), head[:, 2:6])


class Conclusion(NamedTuple):
    """What O-Net says of N crops."""

    scores: Float32  # (N,) probability of a face
    offsets: Float32  # (N, 4) box corrections in box sides
    points: Float32  # (N, 10) five x then five y, in box sides

    @classmethod
    def of(cls, head: Float32) -> Conclusion:
        """Read the net's (N, 16) output."""
        return cls(_face_scores(head), head[:, 2:6], head[:, 6:])


def _face_scores(head: Float32) -> Float32:
    """Return probabilities from two class logits; in NumPy, as torch's last bits depend on how many there are."""
    return np.asarray(1 / (1 + np.exp(head[:, 0] - head[:, 1])), np.float32)


class PreparedPictures(Protocol):
    """Some pictures, ready to be looked at by the nets; implementations resize by adaptive average pooling."""

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        ...

    def propose(self, owner: int, height: int, width: int, threshold: float) -> Proposals:
        """Run P-Net on a picture resized to height × width."""
        ...

    def refine(self, windows: Windows, owners: box.Rows) -> Verdict:
        """Run R-Net on (N, 4) windows, none empty, of their owners' pictures."""
        ...

    def conclude(self, windows: Windows, owners: box.Rows) -> Conclusion:
        """Run O-Net on (N, 4) windows, none empty, of their owners' pictures."""
        ...


class CascadeNets(Protocol):
    """P-, R- and O-Net; several threads may use them at once. Implementations: mtcnn_openvino, mtcnn_torch."""

    def prepare(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> PreparedPictures:
        """Take (H, W, 3) uint8 BGR pictures in which the nets shall look."""
        ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes on their way through the cascade.

    Attributes:
        xyxy: (N, 4) float32 px in the picture of their owner.
        scores: (N,) float32.
        owners: (N,) the index of each box's picture (of its summed-area table).
    """

    xyxy: Float32
    scores: Float32
    owners: box.Rows

    def __getitem__(self, rows: box.Rows) -> Candidates:
        return Candidates(self.xyxy[rows], self.scores[rows], self.owners[rows])

    @classmethod
    def concatenate(cls, parts: list[Candidates]) -> Candidates:
        """Join the candidates of several pictures."""
        return cls(
            np.concatenate([np.zeros((0, 4), np.float32), *(part.xyxy for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
            np.concatenate([np.zeros(0, np.intp), *(part.owners for part in parts)]),
        )


def refined(pictures: PreparedPictures, candidates: Candidates) -> tuple[Candidates, Float32]:
    """Run R-Net; return the candidates that are not empty, with its scores, and their corrected boxes (N, 4)."""
    windows, candidates = _windows(pictures, candidates)
    verdict = pictures.refine(windows, candidates.owners)
    judged = Candidates(candidates.xyxy, verdict.scores, candidates.owners)
    return judged, box.corrected(candidates.xyxy, verdict.offsets)


def output(pictures: PreparedPictures, candidates: Candidates) -> tuple[Faces, box.Rows]:
    """Run O-Net; return one face a candidate that is not empty, unclipped, and the faces' owners."""
    windows, candidates = _windows(pictures, candidates)
    verdict = pictures.conclude(windows, candidates.owners)
    xyxy = candidates.xyxy
    points = verdict.points.reshape(-1, 2, 5).transpose(0, 2, 1)
    sides = xyxy[:, 2:] - xyxy[:, :2] + 1
    landmarks = points * sides[:, None] + xyxy[:, None, :2] - 1
    return Faces(box.corrected(xyxy, verdict.offsets), verdict.scores, landmarks), candidates.owners


def _windows(pictures: PreparedPictures, candidates: Candidates) -> tuple[Windows, Candidates]:
    """Return the whole-pixel windows (N, 4) to crop, and the candidates that lie inside their picture."""
    sizes = pictures.sizes[candidates.owners]
    windows = box.pixel_windows(candidates.xyxy, sizes[:, 0], sizes[:, 1])
    inside = np.flatnonzero((windows[:, 2] > windows[:, 0]) & (windows[:, 3] > windows[:, 1]))
    return windows[inside], candidates[inside]
