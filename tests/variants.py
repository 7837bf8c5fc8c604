"""Several photos a person of the portraits that installed packages ship: turned and lit a little differently."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from streamer.pictures import UInt8
from streamer.sources.portraits import packaged_portraits

COLLINS, HOPPER = (portrait.name or "" for portrait in packaged_portraits())


def variant(picture: UInt8, number: int) -> UInt8:
    """Return a picture turned by up to 8 degrees, with other brightness and sharpness; 0: as it is."""
    rng = np.random.default_rng(number)
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-8, 8)) * bool(number), 1.0)
    turned = cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    lit = cv2.convertScaleAbs(turned, alpha=float(rng.uniform(0.8, 1.1)), beta=float(rng.uniform(-10, 15)))
    return np.asarray(lit if number else picture, np.uint8)


def write_variants(folder: Path, *names: str, photos: int = 4, first: int = 0) -> Path:
    """Write a folder of photos, one folder a person."""
    for portrait in packaged_portraits():
        if portrait.name in names:
            (folder / portrait.name).mkdir(parents=True)
            for number in range(first, first + photos):
                path = folder / portrait.name / f"{number}.png"
                assert cv2.imwrite(str(path), variant(portrait.picture, number))
    return folder
