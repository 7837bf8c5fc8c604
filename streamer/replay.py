"""Recorded results in the pipeline's place: what a results file says of each frame, without any net.

The file must be the video's: as large, and with each frame's number and time. What does not fit is refused rather than
drawn, for a face that is not where the file says would go unblurred.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from streamer.batches import Batch, Followed
from streamer.errors import SourceOpenError, printable
from streamer.queues import StopRequest
from streamer.recorded import RecordedFace, RecordedFrame, RecordedHeader
from streamer.recordings import read_lines
from streamer.types import EMOTIONS, Annotation, Emotion, Float32, Frame, FrameResult, SourceInfo, Track

# Times are recorded to the microsecond.
_TOLERANCE_SECONDS = 2e-6


class Replay:
    """The results of one source, read from a file as its frames come; `FrameStages` that computes nothing.

    Args:
        path: The results file.
        stop: Set: the source's frames end before the file's.
        is_part: So do they where only a part of the source is wanted.

    Raises:
        SourceOpenError: It is no results file.
    """

    def __init__(self, path: Path, *, stop: StopRequest, is_part: bool = False) -> None:
        self._path, self._stop, self._is_part = path, stop, is_part
        self._header, self._recorded = _opened(path)
        # Planned in one thread, followed in another, in the same order; an empty batch stands for the end.
        self._planned: deque[tuple[Frame, ...]] = deque()
        self._read: deque[RecordedFrame] = deque()

    def begin(self, info: SourceInfo) -> None:
        """Refuse a source of another size. Raises SourceOpenError."""
        if (info.width, info.height) != (self._header.width, self._header.height):
            raise self._foreign(
                f"it is of pictures of {self._header.width} × {self._header.height} px, "
                f"and {info.name} has {info.width} × {info.height}"
            )

    def plan(self, frames: Sequence[Frame]) -> Batch:
        """Take the next frames."""
        self._planned.append(tuple(frames))
        return Batch(())

    def plan_end(self) -> Batch:
        """Note that no more will come."""
        self._planned.append(())
        return Batch(())

    def search(self, batch: Batch) -> None:
        """Do nothing: all is known."""

    def follow(self, batch: Batch) -> Iterator[list[Followed]]:  # noqa: ARG002  the frames are in line
        """Yield the frames of a batch with what is recorded of them. Raises SourceOpenError where that does not fit."""
        frames = self._planned.popleft()
        for frame in frames:
            recorded = self._of(frame)
            self._read.append(recorded)
            yield [Followed(frame, (), recorded.is_scanned, is_cut=False)]
        if not frames and not self._is_part and not self._stop.is_set() and next(self._recorded, None) is not None:
            raise self._foreign("it goes on where the video ends; give --end if only a part is wanted")

    def label(self, some: Sequence[Followed]) -> list[FrameResult]:
        """Return the recorded results of what `follow` yielded, in that order."""
        return [
            FrameResult(one.frame, tuple(map(_annotation, self._read.popleft().faces)), one.is_searched) for one in some
        ]

    def release(self) -> tuple[FrameResult, ...]:
        """Return nothing: no frame waits."""
        return ()

    def _of(self, frame: Frame) -> RecordedFrame:
        recorded = next(self._recorded, None)
        if recorded is None:
            raise self._foreign(
                f"it ends before the video, at {frame.pts_seconds:.3f} s; give --end {frame.pts_seconds:.3f}"
            )
        if recorded.index != frame.index or abs(recorded.pts_seconds - frame.pts_seconds) > _TOLERANCE_SECONDS:
            raise self._foreign(
                f"it tells of frame {recorded.index} at {recorded.pts_seconds:.3f} s "
                f"where the video has frame {frame.index} at {frame.pts_seconds:.3f} s; "
                "give the video, --start and --end that it was made with"
            )
        return recorded

    def _foreign(self, why: str) -> SourceOpenError:
        return SourceOpenError(f"{printable(self._path)} does not belong to this video: {why}")


def _opened(path: Path) -> tuple[RecordedHeader, Iterator[RecordedFrame]]:
    lines = read_lines(path)
    header = next(lines).record
    assert isinstance(header, RecordedHeader)
    return header, (line.record for line in lines if isinstance(line.record, RecordedFrame))


def _annotation(face: RecordedFace) -> Annotation:
    # When it was seen first and last is not drawn, and not recorded a frame.
    track = Track(face.track_id, _array(face.box), _landmarks(face), face.score, face.is_detected, 0.0, 0.0)
    return Annotation(track, face.identity, _emotion(face))


def _array(numbers: Sequence[object]) -> Float32:
    return np.array(numbers, np.float32)


def _landmarks(face: RecordedFace) -> Float32 | None:
    return None if face.landmarks is None else _array(face.landmarks)


def _emotion(face: RecordedFace) -> Emotion | None:
    if face.emotion is None:
        return None
    rounded, label = _array(face.emotion.probabilities), face.emotion.label
    confidence = rounded.max() if label is None else rounded[EMOTIONS.index(label)]
    return Emotion(rounded / rounded.sum(), label, float(confidence))
