"""Draws scenes of which everything is known, frame by frame: for tests, the demo and the benchmark alike.

Frames are I420 planes, drawn directly as such: it is what a video decoder gives and an encoder takes, so a drawn scene
goes the same way through the program as a file does, and no whole picture is converted (a third of the time of drawing
BGR and converting it, at 720p). Colours are BT.601, limited range.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.canvas import Canvas
from streamer.pictures import BgrPicture, I420Picture, UInt8
from streamer.sources.actors import Actor, Occluder, Placement, Portrait
from streamer.sources.scene import Scene, TrueFace
from streamer.types import Float32, Frame, SourceInfo

__all__ = ["Actor", "Occluder", "Portrait", "Scene", "SyntheticSource", "TrueFace"]

# BT.601 limited range, rows Y, U, V of (B, G, R, 1).
_BGR_TO_YUV = np.array(
    [[0.0979, 0.5041, 0.2568, 16.0], [0.4392, -0.2910, -0.1482, 128.0], [-0.0714, -0.3678, 0.4392, 128.0]]
)
_NOISE_MARGIN = 32


@dataclass(frozen=True, slots=True)
class _Planes:
    """A background: (H, W), and twice (ceil(H/2), ceil(W/2)), uint8."""

    y: UInt8
    u: UInt8
    v: UInt8


class _Sprite:
    """A cut-out as luma + mask and chroma + mask, each halved again and again, so that shrinking does not alias."""

    def __init__(self, bgr: UInt8, mask: UInt8) -> None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, bottom = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, 1)
        left, right = (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, 1)
        yuv = np.asarray(cv2.transform(bgr[top:bottom, left:right], _BGR_TO_YUV), np.uint8)
        alpha = mask[top:bottom, left:right, None]
        self.left, self.top = left, top
        self.height, self.width = alpha.shape[:2]
        self.luma = _halvings(np.concatenate([yuv[..., :1], alpha], axis=2))
        self.chroma = _halvings(np.concatenate([yuv[..., 1:], alpha], axis=2))


class SyntheticSource:
    """Delivers the frames of a drawn scene; a `Source`.

    Memory is that of one background and of the portraits, whatever the scene's length; any frame can be drawn in any
    order, and always comes out the same.

    Args:
        scene: What to draw.
        source_id: Unique in a run.
    """

    def __init__(self, scene: Scene, source_id: str = "synthetic") -> None:
        self.scene = scene
        self.info = SourceInfo(
            source_id,
            "drawn scene",
            scene.width,
            scene.height,
            float(1 / scene.time_base),
            frame_count=scene.frame_count,
            time_base=scene.time_base,
        )
        self.skipped = 0
        self._next_index = 0
        self._shot = -1
        self._background = _Planes(*(np.zeros((1, 1), np.uint8),) * 3)
        self._sprites: dict[int, _Sprite] = {}
        self._noise = _noise(scene)

    def read(self) -> Frame | None:
        """Return the next frame, None at the end."""
        index = self._next_index
        if index >= self.scene.frame_count:
            return None
        self._next_index += 1
        picture = self.draw(index)
        return Frame(picture, index, self.scene.seconds_at(index), time.monotonic(), self.info.source_id)

    def close(self) -> None:
        """End the scene: `read` returns None from now on."""
        self._next_index = self.scene.frame_count

    def truth(self, index: int) -> tuple[TrueFace, ...]:
        """Return the faces of which something can be seen in a frame."""
        return self.scene.truth_at(index)

    def draw(self, index: int) -> I420Picture:
        """Draw one frame, whichever."""
        scene, seconds = self.scene, self.scene.seconds_at(index)
        shot = scene.shot_at(index)
        if shot != self._shot:
            self._background, self._shot = draw_background(scene, shot), shot
        planes = _Planes(self._background.y.copy(), self._background.u.copy(), self._background.v.copy())
        for _, actor in scene.actors_at(seconds):
            sprite = self._sprite(actor.portrait)
            _draw_sprite(planes, sprite, actor.placement(seconds), actor.blur_sigma, actor.brightness)
        for bar in scene.occluders_at(seconds):
            left, top, _, _ = bar.xyxy(seconds)
            _draw_sprite(planes, self._sprite(bar), Placement(1.0, left, top), 0.0, 1.0)
        if self._noise is not None:
            _add_noise(planes.y, self._noise, np.random.default_rng((scene.seed, index)))
        return I420Picture(planes.y, planes.u, planes.v)

    def _sprite(self, of: Portrait | Occluder) -> _Sprite:
        # The scene keeps portraits and bars alive, so an id stays theirs.
        if id(of) not in self._sprites:
            self._sprites[id(of)] = _Sprite(of.picture, of.mask) if isinstance(of, Portrait) else _bar_sprite(of)
        return self._sprites[id(of)]


def draw_background(scene: Scene, shot: int) -> _Planes:
    """Draw the background of a shot: soft clouds of two related colours and some lights out of focus."""
    rng = np.random.default_rng((scene.seed, shot, 7))
    width, height = scene.width, scene.height
    hue = rng.uniform(0, 180)
    corners = np.array([[hue, 95, 118], [hue + 14, 80, 150], [hue + 28, 110, 84], [hue + 8, 100, 104]]).reshape(2, 2, 3)
    hsv = (corners % [180, 256, 256]).astype(np.uint8)
    bgr: Float32 = np.asarray(
        cv2.resize(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR).astype(np.float32), (width, height)), np.float32
    )
    for cells, strength in ((4, 16.0), (11, 8.0), (37, 3.0)):
        clouds = rng.normal(0, strength, (cells, round(cells * 1.6), 1)).astype(np.float32)
        bgr += np.asarray(cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)[..., None]
    lights = np.zeros((height, width, 3), np.float32)
    unit = min(width, height) / 720
    for _ in range(18):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        glow = rng.uniform(10, 30) * np.array([0.75, 0.95, 1.1])
        disc = np.zeros((height, width), np.uint8)
        cv2.circle(disc, centre, max(1, round(rng.uniform(18, 70) * unit)), (1,), -1, cv2.LINE_AA)
        lights += disc[..., None] * glow.astype(np.float32)
    bgr += np.asarray(cv2.GaussianBlur(lights, (0, 0), max(0.5, 3 * unit)), np.float32)
    canvas = Canvas(BgrPicture(np.clip(bgr, 0, 255).astype(np.uint8)))
    return _Planes(canvas.y[:height, :width].copy(), canvas.u, canvas.v)


def _bar_sprite(bar: Occluder) -> _Sprite:
    across = np.linspace(-1, 1, bar.width)
    shade = (1.0 - 0.45 * across**2)[None, :, None] * np.array(bar.colour_bgr)
    picture = np.broadcast_to(shade, (bar.height, bar.width, 3))
    return _Sprite(np.clip(picture, 0, 255).astype(np.uint8), np.full((bar.height, bar.width), 255, np.uint8))


def _halvings(image: UInt8) -> list[UInt8]:
    """Return the picture in sizes halved again and again, each with a transparent pixel of its edge's colour around."""
    levels = []
    while True:
        level = np.asarray(cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)
        # Repeated outwards it is nothing in the right colour; colours of 0 would tinge a soft edge green.
        level[[0, -1], :, -1] = level[:, [0, -1], -1] = 0
        levels.append(level)
        height, width = image.shape[:2]
        if min(height, width) < 16:
            return levels
        image = np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _draw_sprite(planes: _Planes, sprite: _Sprite, at: Placement, blur_sigma: float, brightness: float) -> None:
    """Lay a sprite over the planes; chroma is the same picture at half the scale."""
    at = Placement(at.scale, at.shift_x + at.scale * sprite.left, at.shift_y + at.scale * sprite.top)
    half = Placement(at.scale / 2, at.shift_x / 2, at.shift_y / 2)
    size = (sprite.width, sprite.height)
    _blend((planes.y,), _warp(planes.y.shape, sprite.luma, size, at, blur_sigma), brightness, 16)
    _blend((planes.u, planes.v), _warp(planes.u.shape, sprite.chroma, size, half, blur_sigma / 2), brightness, 128)


