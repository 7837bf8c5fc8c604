"""The nets of faces on every backend by one contract, the OpenVINO runtime itself, and a process without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from streamer import openvino_runtime as ov
from streamer.cli import main
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_file import read
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.emotion.ferplus_torch import TorchEmotionNet
from streamer.pictures import UInt8
from streamer.recognition.dlib_openvino import OpenVinoResNet
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.recognition.dlib_torch import TorchResNet
from streamer.types import Float32
from streamer.weights import locate
from tests.drawn import photos_of, two_people_scene, write_video


@dataclass(frozen=True)
class Backend:
    """One way to compute the nets, and how far its answers may lie from torch's in float32."""

    embed: Callable[[UInt8], Float32]
    classify: Callable[[UInt8], Float32]
    embedding_apart: float
    probability_apart: float


# "fastest" computes in bfloat16 where the CPU can: it keeps 8 bits of each number. Elsewhere it is float32.
BACKENDS: dict[str, Callable[[], Backend]] = {
    "torch": lambda: Backend(
        DlibEmbedder(TorchResNet()).embed,
        FerPlusClassifier(TorchEmotionNet(read(locate("emotion-ferplus")))).classify,
        1e-6,
        1e-6,
    ),
    "openvino float32": lambda: Backend(
        DlibEmbedder(OpenVinoResNet()).embed,
        FerPlusClassifier(OpenVinoEmotionNet(read(locate("emotion-ferplus")))).classify,
        1e-5,
        1e-4,
    ),
    "openvino fastest": lambda: Backend(
        DlibEmbedder(OpenVinoResNet(precision="fastest")).embed,
        FerPlusClassifier(OpenVinoEmotionNet(read(locate("emotion-ferplus")), precision="fastest")).classify,
        0.02,
        0.05,
    ),
}


