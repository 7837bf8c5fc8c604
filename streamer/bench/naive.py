"""What somebody would write today with facenet-pytorch: the loop that ours is compared with, and its detection alone.

One frame after the other: OpenCV reads, MTCNN finds faces, each face goes through InceptionResnetV1 and through a
ResNet-34 for its emotion, boxes are drawn, OpenCV writes. The two nets carry random weights, because only their time is
wanted. None of our own code takes part, nor does it set a number of threads.

OpenMP's threads wait passively, as they do in ours. By default they spin, and then any other work on the machine makes
the loop up to eight times as slow, by which ours would look better than it is.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

import time
from pathlib import Path

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN, InceptionResnetV1
from torchvision.models import resnet34  # type: ignore[import-untyped]  # it ships no types

from streamer.bench.records import Boxes, write_boxes
from streamer.bench.values import Run
from streamer.errors import SourceOpenError
from streamer.pictures import UInt8
from streamer.sources.video import VideoSource

_SCORE = 0.9
_EMBEDDER_SIDE, _EMOTION_SIDE = 160, 224
_GREEN = (0, 255, 0)


class _Nets:
    """The three nets, and how one frame goes through them."""

    def __init__(self) -> None:
        self._mtcnn = MTCNN(keep_all=True, min_face_size=20, device="cpu")
        self._embedder = InceptionResnetV1(pretrained=None, classify=False).eval()
        self._emotion = resnet34(num_classes=7).eval()

    def annotate(self, bgr: UInt8) -> int:
        """Draw what is found into a frame, and return how many faces that are."""
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        boxes, scores = self._mtcnn.detect(rgb)
        faces = 0
        for box, score in zip(boxes, scores, strict=True) if boxes is not None else ():
            x1, y1, x2, y2 = (max(0, int(side)) for side in box)
            crop = rgb[y1:y2, x1:x2]
            if score < _SCORE or crop.size == 0:
                continue
            faces += 1
            for net, side in ((self._embedder, _EMBEDDER_SIDE), (self._emotion, _EMOTION_SIDE)):
                pixels = torch.from_numpy(cv2.resize(crop, (side, side))).permute(2, 0, 1)[None].float()
                net((pixels - 127.5) / 128)
            cv2.rectangle(bgr, (x1, y1), (x2, y2), _GREEN, 2)
            cv2.putText(bgr, f"{score:.2f}", (x1, y1 - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _GREEN, 2)
        return faces


def measure(video: Path, output: Path, most_frames: int) -> Run:
    """Run the loop over the first `most_frames` frames; nets are loaded and warmed up on one frame before the clock."""
    nets = _Nets()
    with torch.inference_mode():
        nets.annotate(_first_frame(video))
        began_at, cpu_began_at = time.perf_counter(), time.process_time()
        capture = cv2.VideoCapture(str(video))
        size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        frames = faces = 0
        while frames < most_frames:
            is_read, bgr = capture.read()
            if not is_read:
                break
            faces += nets.annotate(np.asarray(bgr, np.uint8))
            writer.write(bgr)
            frames += 1
        capture.release()
        writer.release()
    seconds, cpu_seconds = time.perf_counter() - began_at, time.process_time() - cpu_began_at
    return Run(frames, seconds, cpu_seconds, faces=faces, threads={"torch": torch.get_num_threads()})


def _first_frame(video: Path) -> UInt8:
    capture = cv2.VideoCapture(str(video))
    is_read, bgr = capture.read()
    capture.release()
    if not is_read:
        raise SourceOpenError(f"{video}: OpenCV reads no frame of it, which the naive loop needs; use --naive-frames 0")
    return np.asarray(bgr, np.uint8)


def detect(video: Path, output: Path, most_frames: int | None = None, end_seconds: float | None = None) -> Run:
    """Decode frames and find faces in each by MTCNN, nothing else; write the boxes to `output` after the clock.

    Args:
        video: Read by our own source, so that its frames are those that ours are compared on.
        output: Gets all boxes with their scores, clipped to the picture as ours are.
        most_frames: The first so many only; None: all.
        end_seconds: Stream time at which to stop; None: at the end.
    """
    mtcnn = MTCNN(keep_all=True, min_face_size=20, device="cpu")
    mtcnn.detect(np.ascontiguousarray(_first_frame(video)[..., ::-1]))
    found: list[Boxes] = []
    began_at, cpu_began_at = time.perf_counter(), time.process_time()
    source = VideoSource(video, end_seconds=end_seconds)
    limits = np.array([source.info.width, source.info.height] * 2, np.float32)
    while (most_frames is None or len(found) < most_frames) and (frame := source.read()) is not None:
        boxes, scores = mtcnn.detect(np.ascontiguousarray(frame.picture.bgr()[..., ::-1]))
        if boxes is None:
            boxes, scores = np.zeros((0, 4)), np.zeros(0)
        found.append(Boxes(np.clip(boxes, 0, limits).astype(np.float32), np.asarray(scores, np.float32)))
    source.close()
    seconds, cpu_seconds = time.perf_counter() - began_at, time.process_time() - cpu_began_at
    write_boxes(output, found)
    faces = sum(int((boxes.scores > _SCORE).sum()) for boxes in found)
    return Run(len(found), seconds, cpu_seconds, faces=faces, threads={"torch": torch.get_num_threads()})
