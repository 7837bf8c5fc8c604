"""Embeds aligned face crops with dlib's ResNet-29: 128 numbers a face, in which the same person lies close.

The net is Davis King's (dlib `dnn_face_recognition_ex.cpp`, after He et al., CVPR 2016), its weights are CC0; they are
converted by `dlib_convert`. Finding faces and comparing vectors happens elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, torch's own documentation calls it so
from safetensors.torch import load_file

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
_MEAN_BGR = (104.298, 117.001, 122.782)
_DIVISOR = 256.0

_BLOCKS = 14
_HALVING_BLOCKS = frozenset({3, 7, 10, 13})

# The nets' libraries choose their kernels by batch size, which moves a vector's last bits. So the batch is always the
# same and its rest filled with black. One thread, ms a face in full batches of 1, 2, 4, 8: 5.3, 3.4, 2.8, 2.5; on
# average over 1 to 8 faces a call 2 and 4 cost the same, and one face alone is the commonest call. A GPU is idle below
# 16.
_CPU_BATCH = 2
_GPU_BATCH = 16


class DlibEmbedder:
    """An `Embedder` on dlib's ResNet-29. A crop's vector is the same to the last bit whatever crops are beside it.

    Args:
        device: Where the net runs.
        dtype: What it computes in: float32 on a CPU, float16 on a GPU.
        flip: Add each crop's mirror image: twice the cost for a third of the errors on LFW pairs.

    Raises:
        WeightsError: The weights file is absent or not the expected one.
    """

    def __init__(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, flip: bool = False
    ) -> None:
        self._device = torch.device(device)
        self._dtype = dtype
        self._flip = flip
        self._batch = _CPU_BATCH if self._device.type == "cpu" else _GPU_BATCH
        tensors = load_file(locate("dlib-resnet"))
        tensors["stem.weight"] = tensors["stem.weight"].flip(1)
        # The last block's second convolution sees a single pixel, so only its middle tap meets anything but padding.
        tensors[f"blocks.{_BLOCKS - 1}.second.weight"] = tensors[f"blocks.{_BLOCKS - 1}.second.weight"][..., 1:2, 1:2]
        self._tensors = {name: self._placed(tensor) for name, tensor in tensors.items()}
        self._mean = torch.tensor(_MEAN_BGR, device=self._device).reshape(1, 3, 1, 1)

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
        vectors = np.empty((len(crops), DIMENSION), np.float32)
        for start in range(0, len(crops), self._batch):
            some = crops[start : start + self._batch]
            batch = np.zeros((self._batch, CROP_SIZE, CROP_SIZE, 3), np.uint8)
            batch[: len(some)] = some
            vectors[start : start + len(some)] = self._run(batch)[: len(some)]
        return vectors

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a weight on the device in the computing dtype, convolutions with their channels last."""
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.to(self._device, self._dtype).contiguous(memory_format=layout)

    @torch.inference_mode()
    def _run(self, batch: Crops) -> Float32:
        """Return the (B, 128) float32 vectors of a full batch."""
        # Pixels come channels last, so this permutation moves no memory and the net keeps their layout.
        pixels = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2)
        x = ((pixels - self._mean) / _DIVISOR).to(self._dtype)
        x = F.max_pool2d(self._convolve(x, "stem", stride=2, padding=0).relu_(), 3, 2)
        for number in range(_BLOCKS):
            x = self._block(x, number)
        vectors: Float32 = F.linear(x.mean((2, 3)), self._tensors["head.weight"]).float().cpu().numpy()
        return vectors

    def _block(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Run one residual block: two convolutions beside the input, or beside its half-sized average."""
        first, second = f"blocks.{number}.first", f"blocks.{number}.second"
        padding = self._tensors[f"{second}.weight"].shape[-1] // 2
        if number not in _HALVING_BLOCKS:
            y = self._convolve(x, first, stride=1, padding=1).relu_()
            return self._convolve(y, second, stride=1, padding=padding).add_(x).relu_()
        y = self._convolve(x, first, stride=2, padding=0).relu_()
        y = self._convolve(y, second, stride=1, padding=padding)
        skip = F.avg_pool2d(x, 2)
        # dlib adds tensors of different sizes as if zeros stood on the right, at the bottom and in further channels.
        skip = F.pad(skip, (0, 0, 0, 0, 0, y.shape[1] - skip.shape[1]))
        y = F.pad(y, (0, skip.shape[3] - y.shape[3], 0, skip.shape[2] - y.shape[2]))
        return (y + skip).relu_()

    def _convolve(self, x: torch.Tensor, name: str, *, stride: int, padding: int) -> torch.Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=stride, padding=padding)