@dataclass(frozen=True, slots=True)
class _Patch:
    """A warped sprite (h, w, channels + mask) and where it goes: x from `left`, y from `top`."""

    pixels: UInt8
    left: int
    top: int


def _warp(
    shape: tuple[int, ...], levels: list[UInt8], size: tuple[int, int], at: Placement, blur_sigma: float
) -> _Patch | None:
    """Scale and shift a sprite to its place, only where it meets the plane; None where it does not."""
    margin = 3 * blur_sigma + 2
    left, top = max(0, int(at.shift_x - margin)), max(0, int(at.shift_y - margin))
    right = min(shape[1], int(np.ceil(at.shift_x + at.scale * size[0] + margin)))
    bottom = min(shape[0], int(np.ceil(at.shift_y + at.scale * size[1] + margin)))
    if right <= left or bottom <= top:
        return None
    # From the level that is at most twice as large as the result: two pixels averaged by the interpolation.
    level = levels[min(len(levels) - 1, max(0, int(np.floor(-np.log2(at.scale)))))]
    scale_x, scale_y = at.scale * size[0] / (level.shape[1] - 2), at.scale * size[1] / (level.shape[0] - 2)
    # OpenCV counts from pixel centres, placements from pixel corners; the transparent pixel lies before both.
    matrix = np.array(
        [
            [scale_x, 0, at.shift_x - left - scale_x / 2 - 0.5],
            [0, scale_y, at.shift_y - top - scale_y / 2 - 0.5],
        ]
    )
    pixels = cv2.warpAffine(level, matrix, (right - left, bottom - top), borderMode=cv2.BORDER_REPLICATE)
    if blur_sigma > 0:
        pixels = cv2.GaussianBlur(pixels, (0, 0), blur_sigma)
    return _Patch(np.asarray(pixels, np.uint8), left, top)


def _blend(planes: tuple[UInt8, ...], patch: _Patch | None, brightness: float, neutral: int) -> None:
    if patch is None:
        return
    *channels, mask = cv2.split(patch.pixels)
    weight = np.asarray(mask, np.float32) / 255
    rows = slice(patch.top, patch.top + mask.shape[0])
    columns = slice(patch.left, patch.left + mask.shape[1])
    for plane, channel in zip(planes, channels, strict=True):
        if brightness != 1.0:
            channel = cv2.addWeighted(channel, brightness, channel, 0.0, neutral * (1.0 - brightness))
        plane[rows, columns] = cv2.blendLinear(np.asarray(channel, np.uint8), plane[rows, columns], weight, 1 - weight)


def _noise(scene: Scene) -> npt.NDArray[np.int16] | None:
    if scene.noise_sigma <= 0:
        return None
    shape = (scene.height + _NOISE_MARGIN, scene.width + _NOISE_MARGIN)
    drawn = np.random.default_rng((scene.seed, 11)).normal(0, scene.noise_sigma, shape)
    return np.asarray(np.rint(drawn), np.int16)


def _add_noise(y: UInt8, noise: npt.NDArray[np.int16], rng: np.random.Generator) -> None:
    """Add one sheet of noise, shifted anew each frame: drawing new noise would cost more than the whole picture."""
    down, across = rng.integers(0, _NOISE_MARGIN, 2)
    window = noise[down : down + y.shape[0], across : across + y.shape[1]]
    cv2.add(y, window, dst=y, dtype=cv2.CV_8U)
