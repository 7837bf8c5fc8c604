"""What a run found, read back from files: the boxes of a detector, and the faces of a results file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt

from streamer.errors import UsageError, printable
from streamer.types import Float32


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """What a detector found in one frame: `xyxy` (N, 4) float32 px, `scores` (N,) float32."""

    xyxy: Float32
    scores: Float32

    def above(self, score: float) -> Float32:
        """Return the boxes of a higher score, (N, 4)."""
        return self.xyxy[self.scores > score]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a results file says of one frame.

    Attributes:
        xyxy: (N, 4) float32 px.
        track_ids: (N,) of them.
        is_detected: (N,): seen in this frame; False: predicted, or placed between two looks.
        names: N names; None: nobody in the gallery, or not assessed.
    """

    xyxy: Float32
    track_ids: npt.NDArray[np.intp]
    is_detected: npt.NDArray[np.bool_]
    names: tuple[str | None, ...]

    @property
    def detected(self) -> Found:
        """The faces that were seen in this frame."""
        rows = np.flatnonzero(self.is_detected)
        names = tuple(self.names[row] for row in rows)
        return Found(self.xyxy[rows], self.track_ids[rows], self.is_detected[rows], names)


def read_results(path: Path) -> list[Found]:
    """Return what a results file (streamer/sinks/results.py) says of each frame, in order."""
    with path.open(encoding="utf-8") as lines:
        parsed = (cast("_LineJson", json.loads(line)) for line in lines)
        return [_found(line["faces"]) for line in parsed if line["type"] == "frame"]


def _found(faces: Sequence[_FaceJson]) -> Found:
    return Found(
        np.array([face["box"] for face in faces], np.float32).reshape(-1, 4),
        np.array([face["track_id"] for face in faces], np.intp),
        np.array([face["detected"] for face in faces], bool),
        tuple(face["identity"]["name"] if face["identity"] is not None else None for face in faces),
    )


def write_boxes(path: Path, frames: Sequence[Boxes]) -> None:
    """Write the boxes of every frame as JSON: `{"frames": [{"index": 0, "faces": [{"box": …, "score": …}]}]}`."""
    rows = [
        {
            "index": index,
            "faces": [
                {"box": box, "score": score}
                for box, score in zip(boxes.xyxy.tolist(), boxes.scores.tolist(), strict=True)
            ],
        }
        for index, boxes in enumerate(frames)
    ]
    path.write_text(json.dumps({"frames": rows}), encoding="utf-8")


def read_boxes(path: Path) -> list[Boxes]:
    """Return the boxes of every frame of a file that is laid out as `write_boxes` does, in order.

    Raises:
        UsageError: It is not laid out so.
    """
    try:
        frames = cast("_BoxesJson", json.loads(path.read_text(encoding="utf-8")))["frames"]
        return [
            Boxes(
                np.array([face["box"] for face in frame["faces"]], np.float32).reshape(-1, 4),
                np.array([face["score"] for face in frame["faces"]], np.float32),
            )
            for frame in frames
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{printable(path)} does not hold reference boxes as streamer bench reads them ({error}); "
            "move it away, and they are computed"
        ) from error


class _BoxJson(TypedDict):
    box: list[float]
    score: float


class _FrameBoxesJson(TypedDict):
    faces: list[_BoxJson]


class _BoxesJson(TypedDict):
    frames: list[_FrameBoxesJson]


class _IdentityJson(TypedDict):
    name: str | None


class _FaceJson(TypedDict):
    box: list[float]
    track_id: int
    detected: bool
    identity: _IdentityJson | None


class _LineJson(TypedDict):
    type: str
    faces: list[_FaceJson]
