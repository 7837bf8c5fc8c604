"""What `streamer image` does, importable: find, name and mark the faces of single pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from streamer import build
from streamer.annotate import Annotator
from streamer.canvas import Canvas
from streamer.config import Config
from streamer.photos import read_picture
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.pipeline import Pipeline
from streamer.recognition.gallery import Gallery
from streamer.types import Frame, FrameResult, SourceInfo, Track

# Text needs some 15 px a line; with a shorter side below this a name would hide the face it belongs to.
_SMALL_PIXELS = 200
_READABLE_PIXELS, _MOST_SCALE = 320, 8


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImage:
    """A picture in which faces are marked.

    Attributes:
        pixels: (H, W, 3) uint8 BGR; outside what is drawn they are the picture's own, or each `scale` × `scale` of it.
        result: What was found, in the picture's own pixels.
        scale: So many times as large as the picture: 1, unless it is too small for text.
    """

    pixels: UInt8
    result: FrameResult
    scale: int


@dataclass(slots=True)
class ImageAnnotator:
    """Annotates any number of pictures with one set of loaded nets.

    Attributes:
        config: The settings.
        gallery: Who may be named; None: the configured gallery, read when it is first needed.
    """

    config: Config = field(default_factory=Config)
    gallery: Gallery | None = None
    _models: build.Models | None = None
    _pipeline: Pipeline | None = None
    _annotator: Annotator | None = None

    @property
    def models(self) -> build.Models:
        """The nets, loaded when they are first needed."""
        if self._models is None:
            self._models = build.Models(self.config)
        return self._models

    def annotate(self, image: Path | UInt8) -> AnnotatedImage:
        """Find, name and mark the faces of a photo's file or of (H, W, 3) uint8 BGR pixels.

        Raises:
            StreamerError: It cannot be read, or see `streamer.errors`.
        """
        picture = read_picture(image) if isinstance(image, Path) else BgrPicture(np.ascontiguousarray(image))
        pipeline = self.loaded()
        # As of a live source: nothing comes after it that could be waited for.
        info = SourceInfo("image", "image", picture.width, picture.height, declared_fps=1.0, is_live=True)
        pipeline.begin(info)
        frame = Frame(picture, 0, 0.0, time.monotonic(), info.source_id)
        (result,) = [*pipeline.process([frame]), *pipeline.finish()]
        if self._annotator is None:
            self._annotator = build.build_annotator(self.config)
        return _annotated(result, self._annotator)

    def loaded(self) -> Pipeline:
        """Load what is not loaded yet, so that what is wrong with it is told before the first picture.

        Raises:
            StreamerError: The gallery, the matcher or the weights cannot be used.
        """
        if self._pipeline is None:
            gallery = self.gallery if self.gallery is not None else build.known_people(self.config)
            self._pipeline = build.build_photo_pipeline(self.config, gallery, self.models)
        return self._pipeline


def annotate_image(
    image: str | Path | UInt8, *, config: Config | None = None, gallery: Gallery | None = None
) -> AnnotatedImage:
    """Find, name and mark the faces of one picture; `ImageAnnotator` does so for many.

    Args:
        image: A photo's path, or (H, W, 3) uint8 BGR pixels.
        config: The settings; None: the defaults.
        gallery: Who may be named; None: the configured gallery.

    Raises:
        StreamerError: See `streamer.errors`.
    """
    return ImageAnnotator(config or Config(), gallery).annotate(Path(image) if isinstance(image, str) else image)


def _annotated(result: FrameResult, annotator: Annotator) -> AnnotatedImage:
    side = min(result.frame.picture.width, result.frame.picture.height)
    scale = min(-(-_READABLE_PIXELS // side), _MOST_SCALE) if side < _SMALL_PIXELS and result.annotations else 1
    large = _enlarged(result, scale) if scale > 1 else result
    return AnnotatedImage(_drawn(large.frame.picture, annotator.draw(large)), result, scale)


def _enlarged(result: FrameResult, scale: int) -> FrameResult:
    """Return a result in a picture with so many times as long sides."""
    pixels = result.frame.picture.bgr()
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    large = BgrPicture(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST), np.uint8))
    faces = tuple(replace(face, track=_scaled(face.track, scale)) for face in result.annotations)
    return replace(result, frame=replace(result.frame, picture=large), annotations=faces)


def _scaled(track: Track, scale: int) -> Track:
    landmarks = track.landmarks * np.float32(scale) if track.landmarks is not None else None
    return replace(track, xyxy=track.xyxy * np.float32(scale), landmarks=landmarks)


def _drawn(picture: Picture, canvas: Canvas) -> UInt8:
    """Return the picture's pixels with those of the canvas where something was drawn.

    A canvas has the colours of a video, of which four pixels share one; a photo shall lose nothing of its own.
    """
    before = Canvas(picture)
    is_new = before.y != canvas.y
    halves = (before.u != canvas.u) | (before.v != canvas.v)
    is_new |= np.repeat(np.repeat(halves, 2, axis=0), 2, axis=1)
    is_new = is_new[: picture.height, : picture.width]
    pixels = picture.bgr().copy()
    rows, columns = np.flatnonzero(is_new.any(axis=1)), np.flatnonzero(is_new.any(axis=0))
    if len(rows):
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        pixels[part][is_new[part]] = canvas.bgr()[: picture.height, : picture.width][part][is_new[part]]
    return pixels
