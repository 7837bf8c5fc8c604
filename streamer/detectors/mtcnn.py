"""The MTCNN cascade as a `Detector`: whole pictures by pyramid (`detect`), or near given boxes only (`refine`).

`detect` gives the boxes of facenet-pytorch 2.5.3's `MTCNN.detect`. Method: Zhang et al., "Joint Face Detection and
Alignment using Multitask Cascaded Convolutional Networks", IEEE SPL 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer import geometry
from streamer.detectors import boxes as box
from streamer.detectors import near
from streamer.detectors.cascade import Candidates, CascadeNets, Part, PreparedPictures, Proposals, output, refined
from streamer.pictures import Picture
from streamer.stats import RunStats
from streamer.types import Faces, Float32

Region = tuple[int, int, int, int]

_PNET_WINDOW, _PNET_STRIDE = 12, 2
_PYRAMID_FACTOR = 0.709  # the area halves from level to level
_RNET_THRESHOLD, _ONET_THRESHOLD = 0.7, 0.7  # the reference's

# Bounds that hold whatever the picture: it is searched at no more than 16 Mpx (a larger one is halved), its first
# pyramid level has at most 3 Mpx (a 4K picture at min_face_pixels 20; above that the smallest face grows with the
# picture), and at most so many candidates a picture go to R-Net.
MAX_PICTURE_PIXELS = 16_000_000
MAX_LEVEL_PIXELS = 3_000_000
MAX_CANDIDATES = 4_000


class MtcnnDetector:
    """Finds faces with the MTCNN cascade.

    Args:
        nets: P-, R- and O-Net.
        score_threshold: Faces below it are not returned, 0..1.
        min_face_pixels: The smallest face searched for, px; at least 12.
        proposal_threshold: P-Net's score from which R-Net looks, 0..1. The reference's 0.6 gives the reference's boxes;
            0.8 spares more than half of the crops and loses about 1 face of 100 in single pictures.
        stats: Where the times of the cascade's stages go.
    """

    def __init__(
        self,
        nets: CascadeNets,
        *,
        score_threshold: float = 0.9,
        min_face_pixels: float = 20,
        proposal_threshold: float = 0.6,
        stats: RunStats | None = None,
    ) -> None:
        if not 0 < score_threshold <= 1:
            raise ValueError(f"score_threshold must lie in 0..1, not {score_threshold}")
        _check_smallest(min_face_pixels)
        self._nets = nets
        self._score_threshold = score_threshold
        self._min_face_pixels = min_face_pixels
        self._proposal_threshold = proposal_threshold
        self._stats = stats if stats is not None else RunStats()

    def detect(
        self,
        pictures: Sequence[Picture],
        regions: Sequence[Region | None] | None = None,
        *,
        min_face_pixels: float | None = None,
    ) -> list[Faces]:
        """Search whole pictures, or in each only its region; R- and O-Net run once over all pictures' candidates.

        Args:
            pictures: B pictures of any sizes.
            regions: For each the part to search, xyxy in whole px; None: all of it.
            min_face_pixels: The smallest face searched for this time; None: the detector's. To leave out whole levels
                of the usual pyramid it must be larger by powers of 1 / 0.709.

        Returns:
            One Faces a picture, by falling score, in the coordinates of the whole picture.
        """
        if not pictures:
            return []
        smallest = self._min_face_pixels if min_face_pixels is None else _check_smallest(min_face_pixels)
        regions = regions if regions is not None else [None] * len(pictures)
        whole = [_part(picture, region) for picture, region in zip(pictures, regions, strict=True)]
        reductions = [_reduction(part) for part in whole]
        parts = [_reduced(part, reduction) for part, reduction in zip(whole, reductions, strict=True)]
        with self._stats.time("prepare"):
            prepared = self._nets.prepare(parts)
        proposals = Candidates.concatenate([self._propose(prepared, owner, smallest) for owner in range(len(pictures))])
        found = self._decide(prepared, self._sift(prepared, proposals))
        return [
            placed(faces, reduction, part.xyxy[:2], picture)
            for faces, reduction, part, picture in zip(found, reductions, parts, pictures, strict=True)
        ]

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[Float32]) -> list[Faces]:
        """Look only near the given boxes.

        Args:
            pictures: B pictures.
            boxes: For each (N, 4) float32 px: where faces are expected.

        Returns:
            One Faces a picture, at most one face a box (two boxes that lead to one face give it once).
        """
        around = near.surroundings(pictures, boxes)
        best = near.search(self._nets.prepare(around.parts), around.expected)
        shifts = around.offsets
        moved = Faces(best.xyxy + np.tile(shifts, 2), best.scores, best.landmarks + shifts[:, None])
        return [
            placed(self._distinct(moved[around.owners == owner]), 1, (0, 0), picture)
            for owner, picture in enumerate(pictures)
        ]

    def _distinct(self, faces: Faces) -> Faces:
        """Keep faces that reach the threshold, each once."""
        faces = faces[faces.scores >= self._score_threshold]
        faces = faces[box.nms(faces.xyxy, faces.scores, 0.5)]
        return faces[box.nms_of_smaller(faces.xyxy, faces.scores, 0.7)]

    def _propose(self, pictures: PreparedPictures, owner: int, smallest: float) -> Candidates:
        """First stage: P-Net over the pyramid, suppression in each level and over all, correction."""
        width, height = (int(side) for side in pictures.sizes[owner])
        scales = _scales(height, width, smallest)
        levels = [(int(height * scale + 1), int(width * scale + 1)) for scale in scales]
        with self._stats.time("pnet"):
            proposals = pictures.propose(owner, levels, self._proposal_threshold)
        with self._stats.time("nms"):
            every = [_boxes(own, scale) for own, scale in zip(proposals, scales, strict=True)]
            rows_of_nine = np.concatenate([np.zeros((0, 9), np.float32), *every])
            xyxy, scores, offsets = rows_of_nine[:, :4], rows_of_nine[:, 4], rows_of_nine[:, 5:]
            rows = box.nms(xyxy, scores, 0.7)[:MAX_CANDIDATES]
        xyxy, scores, offsets = xyxy[rows], scores[rows], offsets[rows]
        xyxy = xyxy + offsets * np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
        return Candidates(box.squares_about(xyxy), scores, np.full(len(rows), owner, np.intp))

    def _sift(self, pictures: PreparedPictures, candidates: Candidates) -> Candidates:
        """Second stage: R-Net, suppression within each picture, correction."""
        with self._stats.time("rnet"):
            judged, corrected = refined(pictures, candidates)
        kept = [np.zeros(0, np.intp)]
        with self._stats.time("nms"):
            for owner in range(len(pictures.sizes)):
                rows = np.flatnonzero((judged.owners == owner) & (judged.scores > _RNET_THRESHOLD))
                kept.append(rows[box.nms(judged.xyxy[rows], judged.scores[rows], 0.7)])
        rows = np.concatenate(kept)
        return Candidates(box.squares_about(corrected[rows]), judged.scores[rows], judged.owners[rows])

    def _decide(self, pictures: PreparedPictures, candidates: Candidates) -> list[Faces]:
        """Third stage: O-Net, suppression within each picture; one Faces a picture."""
        with self._stats.time("onet"):
            faces, owners = output(pictures, candidates)
        result = []
        with self._stats.time("nms"):
            for owner in range(len(pictures.sizes)):
                mine = faces[(owners == owner) & (faces.scores > min(_ONET_THRESHOLD, self._score_threshold))]
                mine = mine[box.nms_of_smaller(mine.xyxy, mine.scores, 0.7)]
                result.append(mine[mine.scores >= self._score_threshold])
        return result


def _check_smallest(min_face_pixels: float) -> float:
    if min_face_pixels < _PNET_WINDOW:
        raise ValueError(f"min_face_pixels must be at least {_PNET_WINDOW}, not {min_face_pixels}")
    return min_face_pixels


def _scales(height: int, width: int, smallest: float) -> list[float]:
    """Return the pyramid's scales: at the first the smallest face fills P-Net's window, at the last the picture."""
    scale = min(_PNET_WINDOW / smallest, float(np.sqrt(MAX_LEVEL_PIXELS / (height * width))))
    side, scales = min(height, width) * scale, []
    while side >= _PNET_WINDOW:
        scales.append(scale)
        scale, side = scale * _PYRAMID_FACTOR, side * _PYRAMID_FACTOR
    return scales


def _boxes(proposals: Proposals, scale: float) -> Float32:
    """Return (N, 9) float32 rows of one level: box in the picture's px, score, four offsets; suppressed at 0.5."""
    corners = proposals.cells[:, ::-1].astype(np.float32) * _PNET_STRIDE
    xyxy = np.concatenate([np.floor((corners + 1) / scale), np.floor((corners + _PNET_WINDOW) / scale)], axis=1)
    scores = proposals.scores
    # A noisy picture can propose in every cell; the best are enough, and suppression stays affordable.
    best = np.argsort(-scores, kind="stable")[: 2 * MAX_CANDIDATES]
    rows = best[box.nms(xyxy[best], scores[best], 0.5)]
    return np.concatenate([xyxy[rows], scores[rows, None], proposals.offsets[rows]], axis=1, dtype=np.float32)


