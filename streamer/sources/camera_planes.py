"""Converts a camera's pictures to the planes that all stages work on."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.pictures import UInt8, planes_of


def lay_bgr(picture: UInt8, packed: UInt8) -> None:
    """Convert (H, W, 3) uint8 BGR to BT.601 planes.

    Args:
        picture: The picture; odd sides are extended by their last line.
        packed: (3h/2, w) uint8, sides made even, is filled with y, u and v.
    """
    height, width = packed.shape[0] * 2 // 3, packed.shape[1]
    if picture.shape[:2] != (height, width):
        border = (0, height - picture.shape[0], 0, width - picture.shape[1])
        picture = np.asarray(cv2.copyMakeBorder(picture, *border, cv2.BORDER_REPLICATE), np.uint8)
    cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420, dst=packed)


def lay_yuyv(picture: UInt8, packed: UInt8) -> None:
    """Lay the planes of (H, W, 2) uint8 YUYV, W even, apart: half the work of going through BGR, and nothing is lost.

    Args:
        picture: The picture; of its colours, those of every other row are taken, as OpenCV does.
        packed: (3h/2, W) uint8, h being H made even, is filled with y, u and v.
    """
    height, width = picture.shape[:2]
    y, u, v = planes_of(packed)
    cv2.extractChannel(picture, 0, dst=y[:height])
    y[height:] = y[height - 1]
    pairs = picture.reshape(height, width // 2, 4)[::2]  # of two pixels: y, u, y, v
    cv2.extractChannel(pairs, 1, dst=u)
    cv2.extractChannel(pairs, 3, dst=v)