@pytest.fixture(scope="module")
def crops() -> UInt8:
    return np.random.default_rng(3).integers(0, 255, (9, 150, 150, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def small(crops: UInt8) -> UInt8:
    return np.ascontiguousarray(crops[:, :48, :48])


def side_by_side(call: Callable[[], Float32], threads: int = 3) -> list[Float32]:
    """Return what several threads got from the same call, five times each."""
    found: list[Float32] = []
    started = [threading.Thread(target=lambda: found.extend(call() for _ in range(5))) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert len(found) == 5 * threads, "no call failed"
    return found


@pytest.fixture(scope="module")
def reference() -> Backend:
    return BACKENDS["torch"]()


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    return BACKENDS[str(request.param)]()


class TestEveryBackend:
    def test_answers_are_those_of_torch(self, backend: Backend, reference: Backend, crops: UInt8, small: UInt8) -> None:
        assert np.abs(backend.embed(crops) - reference.embed(crops)).max() <= backend.embedding_apart
        assert np.abs(backend.classify(small) - reference.classify(small)).max() <= backend.probability_apart

    def test_a_crop_s_answer_is_the_same_whatever_is_beside_it(
        self, backend: Backend, crops: UInt8, small: UInt8
    ) -> None:
        together, moods = backend.embed(crops), backend.classify(small)
        for count in (1, 2, 3, 5):
            np.testing.assert_array_equal(backend.embed(crops[:count]), together[:count])
            np.testing.assert_array_equal(backend.classify(small[:count]), moods[:count])

    def test_vectors_have_length_one_and_probabilities_sum_one(
        self, backend: Backend, crops: UInt8, small: UInt8
    ) -> None:
        vectors, moods = backend.embed(crops), backend.classify(small)
        assert vectors.dtype == moods.dtype == np.dtype(np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(moods.sum(axis=1), 1, atol=1e-5)

    def test_of_no_crops_there_are_no_answers(self, backend: Backend, crops: UInt8, small: UInt8) -> None:
        assert backend.embed(crops[:0]).shape == (0, 128)
        assert backend.classify(small[:0]).shape == (0, 7)

    def test_threads_side_by_side_get_the_same_answers(self, backend: Backend, crops: UInt8, small: UInt8) -> None:
        vectors, moods = backend.embed(crops[:2]), backend.classify(small)
        assert all(np.array_equal(found, vectors) for found in side_by_side(lambda: backend.embed(crops[:2])))
        assert all(np.array_equal(found, moods) for found in side_by_side(lambda: backend.classify(small)))


def doubling(callers: int = 1) -> ov.Net:
    numbers = ov.parameter((-1, 2), np.float32)
    return ov.Net(ov.add(numbers, numbers), [numbers])


def row(*numbers: float) -> Float32:
    return np.array([numbers], np.float32)


class TestNet:
    def test_an_output_is_not_overwritten_by_the_next_call(self) -> None:
        net = doubling()
        first = net(row(1, 2))
        net(row(5, 6))
        np.testing.assert_array_equal(first, row(2, 4))

    def test_a_view_is_read_as_it_looks(self) -> None:
        wide = np.arange(8, dtype=np.float32).reshape(2, 4)
        np.testing.assert_array_equal(doubling()(wide[:, ::2]), wide[:, ::2] * 2)

    def test_more_threads_than_callers_may_call_it(self) -> None:
        net = doubling()
        assert all(np.array_equal(found, row(2, 4)) for found in side_by_side(lambda: net(row(1, 2)), threads=4))

    def test_it_can_be_called_again_after_a_call_that_failed(self) -> None:
        net = doubling()
        with pytest.raises(RuntimeError):
            net(row(1, 2, 3))
        np.testing.assert_array_equal(net(row(1, 2)), row(2, 4))


@pytest.mark.parametrize(
    ("precision", "capabilities", "name"),
    [
        ("fastest", ["BF16", "FP32"], "bf16"),
        ("fastest", ["FP32", "INT8"], "f32"),
        ("fastest", ["FP16", "FP32"], "f32"),
        ("float32", ["BF16", "FP32"], "f32"),
    ],
)
def test_half_precision_is_taken_only_with_the_range_of_float32(
    precision: ov.Precision, capabilities: list[str], name: str
) -> None:
    assert ov.number_format(precision, capabilities) == name


def test_a_backend_that_there_is_not_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["process", "clip.mp4", "--backend", "tensorrt"]) == 2
    assert "auto, openvino or torch" in capsys.readouterr().err


@pytest.mark.timeout(60)  # a process of its own, where other work may go on
def test_a_video_is_processed_without_torch_and_without_telemetry(tmp_path: Path) -> None:
    """torch alone would take 0.6 GB and a second. People are enrolled, so that all nets take part."""
    clip = write_video(tmp_path / "clip.mp4", two_people_scene(seconds=0.4))
    photos = photos_of(tmp_path / "photos", "Grace Hopper")
    script = """
import sys
from streamer.cli import main
clip, photos = sys.argv[1:]
code = main(["process", clip, "--people", photos, "-o", "out.mp4", "--device", "cpu", "--backend", "openvino"])
print(code, sorted({"torch", "torchvision", "facenet_pytorch"} & {*sys.modules}), sys.modules["openvino_telemetry"])
"""
    run = [sys.executable, "-c", script, str(clip), str(photos)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=50, cwd=tmp_path, check=False)
    assert done.stdout.splitlines()[-1:] == ["0 [] None"], done.stderr
    header, first = map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[:2])
    assert header["config"]["runtime"]["backend"] == "openvino"
    assert {face["identity"]["name"] for face in first["faces"]} == {"Grace Hopper", None}
    assert all(face["emotion"] for face in first["faces"])


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_by_twos_gives_what_one_call_each_gives(count: int) -> None:
    x = ov.parameter((1, 2), np.float32)
    net = ov.Net(ov.multiply(x, ov.constant(3.0)), [x])
    arrays = [np.array([[number, -number]], np.float32) for number in range(count)]
    outputs = net.by_twos(arrays)
    assert len(outputs) == count
    for array, output in zip(arrays, outputs, strict=True):
        np.testing.assert_array_equal(output, array * 3)


def test_many_crops_answer_as_each_alone() -> None:
    crops = np.random.default_rng(3).integers(0, 255, (13, 48, 48)).astype(np.uint8)
    net = OpenVinoEmotionNet(read(locate("emotion-ferplus")), precision="fastest")
    together = net(crops)
    for index in range(len(crops)):
        np.testing.assert_array_equal(net(crops[index : index + 1])[0], together[index])
