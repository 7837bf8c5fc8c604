"""The Protocols of all that can be replaced. No registration and no inheritance: any object with these methods will do.

Crops between stages are (S, S, 3) BGR uint8; a model converts order, size and scale inside its own adapter only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from streamer.canvas import Canvas
from streamer.pictures import Picture
from streamer.types import Ending, Faces, Float32, Frame, FrameResult, Identity, SourceInfo, SourceStatus, Track

Crops = npt.NDArray[np.uint8]


@runtime_checkable
class Source(Protocol):
    """Where frames come from. Implementations: sources/video, images, arrays, synthetic."""

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame."""
        ...

    @property
    def skipped(self) -> int:
        """Packets or pictures so far that could not be decoded and were passed over."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, None at the end. Raises SourceOpenError, SourceLostError."""
        ...

    def close(self) -> None:
        """Let go of the file or device; may be called more than once."""
        ...


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source whose frames come by themselves; `info.is_live` is true. Implementations: sources/camera, stream.

    It is open, with its first frame at hand, once it is made. Where it is lost, `read` opens it again, for as long as
    that takes; times go on, so the gap shows. `close` may be called from any thread at any time: it wakes a `read` that
    waits, which then returns None.
    """

    @property
    def status(self) -> SourceStatus:
        """How it stands now; may be asked from any thread."""
        ...


class Detector(Protocol):
    """Finds faces; several threads may use it at once. Implementation: detectors/mtcnn."""

    def detect(
        self,
        pictures: Sequence[Picture],
        regions: Sequence[tuple[int, int, int, int] | None] | None = None,
        *,
        min_face_pixels: float | None = None,
    ) -> list[Faces]:
        """Search whole pictures, or in each only the given region (xyxy, whole px; None: all); one Faces a picture.

        `min_face_pixels` is the smallest face to search for this time; None: the detector's own.
        """
        ...

    def refine(self, pictures: Sequence[Picture], boxes: Sequence[Float32]) -> list[Faces]:
        """Search only near the (N, 4) boxes of each picture: cheap; at most one face a box, one Faces a picture."""
        ...


class Tracker(Protocol):
    """Follows faces by motion alone; one object a source. Implementation: trackers/kalman."""

    def predict(self, pts_seconds: float) -> dict[int, Float32]:
        """Return by track_id the (4,) boxes where the tracks worth a look should stand then; changes nothing."""
        ...

    def update(self, frame: Frame, faces: Faces | None) -> list[Track]:
        """Take what was found (None: did not look; empty: found none) and return the tracks now in the picture."""
        ...

    def rejoin(self, newer: int, older: int) -> bool:
        """Let the live track `newer` go on under the id of `older`, a lost one that it continues; False: it cannot."""
        ...

    def cut(self) -> None:
        """End all tracks: the picture has changed, and nobody inherits an identity from where somebody stood."""
        ...


class Embedder(Protocol):
    """Turns face crops into vectors in which the same person lies close.

    Implementations: recognition/dlib_resnet, facenet_resnet, onnx_openvino (all three by aligned), pixels, cnn.
    """

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        ...

    @property
    def crop_size(self) -> int:
        """S, the side of the crops it wants, px."""
        ...

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        """Cut the aligned crop of one face, (S, S, 3) uint8 BGR, by its (5, 2) landmarks."""
        ...

    def embed(self, crops: Crops) -> Float32:
        """Return (N, D) float32 unit vectors of (N, S, S, 3) uint8 BGR crops."""
        ...


class Matcher(Protocol):
    """Says who a vector is. Implementations: recognition/cosine, knn, rivals."""

    def match(self, embeddings: Float32) -> list[Identity]:
        """Return one answer a row of (N, D) float32 unit vectors, or means of such; "unknown" is one of the answers."""
        ...

    def candidates(self, embeddings: Float32) -> list[tuple[Identity, ...]]:
        """Return the names that each row could be given, those above their threshold, best first, at most three."""
        ...


class EmotionClassifier(Protocol):
    """Says what a face shows.

    Implementations: emotion/ferplus, fer_pytorch, onnx_openvino (the last two by aligned).
    """

    @property
    def crop_size(self) -> int:
        """S, the side of the crops it wants, px."""
        ...

    def crop(self, picture: Picture, landmarks: Float32) -> Crops:
        """Cut the aligned crop of one face, (S, S, 3) uint8 BGR, by its (5, 2) landmarks."""
        ...

    def classify(self, crops: Crops) -> Float32:
        """Return (N, 7) float32 probabilities, rows sum to 1, of (N, S, S, 3) uint8 BGR crops."""
        ...


class Sink(Protocol):
    """Where results go. Implementations: sinks/video, rtsp, results, collect."""

    @property
    def needs_canvas(self) -> bool:
        """It wants the drawn picture; where no sink does, nothing is drawn."""
        ...

    def open(self, info: SourceInfo) -> None:
        """Get ready; called once, before the first write. Raises SinkError."""
        ...

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:
        """Take one frame's result; the canvas may not be changed. Raises SinkError."""
        ...

    def close(self, ending: Ending) -> None:
        """Finish what was written; called once. After FAILED nothing may be left under the final name."""
        ...


@runtime_checkable
class RetryingSink(Sink, Protocol):
    """A sink that outlives trouble, and tries again by itself. Implementation: sinks/rtsp."""

    @property
    def problem(self) -> str | None:
        """What is wrong now, in one line without credentials; may be asked from any thread. None: nothing."""
        ...
