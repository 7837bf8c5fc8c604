"""Reading FER+: 48 px grey pictures with ten crowd votes each, as targets for training and labels for judging.

Format: a folder with SPLIT_votes.csv (index, name, ten vote columns) and SPLIT_00.webp, SPLIT_01.webp …: lossless
mosaics of 1,000 pictures each, row by row, in the order of the votes. FER+: Barsoum et al., ICMI 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamer.emotion.framing import CROP_SIZE
from streamer.emotion.votes import VOTES, majority, votes_in, without_noise
from streamer.errors import UsageError, printable
from streamer.tables import read_table
from streamer.types import Float32

_PICTURES_A_MOSAIC = 1000


@dataclass(frozen=True, slots=True, eq=False)
class FerPlus:
    """One split.

    Attributes:
        pictures: (N, 48, 48) uint8 grey.
        votes: (N, 10) float32 counts: the seven emotions, contempt, unknown, not a face; single votes removed.
    """

    pictures: npt.NDArray[np.uint8]
    votes: Float32

    def soft_targets(self, smoothing: float = 0.03) -> tuple[npt.NDArray[np.uint8], Float32]:
        """Return the pictures to train on and the shares of their votes over the seven emotions, (M, 7).

        Left out are pictures that most voters could not tell, or that got no vote for any of the seven.
        """
        usable = (self.votes[:, :7].sum(axis=1) > 0) & (self.votes.argmax(axis=1) < 8)
        votes = self.votes[usable, :7]
        shares = votes / votes.sum(axis=1, keepdims=True)
        return self.pictures[usable], (shares * (1 - smoothing) + smoothing / 7).astype(np.float32)

    def majority(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp]]:
        """Return the pictures to judge on and their classes: where one of the seven has over half of the votes."""
        clear, classes = majority(self.votes)
        return self.pictures[clear], classes


def read_ferplus(folder: Path, split: str) -> FerPlus:
    """Read one split.

    Raises:
        SourceOpenError: The votes cannot be read.
        UsageError: They, or the pictures, are not what the format says; tells which, and the line.
    """
    table = folder / f"{split}_votes.csv"
    votes = without_noise(np.stack([votes_in(table, row) for row in read_table(table, VOTES)]))
    mosaics = sorted(folder.glob(f"{split}_[0-9]*.webp"))
    tiles = [_tiles(path)[:_PICTURES_A_MOSAIC] for path in mosaics]
    pictures = np.concatenate([np.zeros((0, CROP_SIZE, CROP_SIZE), np.uint8), *tiles])
    if len(pictures) < len(votes):
        raise UsageError(
            f"{printable(folder)}: {len(votes)} votes but only {len(pictures)} pictures in {split}_*.webp; add the rest"
        )
    return FerPlus(pictures[: len(votes)], votes)


def _tiles(path: Path) -> npt.NDArray[np.uint8]:
    mosaic = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mosaic is None or mosaic.shape[0] % CROP_SIZE or mosaic.shape[1] % CROP_SIZE:
        raise UsageError(f"{printable(path)}: must be a picture of whole tiles of {CROP_SIZE} px; replace it")
    rows, columns = mosaic.shape[0] // CROP_SIZE, mosaic.shape[1] // CROP_SIZE
    tiles = mosaic.reshape(rows, CROP_SIZE, columns, CROP_SIZE).swapaxes(1, 2)
    return np.asarray(tiles.reshape(-1, CROP_SIZE, CROP_SIZE), np.uint8)
