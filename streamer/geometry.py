"""Boxes and alignment as pure functions over arrays: IoU, clipping, five-point similarity, cropping.

Boxes are xyxy in continuous pixel coordinates (x2 - x1 is the width). The similarity is Umeyama's least-squares
estimate (IEEE TPAMI 13(4), 1991).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamer.pictures import Matrix, Picture
from streamer.types import Float32

Float = npt.NDArray[np.floating]


def nose_offset(landmarks: Float) -> float:
    """Return how far the nose lies from the middle between the eyes, along their line, in distances between the eyes.

    In a frontal view it is 0, in a profile the nose lies beyond one of the eyes; infinite where the eyes coincide.

    Args:
        landmarks: (5, 2) px.
    """
    left_eye, right_eye, nose = landmarks[0], landmarks[1], landmarks[2]
    between_eyes = right_eye - left_eye
    square = float(between_eyes @ between_eyes)
    if square < 1e-6:
        return float("inf")
    return abs(float((nose - (left_eye + right_eye) / 2) @ between_eyes)) / square


def areas(xyxy: Float) -> Float:
    """Return the (N,) areas of (N, 4) boxes, px²; a turned-over box has none."""
    return np.maximum(xyxy[:, 2] - xyxy[:, 0], 0) * np.maximum(xyxy[:, 3] - xyxy[:, 1], 0)


def iou(first: Float, second: Float) -> Float:
    """Return the (N, M) intersection over union of (N, 4) and (M, 4) boxes, 0..1."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    intersection = sides[..., 0] * sides[..., 1]
    union = areas(first)[:, None] + areas(second)[None, :] - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9))


def clip(xyxy: Float, width: int, height: int) -> Float32:
    """Return (N, 4) or (4,) boxes clipped to a picture of `width` × `height` px."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(xyxy, 0, limits).astype(np.float32)


def similarity_transform(source: Float, target: Float) -> npt.NDArray[np.float64]:
    """Return the (2, 3) matrix of the rotation, uniform scale and shift that best takes (K, 2) `source` to `target`."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = np.asarray(source - source_mean, np.float64), np.asarray(target - target_mean, np.float64)
    variance = float((a**2).sum())
    if variance < 1e-12:
        raise ValueError("the source points coincide, so they fix no similarity")
    # In two dimensions Umeyama's SVD has this closed form: the best complex number z with b ≈ z·a.
    cosine = float((a * b).sum()) / variance
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / variance
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.concatenate([linear, (target_mean - linear @ source_mean)[:, None]], axis=1)


def aligned_crop(
    picture: Picture, landmarks: Float32, template: Float32, side: int, stretch: float = 1.0
) -> npt.NDArray[np.uint8]:
    """Cut a face so that its landmarks fall on a template.

    Args:
        picture: The picture.
        landmarks: (5, 2) float32 px in the picture.
        template: (5, 2) float32 px in the crop.
        side: S, the crop's side, px.
        stretch: The crop shows the face so many times as wide as it is; the template is of that wide face.

    Returns:
        (S, S, 3) uint8 BGR; what lies outside the picture repeats its edge.
    """
    return picture.warped(*_alignment(landmarks, template, side, stretch))


def aligned_grey_crop(picture: Picture, landmarks: Float32, template: Float32, side: int) -> npt.NDArray[np.uint8]:
    """Cut a face as `aligned_crop` does, for a third of its time: (S, S) uint8 grey."""
    return picture.warped_grey(*_alignment(landmarks, template, side))


def _alignment(landmarks: Float32, template: Float32, side: int, stretch: float = 1.0) -> tuple[Matrix, int, int]:
    """Return what `warp` takes: a face larger than the crop is averaged down, or fine texture would alias."""
    narrow: Float32 = np.divide(template, (stretch, 1), dtype=np.float32)
    forward = similarity_transform(landmarks, narrow)
    scale = float(np.hypot(forward[0, 0], forward[1, 0]))
    shrink = max(1, min(8, round(1 / max(scale, 1e-6))))
    forward[0] *= stretch
    forward = forward * shrink
    # Pixel centres: a crop pixel i covers [i, i + 1), OpenCV samples at whole coordinates.
    forward[:, 2] += (forward[:, :2].sum(axis=1) - 1) / 2
    return forward, side, shrink
