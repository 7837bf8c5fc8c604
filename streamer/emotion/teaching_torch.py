"""What finished nets say of the training pictures, to learn from beside the votes (Hinton et al., 2015).

Ten votes are few: two pictures that look alike may have quite different shares. Nets that agree with the crowd on other
pictures even that out, the more so where several are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from streamer.emotion.ferplus_file import EmotionWeights
from streamer.emotion.ferplus_torch import EmotionNet
from streamer.emotion.training_torch import TrainingSet, logits
from streamer.pictures import UInt8
from streamer.types import Float32

_BATCH = 512
_SHARE = 0.5  # of the targets that teachers have; the rest is the crowd's


def taught(
    data: TrainingSet,
    teachers: Sequence[EmotionWeights],
    device: torch.device | str = "cpu",
    *,
    bfloat16: bool = False,
    on_share: Callable[[float], None],
) -> TrainingSet:
    """Return the data with targets of which half are the mean of what teachers say; without teachers as it is.

    Args:
        data: What to learn from.
        teachers: Nets, each asked about every picture as it is and aligned, with mirror images.
        device: Where they compute.
        bfloat16: As for `Training`.
        on_share: Told the share that is done, 0..1; may raise to stop.
    """
    if not teachers:
        return data
    nets = [(_loaded(teacher, device), teacher.calibration) for teacher in teachers]
    said = np.zeros_like(data.targets)
    for start in range(0, len(said), _BATCH):
        on_share(start / len(said))
        rows = slice(start, start + _BATCH)
        views = data.pictures[rows], _aligned(data.pictures[rows], data.alignments[rows])
        for net, calibration in nets:
            both = np.mean([logits(net, view, device, bfloat16=bfloat16) for view in views], axis=0)
            said[rows] += calibration.probabilities(np.asarray(both, np.float32), 0.0) / len(nets)
    return replace(data, targets=(1 - _SHARE) * data.targets + _SHARE * said)


def _loaded(weights: EmotionWeights, device: torch.device | str) -> EmotionNet:
    net = EmotionNet(weights.blocks)
    net.load(weights.tensors)
    return net.eval().to(device).to(memory_format=torch.channels_last)


def _aligned(pictures: UInt8, alignments: Float32) -> UInt8:
    """Return (N, S, S) pictures with their faces on the template."""
    grey = torch.from_numpy(np.ascontiguousarray(pictures))[:, None].float()
    grid = functional.affine_grid(torch.from_numpy(alignments), list(grey.shape), align_corners=False)
    moved = functional.grid_sample(grey, grid, padding_mode="border", align_corners=False)
    return np.asarray(moved[:, 0].round().numpy(), np.uint8)
