"""A live run of fakes, frame by frame, in which people are enrolled: a face is a square, its colour is who it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from streamer.labels import LabelPolicy, Recognition, TrackLabeller
from streamer.live_gallery import DiskGallery, GalleryStore
from streamer.live_people import LivePeople
from streamer.pictures import Picture, UInt8
from streamer.pipeline import Pipeline
from streamer.recognition.cosine import CosineMatcher
from streamer.recognition.people import EmbedderId, Gallery
from streamer.scans import ScanPolicy
from streamer.stages import Crops
from streamer.trackers.kalman import KalmanTracker
from streamer.types import Float32, FrameResult, SourceInfo
from tests.fakes import ColourEmbedder, SquareDetector, make_frame

EMBEDDER = EmbedderId("colours", "c" * 64)
SIDE = 60
FPS = 25.0
RED, ORANGE, GREEN = (0, 0, 250), (0, 115, 250), (0, 250, 0)
make_matcher = partial(CosineMatcher, similarity_threshold=0.88)  # red and orange have a cosine of .91
# Cosines stay what they are, and no vector is a part of others that lie side by side in a file.
_BASIS = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 3)))[0].T

Colour = tuple[int, int, int]


class TexturedEmbedder(ColourEmbedder):
    """A ColourEmbedder whose crops are sharp and have contrast, as those of faces, and whose vectors are longer."""

    dimension, crop_size = 16, 48

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        rows, columns = np.indices((self.crop_size, self.crop_size))
        light = np.where((rows + columns) % 2, 1.0, 0.6)[..., None]
        return np.asarray(super().crop(picture, landmarks)[0, 0] * light, np.uint8)

    def embed(self, crops: Crops) -> Float32:
        return np.asarray(super().embed(crops) @ _BASIS, np.float32)


def drawn(squares: Sequence[tuple[float, float, Colour]], side: int = SIDE) -> UInt8:
    picture = np.zeros((180, 480, 3), np.uint8)
    for left, top, colour in squares:
        picture[round(top) : round(top) + side, round(left) : round(left) + side] = colour
    return picture


class LiveShow:
    """A live run; `people` may be used between two frames, or from other threads."""

    def __init__(
        self,
        gallery: Path | GalleryStore | None,
        *,
        known: Gallery | None = None,
        sources: Sequence[str] = ("s",),
        policy: LabelPolicy | None = None,
    ) -> None:
        store = DiskGallery(gallery, EMBEDDER) if isinstance(gallery, Path) else gallery
        if known is None:
            known = store.load() if store is not None else Gallery(EMBEDDER)
        policy = policy if policy is not None else LabelPolicy(same_similarity=None, keep_looks=True)
        matcher = make_matcher(known) if known.people else None
        self.embedder = TexturedEmbedder()
        self.labeller = TrackLabeller(Recognition(self.embedder, matcher), None, policy)
        self.pipeline = Pipeline(
            SquareDetector(), KalmanTracker, self.labeller, scans=ScanPolicy(every_seconds=0.0, still_seconds=0)
        )
        self.people = LivePeople(self.labeller, store, known, make_matcher)
        self.index = dict.fromkeys(sources, 0)
        for source in sources:
            info = SourceInfo(source, f"camera {source}", 480, 180, FPS, is_live=True)
            self.pipeline.begin(info)
            self.people.begin(info)

    def step(self, *squares: tuple[float, float, Colour], source: str = "s", side: int = SIDE) -> FrameResult:
        """Show the next frame of a source."""
        frame = make_frame(drawn(squares, side), self.index[source], FPS, source)
        self.index[source] += 1
        (result,) = self.pipeline.process([frame])
        self.people.see(result)
        return result

    def watch(
        self, *squares: tuple[float, float, Colour], seconds: float = 1.0, source: str = "s", side: int = SIDE
    ) -> FrameResult:
        """Show the same for a while; return the last result."""
        for _ in range(round(seconds * FPS) - 1):
            self.step(*squares, source=source, side=side)
        return self.step(*squares, source=source, side=side)


def names(result: FrameResult) -> dict[Colour, str | None]:
    """Return who is named what, by the colour that really is there.

    Left out is who is not assessed, or is no longer where the track still is.
    """
    found: dict[Colour, str | None] = {}
    for one in result.annotations:
        x, y = (one.track.xyxy[:2] + one.track.xyxy[2:]) / 2
        blue, green, red = result.frame.picture.bgr()[int(y), int(x)].tolist()
        if one.identity is not None and (blue, green, red) != (0, 0, 0):
            found[blue, green, red] = one.identity.name
    return found


def track_of(result: FrameResult, colour: Colour) -> int:
    """Return the track of the face of a colour."""
    for one in result.annotations:
        x, y = (one.track.xyxy[:2] + one.track.xyxy[2:]) / 2
        if tuple(result.frame.picture.bgr()[int(y), int(x)].tolist()) == colour:
            return one.track.track_id
    raise AssertionError(f"nobody of colour {colour} is there")


def events(result: FrameResult) -> list[tuple[str, int | None, str | None]]:
    return [(event.kind, event.track_id, event.name) for event in result.events]
