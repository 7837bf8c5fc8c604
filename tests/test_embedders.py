"""What every embedder keeps to, whatever net it is on, and that facenet's gives what facenet-pytorch itself does."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from streamer.errors import WeightsError
from streamer.geometry import similarity_transform
from streamer.pictures import BgrPicture, UInt8
from streamer.recognition.aligned import AlignedEmbedder
from streamer.recognition.dlib_openvino import OpenVinoResNet
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.recognition.dlib_torch import TorchResNet
from streamer.recognition.facenet_openvino import OpenVinoFacenet
from streamer.recognition.facenet_resnet import FacenetEmbedder
from streamer.recognition.facenet_torch import TorchFacenet
from streamer.recognition.onnx_openvino import OnnxEmbedder, OnnxRecipe
from streamer.recognition.templates import FACENET, TEMPLATES, Template
from streamer.stages import Crops, Embedder
from streamer.types import Float32
from tests import facenet
from tests.nets import mtcnn
from tests.onnx_nets import Conv

# A random net of 100 MB is made and saved once, and each backend reads and compiles it.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other where a core is busy
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def own_net() -> object:
    return facenet.random_net()


@pytest.fixture(scope="module")
def facenet_file(own_net: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facenet") / "vggface2.pt"
    facenet.save(own_net, path)
    return path


@pytest.fixture(scope="module")
def facenets(facenet_file: Path) -> dict[str, FacenetEmbedder]:
    with facenet.installed(facenet_file):
        return {"openvino": FacenetEmbedder(OpenVinoFacenet()), "torch": FacenetEmbedder(TorchFacenet())}


def onnx_of(net: Conv, folder: Path, recipe: OnnxRecipe, **flip: bool) -> OnnxEmbedder:
    path = folder / "net.onnx"
    path.write_bytes(net.content())
    return OnnxEmbedder(path, recipe, **flip)


@pytest.fixture(
    scope="module",
    params=["dlib openvino", "dlib bfloat16", "dlib torch", "facenet openvino", "facenet torch", "onnx", "onnx last"],
)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AlignedEmbedder:
    folder = tmp_path_factory.mktemp("onnx")
    make: dict[str, Callable[[], AlignedEmbedder]] = {
        "dlib openvino": lambda: DlibEmbedder(OpenVinoResNet()),
        "dlib bfloat16": lambda: DlibEmbedder(OpenVinoResNet(precision="fastest"), flip=True),
        "dlib torch": lambda: DlibEmbedder(TorchResNet()),
        "facenet openvino": lambda: request.getfixturevalue("facenets")["openvino"],
        "facenet torch": lambda: request.getfixturevalue("facenets")["torch"],
        "onnx": lambda: onnx_of(Conv(side=112), folder, OnnxRecipe()),
        "onnx last": lambda: onnx_of(
            Conv(side="S", is_channels_first=False, batch=4), folder, OnnxRecipe(96, "facenet", "raw", "bgr"), flip=True
        ),
    }
    return make[request.param]()


def noise(count: int, side: int) -> Crops:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


class TestEveryEmbedder:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
    def test_gives_one_unit_vector_a_crop(self, embedder: AlignedEmbedder, count: int) -> None:
        stage: Embedder = embedder
        vectors = stage.embed(noise(count, stage.crop_size))
        assert vectors.shape == (count, stage.dimension)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)

    def test_a_crop_has_the_same_bits_alone_in_any_batch_and_at_any_position(self, embedder: AlignedEmbedder) -> None:
        first, *others = noise(5, embedder.crop_size)
        alone = embedder.embed(first[None])[0]
        for count in (1, 2, 4):
            for position in range(count + 1):
                crops = np.insert(np.stack(others[:count]), position, first, axis=0)
                assert np.array_equal(embedder.embed(crops)[position], alone), f"{position} of {count + 1}"

    def test_takes_read_only_and_strided_crops_and_leaves_them_alone(self, embedder: AlignedEmbedder) -> None:
        mirrored = noise(2, embedder.crop_size)[:, :, ::-1]
        mirrored.flags.writeable = False
        before = mirrored.copy()
        assert np.array_equal(embedder.embed(mirrored), embedder.embed(before))
        assert np.array_equal(mirrored, before)

    @pytest.mark.parametrize("dtype", [np.float32, np.uint8])
    def test_refuses_other_crops(self, embedder: AlignedEmbedder, dtype: npt.DTypeLike) -> None:
        side = embedder.crop_size
        wrong = side if dtype != np.uint8 else side + 1
        with pytest.raises(ValueError, match=rf"\(N, {side}, {side}, 3\) uint8"):
            embedder.embed(np.zeros((1, wrong, wrong, 3), dtype))

    def test_cuts_a_face_the_same_wherever_it_stands(self, embedder: AlignedEmbedder) -> None:
        """A picture moved, landmarks and all, gives the same crop but for rounding of pixels."""
        small = blurred_noise(220)
        landmarks: Float32 = np.array([(80, 90), (140, 92), (110, 120), (88, 150), (134, 152)], np.float32)
        crop = embedder.crop(BgrPicture(small), landmarks)
        assert crop.shape == (embedder.crop_size, embedder.crop_size, 3)
        assert crop.dtype == np.uint8
        moved_points: Float32 = landmarks + np.array([50, 30], np.float32)
        moved = embedder.crop(BgrPicture(np.pad(small, ((30, 0), (50, 0), (0, 0)), mode="edge")), moved_points)
        assert np.abs(crop.astype(int) - moved).max() <= 2


def blurred_noise(side: int) -> UInt8:
    return np.asarray(cv2.GaussianBlur(noise(1, side)[0], (0, 0), 6), np.uint8)


def test_a_net_that_gives_nothing_is_told_and_no_nan_leaves() -> None:
    for value in (0.0, np.nan, np.inf):
        useless = AlignedEmbedder(lambda crops, v=value: np.full((len(crops), 4), v, np.float32), FACENET, 4)  # type: ignore[misc]
        with pytest.raises(WeightsError, match="no number") as caught:
            useless.embed(noise(2, 160))
        assert "\n" not in str(caught.value)


class TestFacenet:
    @pytest.mark.parametrize("backend", ["openvino", "torch"])
    def test_vectors_are_those_of_facenet_pytorch_itself(
        self, facenets: dict[str, FacenetEmbedder], own_net: object, backend: str
    ) -> None:
        crops = noise(3, 160)
        # Tolerance: float32, through some hundred layers with other kernels and normalisations folded in.
        assert np.abs(facenets[backend].embed(crops) - facenet.its_own_vectors(own_net, crops)).max() < 1e-5

    def test_the_mirror_image_is_added_where_it_is_asked_for(self, facenet_file: Path, own_net: object) -> None:
        crops = noise(2, 160)
        with facenet.installed(facenet_file):
            both = FacenetEmbedder(OpenVinoFacenet(), flip=True)
        assert np.allclose(both.embed(crops), both.embed(np.ascontiguousarray(crops[:, :, ::-1])), atol=1e-6)
        assert not np.allclose(both.embed(crops), facenet.its_own_vectors(own_net, crops), atol=1e-4)

    def test_weights_that_were_not_fetched_say_how_to(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {facenet.NAME: facenet.registered(tmp_path / "absent.pt", b"")}
        monkeypatch.setattr("streamer.weights.WEIGHTS", known)
        with pytest.raises(WeightsError, match="streamer models fetch facenet-vggface2") as caught:
            OpenVinoFacenet()
        assert caught.value.exit_code == 4

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_a_gpu_agrees(self, facenet_file: Path, own_net: object, dtype: torch.dtype) -> None:
        crops = noise(19, 160)
        with facenet.installed(facenet_file):
            embedder = FacenetEmbedder(TorchFacenet("cuda", dtype))
        vectors = embedder.embed(crops)
        assert (vectors * facenet.its_own_vectors(own_net, crops)).sum(axis=1).min() > 0.999
        assert np.array_equal(embedder.embed(crops[3:4])[0], vectors[3])


class TestTemplates:
    @pytest.mark.parametrize("name", TEMPLATES)
    def test_each_is_a_face_with_its_points_inside(self, name: str) -> None:
        template = TEMPLATES[name]
        left_eye, right_eye, nose, left_mouth, right_mouth = template.points
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < nose[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert np.all((template.points > 0) & (template.points < template.side))

    def test_arcface_s_points_are_those_that_insightface_publishes(self) -> None:
        published = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
        assert TEMPLATES["arcface"].side == 112
        assert np.allclose(TEMPLATES["arcface"].points, published)

    def test_a_scaled_template_shows_the_same_part_of_a_face(self) -> None:
        picture = BgrPicture(blurred_noise(220))
        landmarks: Float32 = np.array([(80, 90), (140, 92), (110, 120), (88, 150), (134, 152)], np.float32)
        once, twice = (FACENET.scaled(side).crop(picture, landmarks) for side in (80, 160))
        averaged = twice.reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))
        assert np.abs(once - averaged).mean() < 1

    @pytest.mark.shared_data
    def test_facenet_s_crop_is_the_box_that_facenet_pytorch_cuts(self, shared_data: Path) -> None:
        """Nearer than by any template without stretch (19.7 px at best), on pictures of pairs.csv."""
        detector, misses = mtcnn(), []
        with (shared_data / "lfw_dev" / "pairs.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[::60]
        for row in rows:
            pixels = read_picture(shared_data / "lfw_dev" / "images", row["a"])
            faces = detector.detect([BgrPicture(pixels)])[0]
            if len(faces.xyxy) == 1:
                misses.append(corner_miss(FACENET, faces.xyxy[0], faces.landmarks[0]))
        assert len(misses) > 15
        assert np.mean(misses) < 17


def corner_miss(template: Template, xyxy: Float32, landmarks: Float32) -> float:
    """Return how far from the crop's corners the box's corners fall, on average, px of the crop."""
    x1, y1, x2, y2 = np.floor(xyxy)
    box = np.array([(x1, y1), (x2, y1), (x1, y2), (x2, y2)])
    crop = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * template.side
    narrow: Float32 = np.divide(template.points, (template.stretch, 1), dtype=np.float32)
    matrix = similarity_transform(landmarks, narrow)
    fallen = (box @ matrix[:, :2].T + matrix[:, 2]) * (template.stretch, 1)
    return float(np.hypot(*(fallen - crop).T).mean())


def read_picture(folder: Path, name: str) -> UInt8:
    pixels = cv2.imread(str(folder / name))
    assert pixels is not None
    return np.asarray(pixels, np.uint8)
