"""The configuration's section `embedder`: what is refused, what a gallery and a results file record, and thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer import build, cli
from streamer.config import Config, as_yaml, load_config
from streamer.errors import GalleryError, UsageError, WeightsError
from streamer.pictures import UInt8
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.recognition.facenet_resnet import FacenetEmbedder
from streamer.recognition.gallery import Gallery
from streamer.recognition.onnx_openvino import OnnxEmbedder
from streamer.recognition.people import Person
from streamer.weights import WEIGHTS
from tests import facenet
from tests.onnx_nets import Conv


def with_keys(**keys: object) -> Config:
    return load_config(overrides={f"embedder.{key}": str(value) for key, value in keys.items()}, environment={})


@pytest.fixture
def onnx_path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    path.write_bytes(Conv(side=112).content())
    return path


class TestRefused:
    @pytest.mark.parametrize("kind", ["dlib-resnet", "facenet-vggface2"])
    @pytest.mark.parametrize(
        ("key", "value"),
        [("path", "x.onnx"), ("crop_size", 112), ("template", "dlib"), ("normalisation", "raw"), ("channels", "rgb")],
    )
    def test_a_key_of_another_kind(self, kind: str, key: str, value: object) -> None:
        with pytest.raises(UsageError, match=f"embedder: only kind onnx has {key}, and kind is {kind}") as caught:
            with_keys(kind=kind, **{key: value})
        assert str(caught.value).startswith("--set: ")

    def test_onnx_without_a_path(self) -> None:
        with pytest.raises(UsageError, match=r"--set: embedder: kind onnx needs embedder\.path, the ONNX file"):
            with_keys(kind="onnx")

    @pytest.mark.parametrize(
        ("key", "value", "allowed"),
        [
            ("kind", "arcface", "dlib-resnet, facenet-vggface2 or onnx"),
            ("template", "mtcnn", "arcface, dlib or facenet"),
            ("normalisation", "none", "arcface, facenet, unit, imagenet or raw"),
            ("channels", "yuv", "rgb or bgr"),
            ("crop_size", 8, "at least 16 and at most 1024"),
            ("flip", 1, "true or false"),
        ],
    )
    def test_a_value_that_there_is_not(self, key: str, value: object, allowed: str) -> None:
        with pytest.raises(UsageError, match=allowed):
            with_keys(**{key: value})

    def test_the_key_of_before(self) -> None:
        with pytest.raises(UsageError, match=r"recognition\.kind"):
            load_config(overrides={"recognition.kind": "dlib-resnet"}, environment={})


def test_what_is_written_is_read_again(onnx_path: Path, tmp_path: Path) -> None:
    config = with_keys(kind="onnx", path=onnx_path, template="facenet", channels="bgr", flip="true")
    (tmp_path / "config.yaml").write_text(as_yaml(config), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml", environment={}) == config


class TestKinds:
    def test_dlib_is_the_default(self) -> None:
        assert isinstance(build.Models(Config()).embedder, DlibEmbedder)
        assert build.embedder_id(Config()).sha256 == WEIGHTS["dlib-resnet"].sha256

    @pytest.mark.parametrize("backend", ["openvino", "torch"])
    @pytest.mark.timeout(60)
    def test_facenet_runs_on_either_backend(self, tmp_path: Path, backend: str) -> None:
        facenet.save(facenet.random_net(), tmp_path / "net.pt")
        flags = {"embedder.kind": facenet.NAME, "runtime.backend": backend, "runtime.device": "cpu"}
        config = load_config(overrides=flags, environment={})
        with facenet.installed(tmp_path / "net.pt"):
            embedder = build.Models(config).embedder
            assert isinstance(embedder, FacenetEmbedder)
            assert embedder.embed(np.full((1, 160, 160, 3), 90, np.uint8)).shape == (1, 512)

    def test_facenet_unfetched_is_told_when_it_is_needed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {**WEIGHTS, facenet.NAME: facenet.registered(tmp_path / "absent.pt", b"")}
        monkeypatch.setattr("streamer.weights.WEIGHTS", known)
        config = with_keys(kind=facenet.NAME)
        assert build.embedder_id(config).name == facenet.NAME
        with pytest.raises(WeightsError, match="streamer models fetch facenet-vggface2"):
            _ = build.Models(config).embedder

    def test_an_onnx_file_is_what_computes(self, onnx_path: Path) -> None:
        embedder = build.Models(with_keys(kind="onnx", path=onnx_path)).embedder
        assert isinstance(embedder, OnnxEmbedder)
        assert (embedder.dimension, embedder.crop_size) == (8, 112)

    def test_the_mirror_image_is_added_by_the_key(self, onnx_path: Path) -> None:
        crops = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3)).astype(np.uint8)
        plain = build.Models(with_keys(kind="onnx", path=onnx_path)).embedder
        both = build.Models(with_keys(kind="onnx", path=onnx_path, flip="true")).embedder
        assert np.allclose(both.embed(crops), both.embed(crops[:, :, ::-1]), atol=1e-6)
        assert not np.allclose(plain.embed(crops), plain.embed(crops[:, :, ::-1]), atol=1e-6)

    def test_a_results_file_names_the_embedder_and_no_other(self, onnx_path: Path) -> None:
        models = build.describe(with_keys(kind="onnx", path=onnx_path)).models
        assert "mine.onnx" in models
        assert "dlib-resnet" not in models
        usual = build.describe(Config()).models
        assert usual["dlib-resnet"] == WEIGHTS["dlib-resnet"].sha256
        assert {"mtcnn-pnet", "emotion-ferplus"} <= set(usual)
        assert facenet.NAME not in usual


class TestThresholds:
    def gallery(self, config: Config) -> Gallery:
        vectors = np.eye(8, dtype=np.float32)[:2]
        return Gallery(build.embedder_id(config), (Person("Ana", vectors, ("a", "b")),))

    @pytest.mark.parametrize("matcher", ["cosine", "knn"])
    def test_must_be_set_for_a_net_of_which_none_is_known(self, onnx_path: Path, matcher: str) -> None:
        overrides = {"embedder.kind": "onnx", "embedder.path": str(onnx_path), "recognition.matcher": matcher}
        config = load_config(overrides=overrides, environment={})
        with pytest.raises(GalleryError, match=r"set recognition\.similarity_threshold") as caught:
            build.build_matcher(config, self.gallery(config))
        assert "\n" not in str(caught.value)
        config = load_config(overrides={**overrides, "recognition.similarity_threshold": "0.5"}, environment={})
        known, stranger = np.eye(8, dtype=np.float32)[:2].mean(axis=0) * 2**0.5, np.eye(8, dtype=np.float32)[2]
        named, unknown = build.build_matcher(config, self.gallery(config)).match(np.stack([known, stranger]))
        assert (named.name, unknown.name) == ("Ana", None)


@pytest.mark.timeout(60)
def test_a_gallery_belongs_to_the_net_that_made_it(
    onnx_path: Path, tmp_path: Path, astronaut: UInt8, capsys: pytest.CaptureFixture[str]
) -> None:
    """From photos to a results file with the user's own net, and refused with any other."""
    photos = tmp_path / "photos" / "Eileen"
    photos.mkdir(parents=True)
    cv2.imwrite(str(photos / "one.png"), astronaut)
    mine = ["--set", "embedder.kind=onnx", "--set", f"embedder.path={onnx_path}"]
    gallery = ["--gallery", str(tmp_path / "gallery")]
    assert cli.main(["people", "import", str(photos.parent), *gallery, *mine]) == 0
    assert cli.main(["people", "list", *gallery, *mine]) == 0
    capsys.readouterr()

    assert cli.main(["people", "list", *gallery]) == 6
    told = capsys.readouterr().err
    assert "was made with the net mine.onnx" in told
    assert "and not with dlib-resnet" in told
    assert cli.main(["people", "list", *gallery, *mine, "--set", "embedder.channels=bgr"]) == 6
    assert "and not with mine.onnx (bgr channels)" in capsys.readouterr().err

    results = tmp_path / "one.jsonl"
    process = ["process", str(photos / "one.png"), "--no-video", "--results", str(results), *gallery, *mine]
    assert cli.main(process) == 6
    assert "set recognition.similarity_threshold" in capsys.readouterr().err
    assert not results.exists()
    assert cli.main([*process, "--set", "recognition.similarity_threshold=0.9"]) == 0
    header, frame = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()[:2]]
    assert header["models"]["mine.onnx"] == build.embedder_id(with_keys(kind="onnx", path=onnx_path)).sha256
    assert frame["faces"][0]["identity"]["name"] == "Eileen"

    onnx_path.write_bytes(Conv(side=112, outputs=7).content())
    assert cli.main(["people", "list", *gallery, *mine]) == 6
    onnx_path.unlink()
    assert cli.main(["people", "list", *gallery, *mine]) == 4
    assert "is absent" in capsys.readouterr().err
