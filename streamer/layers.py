"""What nets are made of, so that each is written down once for all that computes it: layers_openvino, layers_torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

Maps = TypeVar("Maps")
Padding = tuple[int, int]


class Layers(Protocol[Maps]):
    """Operations over (N, C, H, W) maps; weights are known by name, normalisations folded into them."""

    def convolve(self, x: Maps, name: str, *, stride: int = 1, padding: Padding = (0, 0)) -> Maps:
        """Convolve by NAME.weight and add NAME.bias."""
        ...

    def convolve_each(self, x: Maps, name: str, *, stride: int = 1, padding: Padding = (0, 0)) -> Maps:
        """Convolve each channel alone by its plane of NAME.weight, (C, 1, h, w), and add NAME.bias."""
        ...

    def relu(self, x: Maps, most: float | None = None) -> Maps:
        """Replace what is negative by 0, and what is above `most` by that; None: by nothing."""
        ...

    def add(self, x: Maps, y: Maps) -> Maps:
        """Add, element by element."""
        ...

    def join(self, maps: Sequence[Maps]) -> Maps:
        """Put maps behind each other, channel by channel."""
        ...

    def shrink(self, x: Maps, *, padding: int = 0) -> Maps:
        """Return the maxima of 3 × 3 windows, 2 apart; those at the edge may reach over it."""
        ...

    def head(self, x: Maps, name: str) -> Maps:
        """Return the (N, K) product of the maps' means and NAME.weight, plus NAME.bias."""
        ...