def _part(picture: Picture, region: Region | None) -> Part:
    """Return what is to be searched of a picture."""
    whole = (0, 0, picture.width, picture.height)
    if region is None:
        return Part(picture, whole)
    x1, y1, x2, y2 = max(region[0], 0), max(region[1], 0), min(region[2], whole[2]), min(region[3], whole[3])
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f"region {region} lies outside the picture of {picture.width} × {picture.height} px")
    return Part(picture, (x1, y1, x2, y2))


def _reduction(part: Part) -> int:
    """Return the whole factor by which a picture is shrunk before it is searched."""
    reduction, (width, height) = 1, part.size
    while width * height > MAX_PICTURE_PIXELS * reduction**2:
        reduction *= 2
    return reduction


def _reduced(part: Part, reduction: int) -> Part:
    """Return the part in a picture shrunk by a whole factor; at least a pixel is left."""
    if reduction == 1:
        return part
    left, top, right, bottom = (edge // reduction for edge in part.xyxy)
    return Part(part.picture.shrunk(reduction), (left, top, max(right, left + 1), max(bottom, top + 1)))


def placed(faces: Faces, scale: int, offset: tuple[int, int], picture: Picture) -> Faces:
    """Return faces of a part that lies at `offset` (x, y) in a picture shrunk by `scale`, in the picture as it is."""
    shift, factor = np.array(offset, np.float32), np.float32(scale)
    xyxy = geometry.clip((faces.xyxy + np.tile(shift, 2)) * factor, picture.width, picture.height)
    return Faces(xyxy, faces.scores, (faces.landmarks + shift) * factor)
