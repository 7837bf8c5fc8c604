"""The product's nets as tests make them: on OpenVINO, in float32, for one caller."""

from __future__ import annotations

from streamer.detectors.mtcnn import MtcnnDetector
from streamer.detectors.mtcnn_openvino import OpenVinoCascade
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_file import read
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.recognition.dlib_openvino import OpenVinoResNet
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.weights import locate


def mtcnn(*, score_threshold: float = 0.9, min_face_pixels: float = 20) -> MtcnnDetector:
    return MtcnnDetector(OpenVinoCascade(), score_threshold=score_threshold, min_face_pixels=min_face_pixels)


def dlib(*, flip: bool = False) -> DlibEmbedder:
    return DlibEmbedder(OpenVinoResNet(), flip=flip)


def ferplus(tau: float = 0.5) -> FerPlusClassifier:
    return FerPlusClassifier(OpenVinoEmotionNet(read(locate("emotion-ferplus"))), tau)
