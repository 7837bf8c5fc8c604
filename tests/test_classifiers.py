"""What every emotion classifier keeps to, whatever net it is on, and that the configuration makes the one set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from streamer import build
from streamer.classifiers import classifier_id
from streamer.cli.doctor import nets_in_use
from streamer.config import load_config
from streamer.emotion import ferplus_file
from streamer.emotion.aligned import AlignedClassifier
from streamer.emotion.fer_pytorch import FerPytorchClassifier
from streamer.emotion.fer_pytorch_file import read_from
from streamer.emotion.fer_pytorch_openvino import OpenVinoFerPytorch
from streamer.emotion.fer_pytorch_torch import TorchFerPytorch
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_file import EmotionWeights
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.emotion.ferplus_torch import TorchEmotionNet
from streamer.emotion.onnx_openvino import OnnxEmotionClassifier, OnnxEmotionRecipe
from streamer.errors import WeightsError
from streamer.pictures import BgrPicture, I420Picture, Picture, UInt8
from streamer.stages import EmotionClassifier
from streamer.types import EMOTIONS
from streamer.weights import locate
from tests import fer_pytorch
from tests.nets import mtcnn
from tests.onnx_nets import Classes

# Random nets of up to 85 MB are made, saved, read and compiled.
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other where a core is busy
    yield
    torch.set_num_threads(threads)


def onnx_of(net: Classes, folder: Path, recipe: OnnxEmotionRecipe) -> OnnxEmotionClassifier:
    path = folder / "mood.onnx"
    path.write_bytes(net.content())
    return OnnxEmotionClassifier(path, recipe)


def checkpoint_of(architecture: str, folder: Path) -> Path:
    return fer_pytorch.save(fer_pytorch.random_net(architecture), folder / f"{architecture}.ckpt")


def shipped() -> EmotionWeights:
    return ferplus_file.read(locate("emotion-ferplus"))


MAKERS: dict[str, Callable[[Path], EmotionClassifier]] = {
    "ferplus openvino": lambda _: FerPlusClassifier(OpenVinoEmotionNet(shipped())),
    "ferplus bfloat16": lambda _: FerPlusClassifier(OpenVinoEmotionNet(shipped(), precision="fastest"), tau=0),
    "ferplus torch": lambda _: FerPlusClassifier(TorchEmotionNet(shipped())),
    **{
        f"{architecture} {backend}": lambda folder, name=architecture, net=net: FerPytorchClassifier(  # type: ignore[misc]
            net(read_from(checkpoint_of(name, folder), name, "the checkpoint"))
        )
        for architecture in ("resnet34", "mobilenetv2_140")
        for backend, net in (("openvino", OpenVinoFerPytorch), ("torch", TorchFerPytorch))
    },
    "onnx grey": lambda folder: onnx_of(Classes(), folder, OnnxEmotionRecipe((*EMOTIONS, "contempt"))),
    "onnx colour": lambda folder: onnx_of(
        Classes(3, 48, 5, "Softmax", is_channels_first=False),
        folder,
        OnnxEmotionRecipe(("sad", "x", "happy", "y", "angry"), None, 1.3, "imagenet", "bgr", (0.1, 0.1, 0.5, 0.1, 0.2)),
    ),
}


@pytest.fixture(scope="module", params=MAKERS)
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmotionClassifier:
    return MAKERS[request.param](tmp_path_factory.mktemp("nets"))


def noise(count: int, side: int) -> UInt8:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


class TestEveryClassifier:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
    def test_gives_probabilities_for_each_crop(self, classifier: EmotionClassifier, count: int) -> None:
        answers = classifier.classify(noise(count, classifier.crop_size))
        assert answers.shape == (count, len(EMOTIONS))
        assert answers.dtype == np.float32
        assert (answers >= 0).all()
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)

    def test_a_crop_has_the_same_bits_alone_in_any_batch_and_at_any_position(
        self, classifier: EmotionClassifier
    ) -> None:
        first, *others = noise(5, classifier.crop_size)
        alone = classifier.classify(first[None])[0]
        for count in (1, 2, 4):
            for position in range(count + 1):
                crops = np.insert(np.stack(others[:count]), position, first, axis=0)
                assert np.array_equal(classifier.classify(crops)[position], alone), f"{position} of {count + 1}"

    def test_different_crops_have_different_answers(self, classifier: EmotionClassifier) -> None:
        side = classifier.crop_size
        dark = np.zeros((side, side, 3), np.uint8)
        dark[: side // 2] = 200
        answers = classifier.classify(np.stack([dark, dark[::-1]]))
        assert np.abs(answers[0] - answers[1]).max() > 1e-4

    def test_takes_read_only_and_strided_crops_and_leaves_them_alone(self, classifier: EmotionClassifier) -> None:
        mirrored = noise(2, classifier.crop_size)[:, :, ::-1]
        mirrored.flags.writeable = False
        before = mirrored.copy()
        assert np.array_equal(classifier.classify(mirrored), classifier.classify(before))
        assert np.array_equal(mirrored, before)

    @pytest.mark.parametrize("kind", ["bgr", "i420"])
    def test_cuts_crops_of_its_size_that_show_the_face(
        self, classifier: EmotionClassifier, astronaut: UInt8, kind: str
    ) -> None:
        picture: Picture = BgrPicture(astronaut)
        landmarks = mtcnn().detect([picture])[0].landmarks[0]
        if kind == "i420":
            height, width = astronaut.shape[:2]
            picture = I420Picture(*picture.planes((0, 0, width, height)))
        crop = classifier.crop(picture, landmarks)
        side = classifier.crop_size
        assert crop.shape == (side, side, 3)
        assert crop.dtype == np.uint8
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        assert grey.std() > 25  # a face, and neither sky nor nothing
        assert classifier.classify(crop[None]).shape == (1, 7)

    @pytest.mark.parametrize("dtype", [np.float32, np.uint8])
    def test_refuses_other_crops(self, classifier: EmotionClassifier, dtype: npt.DTypeLike) -> None:
        if not isinstance(classifier, AlignedClassifier):
            pytest.skip("the shipped net's classifier trusts its caller")
        side = classifier.crop_size
        wrong = side if dtype != np.uint8 else side + 1
        with pytest.raises(ValueError, match="crops must be"):
            classifier.classify(np.zeros((1, wrong, wrong, 3), dtype))


class TestConfiguration:
    @pytest.mark.parametrize("backend", ["openvino", "torch"])
    def test_the_shipped_net_is_the_default_on_either_backend(self, backend: str) -> None:
        config = load_config(overrides={"runtime.backend": backend, "runtime.device": "cpu"}, environment={})
        assert isinstance(build.Models(config).emotion, FerPlusClassifier)

    @pytest.mark.parametrize("backend", ["openvino", "torch"])
    def test_a_checkpoint_of_ones_own_runs_on_either_backend(self, tmp_path: Path, backend: str) -> None:
        path = checkpoint_of("resnet34", tmp_path)
        keys = {"emotion.kind": "fer-pytorch", "emotion.path": str(path), "runtime.device": "cpu"}
        config = load_config(overrides={**keys, "runtime.backend": backend}, environment={})
        made = build.Models(config).emotion
        assert isinstance(made, FerPytorchClassifier)
        known = classifier_id(config)
        assert known is not None
        assert build.describe(config).models[known.name] == known.sha256
        assert known.name == "resnet34.ckpt"
        sharp = load_config(overrides={**keys, "emotion.temperature": "0.1", "emotion.tau": "0"}, environment={})
        other = build.Models(sharp).emotion
        assert other is not None
        crops = noise(1, 224)
        assert other.classify(crops).max() > made.classify(crops).max()

    def test_no_net_where_emotions_are_switched_off(self) -> None:
        assert build.Models(load_config(overrides={"emotion.enabled": "false"}, environment={})).emotion is None


@pytest.mark.parametrize("kind", ["ferplus", "fer-pytorch", "onnx"])
def test_doctor_looks_at_a_net_of_one_s_own_as_what_it_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "own.net"
    if kind == "ferplus":
        path.write_bytes(ferplus_file.encoded(shipped()))
    elif kind == "fer-pytorch":
        path = checkpoint_of("resnet34", tmp_path)
    else:
        path.write_bytes(Classes().content())
    classes = {"emotion.classes": ",".join((*EMOTIONS, "contempt"))} if kind == "onnx" else {}
    config = load_config(overrides={"emotion.kind": kind, "emotion.path": str(path), **classes}, environment={})
    look = nets_in_use(config)[str(path)]
    look()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=path.name):
        look()
