"""The embedder agrees with dlib itself, gives a crop one vector whatever surrounds it, and tells people apart."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load

from streamer.errors import WeightsError
from streamer.geometry import similarity_transform
from streamer.pictures import BgrPicture, UInt8
from streamer.recognition import dlib_convert
from streamer.recognition.dlib_resnet import CROP_SIZE, DlibEmbedder
from streamer.recognition.dlib_torch import TorchResNet
from streamer.recognition.templates import DLIB
from streamer.stages import Crops, Embedder
from streamer.types import Float32
from streamer.weights import WEIGHTS
from tests.nets import dlib, mtcnn

# The cosine that best parts LFW's pairs (a distance of 0.428 between unit vectors, on all 6,000): photos of one person
# lie at 0.953 on average, deviation 0.017, those of two at 0.832, deviation 0.036.
SAME_PERSON = 0.908

STORED = json.loads((Path(__file__).parent / "dlib_vectors.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # With more, torch's threads wait for each other where a core is busy: a face took 0.5 s instead of 5 ms.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def embedder() -> DlibEmbedder:
    return dlib()


@pytest.fixture(scope="module")
def portraits(embedder: DlibEmbedder, astronaut: UInt8, hopper: UInt8) -> dict[str, Crops]:
    """The aligned crops for which dlib's own vectors are stored."""
    crops: dict[str, Crops] = {}
    for name, pixels in (("astronaut", astronaut), ("hopper", hopper)):
        upright = embedder.crop(BgrPicture(pixels), np.array(STORED[name]["landmarks"], np.float32))
        crops[f"{name} upright"] = upright
        crops[f"{name} mirrored"] = np.ascontiguousarray(upright[:, ::-1])
    return crops


