"""Two portraits that come inside installed packages, and the scene of `streamer demo` made of them.

Both pictures are works of the United States government and in the public domain: Eileen Collins (NASA) lies inside
scikit-image, Grace Hopper (US Navy) inside matplotlib. Neither package is imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from streamer.errors import UsageError
from streamer.pictures import UInt8
from streamer.sources.actors import Actor, Occluder, Portrait
from streamer.sources.scene import Scene

Points = tuple[tuple[float, float], ...]

# Boxes and landmarks are what facenet-pytorch's MTCNN gives on these pictures; the outlines were found with GrabCut
# and corrected by hand.
_COLLINS_BOX = (181.05, 62.16, 267.75, 172.05)
_COLLINS_LANDMARKS: Points = ((205.01, 101.73), (246.76, 103.71), (224.67, 128.96), (201.72, 139.25), (245.27, 141.86))
_COLLINS_OUTLINE = (
    "212,20 201,23 185,38 163,51 156,60 153,72 155,98 158,106 167,113 172,127 178,140 183,151 162,151 140,158 "
    "131,167 127,175 121,203 108,210 90,227 76,235 62,250 44,282 39,306 29,332 25,374 19,397 20,419 25,478 29,511 "
    "505,511 500,478 495,445 484,412 468,385 448,364 425,351 398,345 374,348 360,356 357,330 352,290 341,266 "
    "326,248 303,233 299,216 290,200 276,187 259,178 254,172 262,152 272,136 283,125 294,108 300,92 297,62 288,43 "
    "276,31 251,19 230,16"
)
_HOPPER_BOX = (174.40, 119.56, 355.65, 340.46)
_HOPPER_LANDMARKS: Points = ((221.67, 192.21), (309.83, 186.13), (269.36, 239.17), (232.65, 279.65), (306.64, 275.93))
_HOPPER_OUTLINE = (
    "245,23 232,26 218,34 200,47 182,64 176,74 173,86 158,95 150,107 147,128 148,160 152,185 154,215 160,238 "
    "170,246 172,268 180,290 196,302 199,318 196,330 183,338 165,346 129,355 96,364 80,369 62,379 50,388 40,408 "
    "34,430 29,459 20,526 15,560 13,599 500,599 503,520 504,460 504,426 494,395 480,384 462,377 422,366 372,345 "
    "353,336 341,327 336,316 338,304 346,302 354,290 356,268 361,250 368,236 374,205 376,192 369,182 371,150 371,110 "
    "368,95 354,84 343,64 328,51 313,44 292,33 268,25"
)


def packaged_portraits() -> tuple[Portrait, Portrait]:
    """Return Eileen Collins and Grace Hopper, cut out of their backgrounds.

    Raises:
        UsageError: scikit-image or matplotlib is not installed.
    """
    collins = _picture("skimage", "scikit-image", "data/astronaut.png")
    hopper = _picture("matplotlib", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
    return (
        _portrait("Eileen Collins", collins, _COLLINS_BOX, _COLLINS_LANDMARKS, _COLLINS_OUTLINE),
        _portrait("Grace Hopper", hopper, _HOPPER_BOX, _HOPPER_LANDMARKS, _HOPPER_OUTLINE),
    )


def demo_scene() -> Scene:
    """Return the scene of `streamer demo`: 12 s at 1280 × 720 in which two people cross, hide, leave and come back.

    Raises:
        UsageError: scikit-image or matplotlib is not installed.
    """
    collins, hopper = packaged_portraits()
    cut = 7.2
    return Scene(
        width=1280,
        height=720,
        fps=25,
        seconds=12,
        actors=(
            Actor(collins, ((0.0, -40, 330, 118), (2.4, 640, 300, 128), (4.7, 1560, 285, 138)), leaves_seconds=4.7),
            Actor(
                collins,
                ((5.1, 1560, 290, 132), (7.2, 930, 280, 140)),
                appears_seconds=5.1,
                leaves_seconds=cut,
            ),
            Actor(hopper, ((0.0, 960, 400, 200), (2.4, 600, 390, 205), (7.2, 300, 410, 225)), leaves_seconds=cut),
            Actor(hopper, ((cut, 210, 410, 190), (12.0, 690, 400, 196)), appears_seconds=cut),
            Actor(collins, ((cut, 1120, 300, 120), (12.0, 1010, 290, 185)), appears_seconds=cut),
        ),
        occluders=(Occluder(((cut, 455, 360),), width=190, height=740, appears_seconds=cut),),
        cuts=(cut,),
        seed=8,
        noise_sigma=1.2,
    )


def _picture(module: str, package: str, path: str) -> UInt8:
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec is not None else None
    file = Path(folders[0]) / path if folders else None
    # Read by NumPy: OpenCV cannot open non-ASCII paths on Windows.
    pixels = (
        cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR) if file is not None and file.is_file() else None
    )
    if pixels is None:
        raise UsageError(
            f"the portrait {path} comes inside {package}, which is not installed or is incomplete here; "
            'install it with: pip install "streamer[demo]"'
        )
    return np.asarray(pixels, np.uint8)


def _portrait(
    name: str, picture: UInt8, box: tuple[float, float, float, float], landmarks: Points, outline: str
) -> Portrait:
    mask = np.zeros(picture.shape[:2], np.uint8)
    points = [[int(number) for number in point.split(",")] for point in outline.split()]
    cv2.fillPoly(mask, [np.array(points, np.int32)], (255,))
    # One pixel inwards and soft: no rim of the old background, no staircase.
    mask = np.asarray(cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), 1.5), np.uint8)
    return Portrait(name, picture, np.array(box, np.float32), np.array(landmarks, np.float32), mask)
