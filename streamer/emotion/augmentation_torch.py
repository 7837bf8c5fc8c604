"""How training pictures are varied, so that the net meets what use brings: other framings, light, hidden parts.

Half of the pictures are first aligned by their landmarks, as every crop is in use; then all are turned by up to .15
rad, scaled by .88 to 1.15, stretched by up to 6 %, shifted by up to 11 % of the side, mirrored one time in two, given
80 to 120 % of their contrast and up to 10 % more or less light; 40 % have a part of 6 to 19 px erased. A strength
below 1 makes all that but the mirroring and the light so much less.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ANGLE, _SCALE, _STRETCH = 0.15, (0.88, 1.15), 0.06
_SHIFT = 0.22  # of half of the side
_CONTRAST, _LIGHT = 0.2, 0.1
_ERASED, _ERASED_SIDE = 0.4, (6, 20)
_ALIGNED = 0.5


def augmented(pictures: Tensor, alignments: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Vary pictures.

    Args:
        pictures: (N, 1, S, S) in 0..1.
        alignments: (N, 2, 3), from places in the aligned picture to places in the picture, both in -1..1.
        strength: 0..1.
        generator: Of all that is drawn by lot.
    """
    chosen = torch.rand(len(pictures), 1, 1, generator=generator) < _ALIGNED
    base = torch.where(chosen, alignments, torch.eye(2, 3))
    jitter = _jitter(len(pictures), strength, generator)
    linear, shift = base[:, :, :2], base[:, :, 2:]
    transforms = torch.cat([linear @ jitter[:, :, :2], linear @ jitter[:, :, 2:] + shift], 2)
    grid = functional.affine_grid(transforms, list(pictures.shape), align_corners=False)
    varied = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    contrast = _uniform(1 - _CONTRAST, 1 + _CONTRAST, len(pictures), generator)
    light = _uniform(-_LIGHT, _LIGHT, len(pictures), generator)
    varied = varied * contrast[:, None, None, None] + light[:, None, None, None]
    _erase(varied, strength, generator)
    return varied


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _jitter(count: int, strength: float, generator: torch.Generator) -> Tensor:
    """Return (count, 2, 3) random transforms."""
    angle, right, down, stretch = (
        strength * _uniform(-most, most, count, generator) for most in (_ANGLE, _SHIFT, _SHIFT, _STRETCH)
    )
    stretch = 1 + stretch
    scale = 1 + strength * (_uniform(*_SCALE, count, generator) - 1)
    mirror = torch.sign(_uniform(-1, 1, count, generator))
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = (
        torch.stack([cosine * stretch * mirror, -sine, right], 1),
        torch.stack([sine * mirror, cosine / stretch, down], 1),
    )
    return torch.stack(rows, 1)


def _erase(pictures: Tensor, strength: float, generator: torch.Generator) -> None:
    """Set a rectangle of some pictures to their mean, in place."""
    side = pictures.shape[-1]
    chosen = torch.rand(len(pictures), generator=generator) < strength * _ERASED
    for index in torch.nonzero(chosen).flatten().tolist():
        height, width = torch.randint(*_ERASED_SIDE, (2,), generator=generator).tolist()
        top = int(torch.randint(side - height, (1,), generator=generator))
        left = int(torch.randint(side - width, (1,), generator=generator))
        pictures[index, :, top : top + height, left : left + width] = pictures[index].mean()