@pytest.fixture(scope="module")
def noise() -> Crops:
    return np.random.default_rng(5).integers(0, 256, (7, CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)


def dlib_vector(portrait: str) -> Float32:
    name, side = portrait.split()
    return np.array(STORED[name][side], np.float32)


def cosine(first: Float32, second: Float32) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


PORTRAITS = ["astronaut upright", "astronaut mirrored", "hopper upright", "hopper mirrored"]


class TestAgreementWithDlib:
    # Tolerance: float16 storage of the weights moves a value by 0.0003 (in float32 the net agrees to 3e-7), another
    # OpenCV's warp moves pixels by up to 2 levels and a value by 0.0008.
    @pytest.mark.parametrize("portrait", PORTRAITS)
    def test_vectors_are_those_that_dlib_gives(
        self, embedder: DlibEmbedder, portraits: dict[str, Crops], portrait: str
    ) -> None:
        vector = embedder.describe(portraits[portrait][None])[0]
        assert np.abs(vector - dlib_vector(portrait)).max() <= 0.002
        assert cosine(vector, dlib_vector(portrait)) >= 0.9999

    def test_half_precision_agrees_too(self, portraits: dict[str, Crops]) -> None:
        vectors = DlibEmbedder(TorchResNet(dtype=torch.float16)).describe(
            np.stack([portraits[name] for name in PORTRAITS])
        )
        for vector, portrait in zip(vectors, PORTRAITS, strict=True):
            assert cosine(vector, dlib_vector(portrait)) >= 0.9999

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
    def test_a_gpu_agrees_too(self, portraits: dict[str, Crops]) -> None:
        vectors = DlibEmbedder(TorchResNet("cuda", torch.float16)).describe(
            np.stack([portraits[name] for name in PORTRAITS])
        )
        for vector, portrait in zip(vectors, PORTRAITS, strict=True):
            assert cosine(vector, dlib_vector(portrait)) >= 0.9999


class TestEmbed:
    def test_satisfies_the_protocol(self, embedder: DlibEmbedder) -> None:
        stage: Embedder = embedder
        assert (stage.dimension, stage.crop_size) == (128, 150)

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
    def test_gives_one_unit_vector_a_crop(self, embedder: DlibEmbedder, noise: Crops, count: int) -> None:
        vectors = embedder.embed(noise[:count])
        assert vectors.shape == (count, 128)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)

    def test_unit_vectors_point_where_dlib_points(self, embedder: DlibEmbedder, portraits: dict[str, Crops]) -> None:
        crops = np.stack([portraits[name] for name in PORTRAITS])
        raw = embedder.describe(crops)
        expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        assert np.allclose(embedder.embed(crops), expected, atol=1e-6)

    def test_a_crop_has_the_same_bits_alone_in_any_batch_and_at_any_position(
        self, embedder: DlibEmbedder, portraits: dict[str, Crops], noise: Crops
    ) -> None:
        crop = portraits["hopper upright"]
        alone = embedder.embed(crop[None])[0]
        for count in (1, 2, 4, 7):
            for position in range(count + 1):
                crops = np.insert(noise[:count], position, crop, axis=0)
                assert np.array_equal(embedder.embed(crops)[position], alone), f"{position} of {count + 1}"

    def test_a_second_embedder_gives_the_same_bits(self, embedder: DlibEmbedder, noise: Crops) -> None:
        assert np.array_equal(dlib().embed(noise[:2]), embedder.embed(noise[:2]))

    def test_takes_read_only_and_strided_crops_and_leaves_them_alone(
        self, embedder: DlibEmbedder, noise: Crops
    ) -> None:
        mirrored = noise[:3, :, ::-1]
        mirrored.flags.writeable = False
        before = mirrored.copy()
        assert np.array_equal(embedder.embed(mirrored), embedder.embed(before))
        assert np.array_equal(mirrored, before)

    def test_colours_matter_and_are_read_as_bgr(self, embedder: DlibEmbedder, portraits: dict[str, Crops]) -> None:
        upright = portraits["astronaut upright"]
        swapped = np.ascontiguousarray(upright[..., ::-1])
        right, wrong = embedder.describe(np.stack([upright, swapped]))
        assert cosine(right, dlib_vector("astronaut upright")) > cosine(wrong, dlib_vector("astronaut upright"))

    def test_with_its_mirror_image_a_crop_and_its_mirrored_self_are_one(
        self, embedder: DlibEmbedder, portraits: dict[str, Crops]
    ) -> None:
        both = np.stack([portraits["astronaut upright"], portraits["astronaut mirrored"]])
        first, second = dlib(flip=True).embed(both)
        assert np.allclose(first, second, atol=1e-6)
        plain = embedder.describe(both).sum(axis=0)
        assert np.allclose(first, plain / np.linalg.norm(plain), atol=1e-6)

    @pytest.mark.parametrize(
        ("shape", "dtype"), [((1, 112, 112, 3), np.uint8), ((150, 150, 3), np.uint8), ((1, 150, 150, 3), np.float32)]
    )
    def test_refuses_other_crops(self, embedder: DlibEmbedder, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        with pytest.raises(ValueError, match=r"\(N, 150, 150, 3\) uint8"):
            embedder.embed(np.zeros(shape, dtype))

    def test_tells_two_people_apart(self, embedder: DlibEmbedder, portraits: dict[str, Crops]) -> None:
        vectors = embedder.embed(np.stack([portraits[name] for name in PORTRAITS]))
        similarity = vectors @ vectors.T
        assert min(similarity[0, 1], similarity[2, 3]) > SAME_PERSON
        assert similarity[:2, 2:].max() < SAME_PERSON


class TestCrop:
    @pytest.mark.parametrize("name", ["astronaut", "hopper"])
    def test_landmarks_fall_on_the_template(
        self, embedder: DlibEmbedder, request: pytest.FixtureRequest, name: str
    ) -> None:
        """Dots painted at the landmarks come out where the best similarity puts them, within 2 px."""
        landmarks = np.array(STORED[name]["landmarks"], np.float32)
        pixels: UInt8 = np.zeros_like(request.getfixturevalue(name))
        for x, y in landmarks:
            cv2.circle(pixels, (round(float(x) - 0.5), round(float(y) - 0.5)), 2, (255, 255, 255), -1)
        crop = embedder.crop(BgrPicture(pixels), landmarks)
        assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
        matrix = similarity_transform(landmarks, DLIB.points)
        for x, y in landmarks @ matrix[:, :2].T + matrix[:, 2]:
            around = crop[round(y) - 8 : round(y) + 8, round(x) - 8 : round(x) + 8, 0].astype(np.float64)
            rows, columns = np.indices(around.shape)
            centre_y = (around * rows).sum() / around.sum() + 0.5 + round(y) - 8
            centre_x = (around * columns).sum() / around.sum() + 0.5 + round(x) - 8
            assert np.hypot(centre_x - x, centre_y - y) < 2

    def test_template_is_a_level_face_in_the_middle(self) -> None:
        left_eye, right_eye, nose, left_mouth, right_mouth = DLIB.points
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < nose[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


class TestWeightsAreCheckedFirst:
    def test_a_cut_file_is_never_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "dlib_resnet.safetensors"
        shipped = WEIGHTS["dlib-resnet"].path
        assert shipped is not None
        path.write_bytes(shipped.read_bytes()[:1000])
        cut = replace(WEIGHTS["dlib-resnet"], path=path)
        monkeypatch.setattr("streamer.weights.WEIGHTS", MappingProxyType({"dlib-resnet": cut}))
        with pytest.raises(WeightsError, match="is cut: 1000 of "):
            dlib()


def dlib_int(value: int) -> bytes:
    """Write an integer as dlib does: sign and length in one byte, then the magnitude, low byte first."""
    magnitude = abs(value).to_bytes(max(1, (abs(value).bit_length() + 7) // 8), "little")
    return bytes([len(magnitude) | (0x80 if value < 0 else 0)]) + magnitude


def dlib_layer(tag: bytes, values: Float32, ints: tuple[int, ...] = ()) -> bytes:
    sides = (2, len(values), 1, 1, 1)
    head = b"\x01" + bytes([len(tag)]) + tag + b"".join(map(dlib_int, (*ints, *sides)))
    return head + values.astype("<f4").tobytes() + dlib_int(-3)


@pytest.fixture(scope="module")
def random_layers() -> list[Float32]:
    """Flat parameters as dlib's file lists them: filters and bias, gamma and beta, 29 times, then the last matrix."""
    random = np.random.default_rng(3)
    layers: list[Float32] = []
    for shape in dlib_convert.convolution_shapes().values():
        layers.append(random.normal(size=int(np.prod(shape)) + shape[0]).astype(np.float32))
        layers.append(random.normal(size=2 * shape[0]).astype(np.float32))
    return [*layers, random.normal(size=256 * 128).astype(np.float32)]


@pytest.fixture(scope="module")
def dlib_file(random_layers: list[Float32]) -> bytes:
    tags = [b"con_4", b"affine_"] * 29
    layers = b"".join(dlib_layer(tag, values) for tag, values in zip(tags, random_layers[:-1], strict=True))
    return b"\x01\x01\x01\x0dloss_metric_2" + layers + dlib_layer(b"fc_2", random_layers[-1], (128, 256))


class TestConverter:
    def test_affine_layers_are_folded_into_the_convolutions(
        self, dlib_file: bytes, random_layers: list[Float32]
    ) -> None:
        """Each folded convolution gives what the convolution and then the affine layer give."""
        tensors = dlib_convert.parse(dlib_file)
        assert len(tensors) == 59
        for number, (name, shape) in enumerate(dlib_convert.convolution_shapes().items()):
            flat, (gamma, beta) = random_layers[2 * number], random_layers[2 * number + 1].reshape(2, -1)
            weight, bias = flat[: -shape[0]].reshape(shape[0], -1), flat[-shape[0] :]
            pixels = np.linspace(-1, 1, weight.shape[1], dtype=np.float32)
            folded = tensors[f"{name}.weight"].reshape(shape[0], -1) @ pixels + tensors[f"{name}.bias"]
            assert np.allclose(folded, gamma * (weight @ pixels + bias) + beta, rtol=1e-4, atol=1e-3)

    def test_the_last_matrix_is_turned_to_outputs_first(self, dlib_file: bytes, random_layers: list[Float32]) -> None:
        head = dlib_convert.parse(dlib_file)["head.weight"]
        assert head.shape == (128, 256)
        assert np.array_equal(head.T.reshape(-1), random_layers[-1])

    def test_a_file_of_another_net_is_refused(self, dlib_file: bytes) -> None:
        with pytest.raises(ValueError, match="holds 2 layers"):
            dlib_convert.parse(dlib_file[: dlib_file.index(b"\x05con_4", 100) - 1])

    def test_output_is_the_same_each_time_and_safetensors_reads_it(self) -> None:
        tensors: dict[str, Float32] = {
            "b": np.linspace(0, 1, 5, dtype=np.float32),
            "a": np.ones((2, 3), np.float32),
        }
        content = dlib_convert.serialise(tensors)
        assert content == dlib_convert.serialise(dict(reversed(tensors.items())))
        read = load(content)
        assert set(read) == {"a", "b"}
        assert np.array_equal(read["b"], tensors["b"].astype(np.float16))
        assert read["a"].shape == (2, 3)

    def test_the_shipped_file_names_its_source_and_licence(self) -> None:
        path = WEIGHTS["dlib-resnet"].path
        assert path is not None
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert header["__metadata__"] == dlib_convert.METADATA
        assert header["__metadata__"]["licence"] == "CC0-1.0"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "is absent"),
            (b"", "is cut: 0 of 22466066 bytes"),
            (b"text", "is cut: 4 of 22466066 bytes"),
            (bytes(dlib_convert.SOURCE_BYTES), "is another one"),
        ],
        ids=["absent", "empty", "cut", "another"],
    )
    def test_a_wrong_input_is_one_line_and_exit_code_4(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
    ) -> None:
        source, target = tmp_path / "in.dat", tmp_path / "out.safetensors"
        if content is not None:
            source.write_bytes(content)
        assert dlib_convert.main([str(source), str(target)]) == 4
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
        assert not target.exists()

    def test_an_existing_output_is_kept(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "out.safetensors"
        target.write_text("precious", encoding="utf-8")
        assert dlib_convert.main([str(target), str(target)]) == 2
        assert "exists already" in capsys.readouterr().err
        assert target.read_text(encoding="utf-8") == "precious"


class TestConversion:
    """The whole way from file to file, with the drawn net registered in the place of dlib's."""

    @pytest.fixture
    def source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dlib_file: bytes) -> Path:
        path = tmp_path / "in.dat"
        path.write_bytes(dlib_file)
        monkeypatch.setattr(dlib_convert, "SOURCE_SHA256", hashlib.sha256(dlib_file).hexdigest())
        monkeypatch.setattr(dlib_convert, "SOURCE_BYTES", len(dlib_file))
        return path

    def test_writes_the_registered_file(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dlib_file: bytes
    ) -> None:
        content = dlib_convert.serialise(dlib_convert.parse(dlib_file))
        entry = replace(WEIGHTS["dlib-resnet"], sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(dlib_convert, "WEIGHTS", {"dlib-resnet": entry})
        target = tmp_path / "out.safetensors"
        assert dlib_convert.main([str(source), str(target)]) == 0
        assert target.read_bytes() == content
        assert sorted(tmp_path.iterdir()) == [source, target]

    def test_an_unexpected_result_is_not_written(
        self, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = tmp_path / "out.safetensors"
        assert dlib_convert.main([str(source), str(target)]) == 4
        assert "gave a file whose sha256 starts" in capsys.readouterr().err
        assert not target.exists()

    def test_an_output_folder_that_is_absent_is_told(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dlib_file: bytes
    ) -> None:
        content = dlib_convert.serialise(dlib_convert.parse(dlib_file))
        entry = replace(WEIGHTS["dlib-resnet"], sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(dlib_convert, "WEIGHTS", {"dlib-resnet": entry})
        assert dlib_convert.main([str(source), str(tmp_path / "absent" / "out.safetensors")]) == 2


@pytest.mark.shared_data
def test_photos_of_the_same_person_are_told_from_those_of_two(embedder: DlibEmbedder, shared_data: Path) -> None:
    """Every 30th of the LFW pairs for development: at most 2 of 60 on the wrong side (chance: 30)."""
    detector = mtcnn()
    folder = shared_data / "lfw_dev"
    with (folder / "pairs.csv").open(newline="", encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))[::30]

    def vector(name: str) -> Float32:
        pixels = np.asarray(cv2.imread(str(folder / "images" / name), cv2.IMREAD_COLOR), np.uint8)
        faces = detector.detect([BgrPicture(pixels)])[0]
        middle = np.abs(faces.xyxy.reshape(-1, 2, 2).mean(axis=1) - 95).sum(axis=1).argmin()
        crop = embedder.crop(BgrPicture(pixels), faces.landmarks[middle])
        row: Float32 = embedder.embed(crop[None])[0]
        return row

    right = [bool(vector(pair["a"]) @ vector(pair["b"]) > SAME_PERSON) == (pair["same"] == "1") for pair in pairs]
    assert len(right) == 60
    assert sum(right) >= 58
