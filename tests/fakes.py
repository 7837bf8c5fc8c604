"""Stages that read drawn scenes exactly: a face is a square of one colour on black, and its colour is who it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from streamer.canvas import Canvas
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.stages import Crops
from streamer.types import Ending, Faces, Float32, Frame, FrameResult, Identity, SourceInfo

RED, GREEN, BLUE = (0, 0, 250), (0, 250, 0), (250, 0, 0)
NAMES = {RED: "Rosa", GREEN: "Greta", BLUE: None}
SIDE = 40

Square = tuple[float, float, tuple[int, int, int]]


def draw(squares: Iterable[Square], width: int = 320, height: int = 180) -> UInt8:
    """Draw squares of (left, top, colour)."""
    picture = np.zeros((height, width, 3), np.uint8)
    for left, top, colour in squares:
        picture[round(top) : round(top) + SIDE, round(left) : round(left) + SIDE] = colour
    return picture


def landmarks_in(xyxy: Float32) -> Float32:
    """Return (5, 2) landmarks of a frontal face filling the box."""
    left, top, right, bottom = xyxy
    places = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]], np.float32)
    return np.asarray(places * [right - left, bottom - top] + [left, top], np.float32)


def squares_in(picture: Picture) -> Faces:
    """Find the squares exactly."""
    boxes: list[list[int]] = []
    bgr = picture.bgr()
    for channel in range(3):
        mask = (bgr[..., channel] > 150) & (bgr.max(axis=2) == bgr[..., channel])
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        boxes += [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:].tolist() if area > 100]
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = np.array([landmarks_in(box) for box in xyxy], np.float32).reshape(-1, 5, 2)
    return Faces(xyxy, np.full(len(xyxy), 0.99, np.float32), landmarks)


class SquareDetector:
    """A Detector of squares; counts its calls."""

    def __init__(self) -> None:
        self.scanned: list[int] = []
        self.refined: list[int] = []

    def detect(
        self, pictures: Sequence[Picture], regions: object = None, *, min_face_pixels: float | None = None
    ) -> list[Faces]:
        self.scanned.append(len(pictures))
        return [squares_in(picture) for picture in pictures]

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[Float32]) -> list[Faces]:
        self.refined.append(len(pictures))
        return [_near(squares_in(picture), wanted) for picture, wanted in zip(pictures, boxes, strict=True)]


def _near(faces: Faces, wanted: Float32) -> Faces:
    centres = (faces.xyxy[:, :2] + faces.xyxy[:, 2:]) / 2
    expected = (wanted[:, :2] + wanted[:, 2:]) / 2
    distances = np.linalg.norm(centres[:, None] - expected[None], axis=2).min(axis=1, initial=np.inf)
    return faces[distances < SIDE / 2]


class ColourEmbedder:
    """An Embedder whose vector is the crop's mean colour; counts its crops."""

    dimension, crop_size = 3, 8

    def __init__(self) -> None:
        self.calls: list[int] = []

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        x, y = (int(value) for value in landmarks[2])
        centre = picture.bgr_region((x - 2, y - 2, x + 2, y + 2))
        return np.asarray(cv2.resize(centre, (8, 8), interpolation=cv2.INTER_AREA), np.uint8)

    def embed(self, crops: Crops) -> Float32:
        self.calls.append(len(crops))
        means = crops.reshape(len(crops), -1, 3).mean(axis=1) + 1e-3
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


class ColourMatcher:
    """A Matcher that knows NAMES."""

    def match(self, embeddings: Float32) -> list[Identity]:
        answers = []
        for vector in embeddings:
            colour = tuple(250 if value > 0.8 else 0 for value in vector)
            name = NAMES.get(colour)  # type: ignore[arg-type]
            answers.append(Identity(name, float(vector.max()), 0.99, 0.5))
        return answers

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        return [(answer,) if answer.name is not None else () for answer in self.match(embeddings)]


class GreyEmotion:
    """An EmotionClassifier that is happy about red; counts its crops."""

    crop_size = 8

    def __init__(self) -> None:
        self.calls: list[int] = []

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        return ColourEmbedder().crop(picture, landmarks)

    def classify(self, crops: Crops) -> Float32:
        self.calls.append(len(crops))
        happy = crops[..., 2].mean(axis=(1, 2)) / 255
        rows = np.zeros((len(crops), 7), np.float32)
        rows[:, 1], rows[:, 0] = happy, 1 - happy
        return rows


def make_frame(picture: UInt8, index: int, fps: float = 25.0, source_id: str = "drawn") -> Frame:
    return Frame(BgrPicture(picture), index, index / fps, time.monotonic(), source_id)


class DrawnSource:
    """A Source over a function of the frame's index; may fail, skip or be live."""

    def __init__(
        self,
        picture_at: Callable[[int], UInt8],
        count: int,
        *,
        fps: float = 25.0,
        source_id: str = "drawn",
        is_live: bool = False,
        fails_at: int | None = None,
        error: Exception | None = None,
    ) -> None:
        first = picture_at(0)
        self.info = SourceInfo(source_id, source_id, first.shape[1], first.shape[0], fps, count, is_live)
        self.skipped = 0
        self.closed = 0
        self.delivered = 0
        self._picture_at, self._count, self._fails_at, self._error = picture_at, count, fails_at, error

    def read(self) -> Frame | None:
        if self._error is not None and self.delivered == self._fails_at:
            raise self._error
        if self.delivered >= self._count:
            return None
        frame = make_frame(
            self._picture_at(self.delivered), self.delivered, self.info.declared_fps, self.info.source_id
        )
        self.delivered += 1
        return frame

    def close(self) -> None:
        self.closed += 1


class ListSink:
    """A Sink that keeps what it gets; may fail at the n-th write or on closing."""

    def __init__(
        self, *, needs_canvas: bool = False, fails_at: int | None = None, error: Exception | None = None
    ) -> None:
        self.needs_canvas = needs_canvas
        self.results: list[FrameResult] = []
        self.canvases: list[Canvas | None] = []
        self.closed: list[Ending] = []
        self.opened: SourceInfo | None = None
        self._fails_at, self._error = fails_at, error

    def open(self, info: SourceInfo) -> None:
        self.opened = info

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:
        if self._error is not None and self._fails_at == len(self.results):
            raise self._error
        self.results.append(result)
        self.canvases.append(canvas)

    def close(self, ending: Ending) -> None:
        self.closed.append(ending)
