"""The cascade's second and third stage over candidates: what the whole-picture search and `near` share.

Which library computes the nets is behind `CascadeNets`; here and in all that uses it there is only NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streamer.detectors import boxes as box
from streamer.pictures import Picture, UInt8
from streamer.types import Faces, Float32

Windows = npt.NDArray[np.int64]

_CHUNK = 32  # crops that are cut and go through a net together: they stay in the cache, and more gain nothing


class Part(NamedTuple):
    """A part of a picture in which the nets look: `xyxy` in whole px, inside the picture, not empty."""

    picture: Picture
    xyxy: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        left, top, right, bottom = self.xyxy
        return right - left, bottom - top

    def bgr(self) -> UInt8:
        """Return the part's pixels, (h, w, 3) uint8."""
        return self.picture.bgr_region(self.xyxy)


class Proposals(NamedTuple):
    """The cells of P-Net whose scores reach the threshold."""

    cells: npt.NDArray[np.intp]  # (N, 2) row and column
    scores: Float32  # (N,) probability of a face
    offsets: Float32  # (N, 4) box corrections in box sides

    @classmethod
    def above(cls, head: Float32, first_row: int, first_column: int, threshold: float) -> Proposals:
        """Return the cells of a (5, h, w) head, a piece of a level, that reach the threshold.

        The head holds the difference of the two class logits and four corrections.
        """
        width, flat = head.shape[2], head.reshape(len(head), -1)
        places = np.flatnonzero(flat[0] >= np.log(threshold / (1 - threshold)))
        found = flat[:, places]
        rows, columns = np.divmod(places, width)
        cells = np.stack([rows + first_row, columns + first_column], 1)
        return cls(cells, 1 / (1 + np.exp(-found[0])), found[1:].T)

    @classmethod
    def joined(cls, pieces: Sequence[Proposals]) -> Proposals:
        """Join the proposals of several pieces."""
        return cls(
            np.concatenate([np.zeros((0, 2), np.intp), *(piece.cells for piece in pieces)]),
            np.concatenate([np.zeros(0, np.float32), *(piece.scores for piece in pieces)]),
            np.concatenate([np.zeros((0, 4), np.float32), *(piece.offsets for piece in pieces)]),
        )


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
    """Some parts of pictures, ready to be looked at by the nets; all coordinates are the part's."""

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(B, 2) width and height of the pictures."""
        ...

    def propose(self, owner: int, levels: Sequence[tuple[int, int]], threshold: float) -> list[Proposals]:
        """Run P-Net on a picture resized to each (height, width); one Proposals a level."""
        ...

    def refine(self, windows: Windows, owners: box.Rows) -> Verdict:
        """Run R-Net on (N, 4) windows, none empty, of their owners' pictures."""
        ...

    def conclude(self, windows: Windows, owners: box.Rows) -> Conclusion:
        """Run O-Net on (N, 4) windows, none empty, of their owners' pictures."""
        ...


class CascadeNets(Protocol):
    """P-, R- and O-Net; several threads may use them at once.

    Implementations: mtcnn_openvino and mtcnn_torch (BGR, resized as the reference does), mtcnn_yuv (planes, thrifty).
    """

    def prepare(self, parts: Sequence[Part]) -> PreparedPictures:
        """Take the parts of pictures in which the nets shall look."""
        ...


def headed(
    net: Callable[[npt.NDArray[Any]], Float32],
    crops: Callable[[int], Iterator[npt.NDArray[Any]]],
    shape: tuple[int, int],
    multiple: int,
) -> Float32:
    """Return a net's output of (N, channels) `shape` for N crops; a crop's does not depend on those beside it.

    Args:
        net: Takes (n, ...) crops.
        crops: Yields them so many at a time; each chunk has been looked at before the next is asked for.
        shape: Of the output.
        multiple: Of which the net sees so many crops, the last of them repeated.
    """
    head = np.empty(shape, np.float32)
    done = 0
    for some in crops(_CHUNK):
        missing = -len(some) % multiple
        whole = np.concatenate([some, some[-1:].repeat(missing, 0)]) if missing else some
        head[done : done + len(some)] = net(whole)[: len(some)]
        done += len(some)
    return head


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes on their way through the cascade.

    Attributes:
        xyxy: (N, 4) float32 px in the picture of their owner.
        scores: (N,) float32.
        owners: (N,) the index of each box's part.
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
