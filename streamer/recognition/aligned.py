"""An embedder made of a template and a net: cuts faces by the one, and turns crops into unit vectors by the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streamer.errors import WeightsError
from streamer.pictures import Picture
from streamer.recognition.templates import Template
from streamer.stages import Crops
from streamer.types import Float32

Net = Callable[[Crops], Float32]
"""(N, S, S, 3) uint8 BGR crops to (N, D) float32 vectors; each for itself, to the last bit."""

_SHORTEST = 1e-12  # a vector shorter than this has no direction that could be told from rounding


class AlignedEmbedder:
    """An `Embedder`. A crop's vector is the same to the last bit whatever crops are beside it.

    Args:
        net: What computes vectors.
        template: How faces are cut for it.
        dimension: D, the length of its vectors.
        flip: Add each crop's mirror image: twice the time for a third fewer errors on LFW pairs (dlib-resnet).
    """

    def __init__(self, net: Net, template: Template, dimension: int, *, flip: bool = False) -> None:
        self._net, self._template, self._dimension, self._flip = net, template, dimension, flip

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        return self._dimension

    @property
    def crop_size(self) -> int:
        """S, the side of the crops, px."""
        return self._template.side

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        """Cut the aligned crop of one face, (S, S, 3) uint8 BGR, by its (5, 2) landmarks."""
        return self._template.crop(picture, landmarks)

    def embed(self, crops: Crops) -> Float32:
        """Return (N, D) float32 unit vectors of (N, S, S, 3) uint8 BGR crops.

        Raises:
            ValueError: The crops are of another shape or dtype.
            WeightsError: The net gave zeros, or what is no number.
        """
        vectors = self.describe(crops)
        if self._flip:
            vectors = vectors + self.describe(crops[:, :, ::-1])
        lengths: Float32 = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths) & (lengths > _SHORTEST)):
            raise WeightsError(
                "the embedder gave a vector of zeros, or of what is no number; its weights, or the normalisation set "
                "for them (embedder.normalisation), are not what the net was made for"
            )
        return vectors / lengths

    def describe(self, crops: Crops) -> Float32:
        """Return (N, D) float32 vectors as the net itself gives them, of any length, without the mirror image.

        Raises:
            ValueError: The crops are of another shape or dtype.
        """
        side = self.crop_size
        if crops.dtype != np.uint8 or crops.shape[1:] != (side, side, 3):
            raise ValueError(f"crops must be (N, {side}, {side}, 3) uint8, not {crops.shape} {crops.dtype}")
        return self._net(np.ascontiguousarray(crops)) if len(crops) else np.zeros((0, self._dimension), np.float32)
