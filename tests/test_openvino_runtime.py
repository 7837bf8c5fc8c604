"""OpenVINO beside torch, and a process that has no torch at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.emotion.ferplus_torch import TorchEmotionNet
from streamer.openvino_runtime import Precision
from streamer.pictures import UInt8
from streamer.recognition.dlib_openvino import OpenVinoResNet
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.recognition.dlib_torch import TorchResNet


@pytest.fixture(scope="module")
def crops() -> UInt8:
    return np.random.default_rng(3).integers(0, 255, (9, 150, 150, 3)).astype(np.uint8)


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-5), ("fastest", 0.02)])
def test_embeddings_are_those_of_torch(crops: UInt8, precision: Precision, apart: float) -> None:
    usual, fast = (
        DlibEmbedder(TorchResNet()).embed(crops),
        DlibEmbedder(OpenVinoResNet(precision=precision)).embed(crops),
    )
    assert np.abs(usual - fast).max() <= apart


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-4), ("fastest", 0.05)])
def test_emotions_are_those_of_torch(crops: UInt8, precision: Precision, apart: float) -> None:
    small = np.ascontiguousarray(crops[:, :48, :48])
    usual = FerPlusClassifier(TorchEmotionNet()).classify(small)
    fast = FerPlusClassifier(OpenVinoEmotionNet(precision=precision)).classify(small)
    assert np.abs(usual - fast).max() <= apart


@pytest.mark.parametrize("precision", ["float32", "fastest"])
def test_a_crop_s_answer_is_the_same_whatever_is_beside_it(crops: UInt8, precision: Precision) -> None:
    embedder = DlibEmbedder(OpenVinoResNet(precision=precision))
    classifier = FerPlusClassifier(OpenVinoEmotionNet(precision=precision))
    small = np.ascontiguousarray(crops[:, :48, :48])
    together, moods = embedder.embed(crops), classifier.classify(small)
    for count in (1, 2, 3, 5):
        np.testing.assert_array_equal(embedder.embed(crops[:count]), together[:count])
        np.testing.assert_array_equal(classifier.classify(small[:count]), moods[:count])


@pytest.mark.timeout(60)
def test_a_video_is_processed_without_torch_and_without_telemetry(tmp_path: Path) -> None:
    """torch alone would take 0.6 GB and a second."""
    script = """
import sys
import numpy as np
import streamer
frames = [np.full((90, 160, 3), 40 + i, np.uint8) for i in range(4)]
config = streamer.load_config(overrides=["runtime.device=cpu", "runtime.backend=openvino"])
assert len(list(streamer.analyse(frames, config=config))) == 4
print(sorted(name for name in sys.modules if name in ("torch", "torchvision", "facenet_pytorch")))
print(sys.modules.get("openvino_telemetry"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, cwd=tmp_path)
    assert done.stdout.split("\n")[:2] == ["[]", "None"], done.stderr
