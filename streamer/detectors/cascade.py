"""The cascade's second and third stage over candidates: what the whole-picture search and `near` share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamer.detectors import boxes as box
from streamer.detectors.mtcnn_nets import MtcnnNets
from streamer.detectors.summed_area import SummedArea
from streamer.types import Faces, Float32

_RNET_SIDE, _ONET_SIDE = 24, 48


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


def numpy(tensor: Tensor) -> Float32:
    """Return a tensor as a float32 array on the host."""
    return np.asarray(tensor.float().cpu().numpy(), np.float32)


def refined(nets: MtcnnNets, tables: list[SummedArea], candidates: Candidates) -> tuple[Candidates, Float32]:
    """Run R-Net; return the candidates that are not empty, with its scores, and their corrected boxes (N, 4)."""
    windows, candidates = _windows(tables, candidates)
    verdict = nets.refine(_crops(nets, tables, windows, candidates.owners, _RNET_SIDE))
    judged = Candidates(candidates.xyxy, numpy(verdict.scores), candidates.owners)
    return judged, box.corrected(candidates.xyxy, numpy(verdict.offsets))


def output(nets: MtcnnNets, tables: list[SummedArea], candidates: Candidates) -> tuple[Faces, box.Rows]:
    """Run O-Net; return one face a candidate that is not empty, unclipped, and the faces' owners."""
    windows, candidates = _windows(tables, candidates)
    verdict = nets.conclude(_crops(nets, tables, windows, candidates.owners, _ONET_SIDE))
    xyxy = candidates.xyxy
    points = numpy(verdict.points).reshape(-1, 2, 5).transpose(0, 2, 1)
    sides = xyxy[:, 2:] - xyxy[:, :2] + 1
    landmarks = points * sides[:, None] + xyxy[:, None, :2] - 1
    faces = Faces(box.corrected(xyxy, numpy(verdict.offsets)), numpy(verdict.scores), landmarks)
    return faces, candidates.owners


def _windows(tables: list[SummedArea], candidates: Candidates) -> tuple[npt.NDArray[np.int64], Candidates]:
    """Return the whole-pixel windows (N, 4) to crop, and the candidates that lie inside their picture."""
    sizes = np.array([(table.width, table.height) for table in tables], np.int64).reshape(-1, 2)[candidates.owners]
    windows = box.pixel_windows(candidates.xyxy, sizes[:, 0], sizes[:, 1])
    inside = np.flatnonzero((windows[:, 2] > windows[:, 0]) & (windows[:, 3] > windows[:, 1]))
    return windows[inside], candidates[inside]


def _crops(
    nets: MtcnnNets, tables: list[SummedArea], windows: npt.NDArray[np.int64], owners: box.Rows, side: int
) -> Tensor:
    """Cut the windows from their owners' pictures, (N, 3, side, side), in their order."""
    crops = torch.empty((len(owners), 3, side, side), device=nets.device, memory_format=torch.channels_last)
    for owner in np.unique(owners):
        rows = np.flatnonzero(owners == owner)
        crops[torch.from_numpy(rows)] = tables[owner].crops(torch.from_numpy(windows[rows]), side)
    return crops
