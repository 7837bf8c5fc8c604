"""Embeds aligned face crops with dlib's ResNet-29: 128 numbers a face, in which the same person lies close.

The net is Davis King's (dlib `dnn_face_recognition_ex.cpp`, after He et al., CVPR 2016), its weights are CC0; they are
converted by `dlib_convert`. What computes it is dlib_openvino or dlib_torch. Finding faces and comparing vectors
happens elsewhere.
"""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load_file

from streamer.recognition.aligned import AlignedEmbedder, Net
from streamer.recognition.templates import DLIB
from streamer.types import Float32
from streamer.weights import locate

DIMENSION = 128
CROP_SIZE = DLIB.side

# dlib's input layer: mean red, green, blue, and the divisor. The first convolution's inputs are swapped instead of each
# crop's channels, so the means stand here in BGR order.
MEAN_BGR = (104.298, 117.001, 122.782)
DIVISOR = 256.0

BLOCKS = 14
HALVING_BLOCKS = frozenset({3, 7, 10, 13})


def read() -> dict[str, Float32]:
    """Return the net's weights, by name, for BGR input. Raises WeightsError."""
    tensors = {name: values.astype(np.float32) for name, values in load_file(locate("dlib-resnet")).items()}
    tensors["stem.weight"] = np.ascontiguousarray(tensors["stem.weight"][:, ::-1])
    # The last block's second convolution sees a single pixel, so only its middle tap meets anything but padding.
    last = f"blocks.{BLOCKS - 1}.second.weight"
    tensors[last] = np.ascontiguousarray(tensors[last][..., 1:2, 1:2])
    return tensors


class DlibEmbedder(AlignedEmbedder):
    """An `Embedder` on dlib's ResNet-29; `describe` gives what dlib itself does, vectors of lengths about 1.4.

    Args:
        net: What computes it.
        flip: See `AlignedEmbedder`.
    """

    def __init__(self, net: Net, *, flip: bool = False) -> None:
        super().__init__(net, DLIB, DIMENSION, flip=flip)
