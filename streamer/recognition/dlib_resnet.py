"""Embeds aligned face crops with dlib's ResNet-29: 128 numbers a face, in which the same person lies close.

The net is Davis King's (dlib `dnn_face_recognition_ex.cpp`, after He et al., CVPR 2016), its weights are CC0; they are
converted by `dlib_convert`. What computes it is dlib_openvino or dlib_torch. Finding faces and comparing vectors
happens elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from safetensors.numpy import load_file

from streamer.geometry import aligned_crop
from streamer.pictures import Picture
from streamer.stages import Crops
from streamer.types import Float32
from streamer.weights import locate

DIMENSION = 128
CROP_SIZE = 150

# Where dlib's own alignment puts, on average, the five points that the detector gives.
TEMPLATE = np.array([(48.46, 46.65), (102.39, 46.60), (75.37, 79.69), (51.52, 105.26), (98.97, 105.84)], np.float32)

# dlib's input layer: mean red, green, blue, and the divisor. The first convolution's inputs are swapped instead of each
# crop's channels, so the means stand here in BGR order.
MEAN_BGR = (104.298, 117.001, 122.782)
DIVISOR = 256.0

BLOCKS = 14
HALVING_BLOCKS = frozenset({3, 7, 10, 13})

Net = Callable[
    [Crops], Float32
]  # (N, 150, 150, 3) uint8 BGR crops to (N, 128) vectors; each for itself, to the last bit


def read() -> dict[str, Float32]:
    """Return the net's weights, by name, for BGR input. Raises WeightsError."""
    tensors = {name: values.astype(np.float32) for name, values in load_file(locate("dlib-resnet")).items()}
    tensors["stem.weight"] = np.ascontiguousarray(tensors["stem.weight"][:, ::-1])
    # The last block's second convolution sees a single pixel, so only its middle tap meets anything but padding.
    last = f"blocks.{BLOCKS - 1}.second.weight"
    tensors[last] = np.ascontiguousarray(tensors[last][..., 1:2, 1:2])
    return tensors


class DlibEmbedder:
    """An `Embedder` on dlib's ResNet-29. A crop's vector is the same to the last bit whatever crops are beside it.

    Args:
        net: What computes it.
        flip: Add each crop's mirror image: twice the cost for a third of the errors on LFW pairs.
    """

    def __init__(self, net: Net, *, flip: bool = False) -> None:
        self._net, self._flip = net, flip

    @property
    def dimension(self) -> int:
        """D, 128."""
        return DIMENSION

    @property
    def crop_size(self) -> int:
        """S, 150 px."""
        return CROP_SIZE

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        """Cut the aligned crop of one face, (150, 150, 3) uint8 BGR, by its (5, 2) landmarks."""
        return aligned_crop(picture, landmarks, TEMPLATE, CROP_SIZE)

    def embed(self, crops: Crops) -> Float32:
        """Return (N, 128) float32 unit vectors of (N, 150, 150, 3) uint8 BGR crops."""
        vectors = self.describe(crops)
        if self._flip:
            vectors = vectors + self.describe(crops[:, :, ::-1])
        lengths: Float32 = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths

    def describe(self, crops: Crops) -> Float32:
        """Return (N, 128) float32 vectors as dlib itself gives them, of lengths about 1.4, without the mirror image.

        Raises:
            ValueError: The crops are of another shape or dtype.
        """
        if crops.dtype != np.uint8 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(f"crops must be (N, 150, 150, 3) uint8, not {crops.shape} {crops.dtype}")
        return self._net(np.ascontiguousarray(crops)) if len(crops) else np.zeros((0, DIMENSION), np.float32)
