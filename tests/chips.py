"""Aligned crops of drawn people: each has a pattern of greys of their own, of which every photo shows a variant."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamer.pictures import UInt8
from streamer.stages import Crops
from streamer.types import Float32


def drawn_person(number: int, photos: int, *, seed: int = 0) -> Crops:
    """Return (photos, 150, 150, 3) uint8 crops: moved by up to 4 px, brightened by up to 20 levels, with noise."""
    pattern = np.random.default_rng(1000 + number).integers(60, 200, (7, 7)).astype(np.float32)
    large = cv2.resize(pattern, (170, 170), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng([number, seed])
    made: list[UInt8] = []
    for _ in range(photos):
        x, y = rng.integers(6, 15, 2)
        crop = large[y : y + 150, x : x + 150] + rng.uniform(-20, 20) + rng.normal(0, 4, (150, 150))
        made.append(np.repeat(np.clip(crop, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return np.stack(made)


def drawn_people(names: Sequence[str], photos: int, *, seed: int = 0) -> dict[str, Crops]:
    return {name: drawn_person(number, photos, seed=seed) for number, name in enumerate(names)}


def drawn_strangers(count: int, *, seed: int = 0) -> Crops:
    return np.concatenate([drawn_person(500 + 1000 * seed + number, 1, seed=seed) for number in range(count)])


def small_pixels(crops: Crops) -> Float32:
    """Stand in for dlib's net: 121 greys about their mean, and 7 zeros."""
    rows = np.zeros((len(crops), 128), np.float32)
    for row, crop in zip(rows, crops, strict=True):
        grey = cv2.resize(crop[..., 0], (11, 11), interpolation=cv2.INTER_AREA).astype(np.float32)
        row[:121] = (grey - grey.mean()).ravel()
    return rows
