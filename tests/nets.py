"""The product's nets as tests make them: on OpenVINO, in float32, for one caller."""

from __future__ import annotations

from pathlib import Path

from streamer.detectors.mtcnn import MtcnnDetector
from streamer.detectors.mtcnn_openvino import OpenVinoCascade
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.recognition.dlib_openvino import OpenVinoResNet
from streamer.recognition.dlib_resnet import DlibEmbedder


def mtcnn(*, score_threshold: float = 0.9, min_face_pixels: float = 20) -> MtcnnDetector:
    return MtcnnDetector(OpenVinoCascade(), score_threshold=score_threshold, min_face_pixels=min_face_pixels)


def dlib(*, flip: bool = False) -> DlibEmbedder:
    return DlibEmbedder(OpenVinoResNet(), flip=flip)


def ferplus(path: Path | None = None) -> FerPlusClassifier:
    return FerPlusClassifier(OpenVinoEmotionNet(path=path))
