"""fer-pytorch's checkpoints give what its own nets give, and what is no such checkpoint is told in one line."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import resnet18  # type: ignore[import-untyped]

from streamer import build, cli
from streamer.config import load_config
from streamer.emotion.calibration import FERPLUS_PRIOR
from streamer.emotion.fer_pytorch import CROP_SIZE, FerPytorchClassifier
from streamer.emotion.fer_pytorch_file import checkpoint_file, read, read_from
from streamer.emotion.fer_pytorch_openvino import OpenVinoFerPytorch
from streamer.emotion.fer_pytorch_torch import TorchFerPytorch
from streamer.errors import WeightsError
from streamer.pictures import BgrPicture, UInt8
from tests import fer_pytorch
from tests.nets import ferplus, mtcnn

# Random nets of up to 85 MB are made, saved, read and compiled.
pytestmark = pytest.mark.timeout(120)

CROPS: UInt8 = np.random.default_rng(3).integers(0, 256, (3, CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)
BACKENDS: dict[str, Callable[..., Any]] = {"openvino": OpenVinoFerPytorch, "torch": TorchFerPytorch}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other where a core is busy
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["resnet34", "mobilenetv2_140"])
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def own_net(architecture: str) -> Any:
    return fer_pytorch.random_net(architecture)


@pytest.fixture(scope="module")
def path(own_net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer_pytorch.save(own_net, tmp_path_factory.mktemp("checkpoint") / "mine.ckpt")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_logits_are_its_own(architecture: str, own_net: Any, path: Path, backend: str) -> None:
    logits = BACKENDS[backend](read_from(path, architecture, "x"))(CROPS)
    own = fer_pytorch.its_own_logits(own_net, CROPS)
    assert own.std(axis=0).max() > 0.05  # or there would be nothing to compare
    # Tolerance: float32, and normalisations that are folded into what they follow.
    np.testing.assert_allclose(logits, own, atol=2e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_probabilities_are_its_softmax_with_the_rare_taken_back(
    architecture: str, own_net: Any, path: Path, backend: str
) -> None:
    net = BACKENDS[backend](read_from(path, architecture, "x"))
    own = fer_pytorch.its_own_logits(own_net, CROPS).astype(np.float64)
    for tau, temperature in ((0.0, 1.0), (0.5, 1.0), (1.0, 2.0)):
        powers = np.exp(own / temperature) / FERPLUS_PRIOR.astype(np.float64) ** tau
        wanted = powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(FerPytorchClassifier(net, tau, temperature).classify(CROPS), wanted, atol=1e-3)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_gpu_agrees(architecture: str, own_net: Any, path: Path, dtype: torch.dtype) -> None:
    net = TorchFerPytorch(read_from(path, architecture, "x"), "cuda", dtype)
    crops = np.concatenate([CROPS] * 7)
    logits = net(crops)
    own = fer_pytorch.its_own_logits(own_net, crops)
    np.testing.assert_allclose(logits, own, atol=0.05 * np.abs(own).max())
    assert np.array_equal(net(crops[3:4])[0], logits[3])


def test_faces_are_framed_as_the_shipped_net_s_are(astronaut: UInt8) -> None:
    """Brought to 48 px its crop is the other's: the same part of the face, upright, without colour."""
    picture = BgrPicture(astronaut)
    landmarks = mtcnn().detect([picture])[0].landmarks[0]
    crop = FerPytorchClassifier(lambda crops: np.zeros((len(crops), 7), np.float32)).crop(picture, landmarks)
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert (crop[..., 0] == crop[..., 1]).all()
    assert (crop[..., 0] == crop[..., 2]).all()
    small = torch.nn.functional.interpolate(
        torch.from_numpy(crop[None, None, ..., 0]).float(), (48, 48), mode="bilinear", antialias=True
    )
    other = ferplus().crop(picture, landmarks)[..., 0].astype(np.float32)
    assert np.abs(small.numpy()[0, 0] - other).mean() < 4


class TestRefused:
    def refusal(self, path: Path, architecture: str = "resnet34") -> str:
        """Return the message with which a file is refused, after seeing that it is one line that names the file."""
        with pytest.raises(WeightsError) as caught:
            read(architecture, checkpoint_file(path))
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 500
        assert f"the checkpoint {path} (emotion.path)" in message
        assert caught.value.exit_code == 4
        return message

    def test_an_absent_file_and_a_folder(self, tmp_path: Path) -> None:
        assert "is absent" in self.refusal(tmp_path / "no.ckpt")
        assert "cannot be read" in self.refusal(tmp_path)

    def test_the_other_architecture(self, architecture: str, path: Path) -> None:
        other = "mobilenetv2_140" if architecture == "resnet34" else "resnet34"
        told = self.refusal(path, other)
        assert f"holds the net {architecture} and not the net {other}" in told
        assert f"use it as {architecture} (emotion.architecture, or models fetch fer-pytorch-{architecture})" in told

    def test_a_cut_file(self, path: Path, tmp_path: Path) -> None:
        content = path.read_bytes()
        for share in (0.0, 0.3, 0.999):
            (tmp_path / "cut.ckpt").write_bytes(content[: int(len(content) * share)])
            assert "is no checkpoint of fer-pytorch, or it is cut" in self.refusal(tmp_path / "cut.ckpt")

    def test_another_number_of_classes(self, tmp_path: Path) -> None:
        fer_pytorch.save(fer_pytorch.random_net("resnet34", classes=8), tmp_path / "eight.ckpt")
        told = self.refusal(tmp_path / "eight.ckpt")
        assert "it tells 8 classes apart instead of 7; give one that fer-pytorch wrote" in told

    def test_a_net_of_another_depth(self, tmp_path: Path) -> None:
        fer_pytorch.save(resnet18(num_classes=7), tmp_path / "small.ckpt")
        assert "holds another net and not the net resnet34: layer1.2.conv1.weight is missing" in self.refusal(
            tmp_path / "small.ckpt"
        )

    def test_weights_that_are_no_numbers(self, tmp_path: Path) -> None:
        net = fer_pytorch.random_net("resnet34")
        with torch.no_grad():
            net.layer2[1].conv1.weight[0, 0, 0, 0] = torch.nan
        fer_pytorch.save(net, tmp_path / "nan.ckpt")
        assert "layer2.1.conv1.weight holds what is no number" in self.refusal(tmp_path / "nan.ckpt")

    def test_layers_too_many(self, tmp_path: Path) -> None:
        net = fer_pytorch.random_net("resnet34")
        state = OrderedDict((f"model.model.{name}", tensor) for name, tensor in net.state_dict().items())
        state["model.model.attention.weight"] = torch.ones(3)
        fer_pytorch.save(net, tmp_path / "more.ckpt", state_dict=state)
        assert "attention.weight is too many" in self.refusal(tmp_path / "more.ckpt")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ({"epoch": 1}, "it has no state_dict"),
            ({"state_dict": {"fc.weight": torch.ones(2)}}, "has no tensors called model.model.…"),
        ],
    )
    def test_files_of_other_programs(self, tmp_path: Path, content: object, reason: str) -> None:
        torch.save(content, tmp_path / "x.ckpt")
        assert reason in self.refusal(tmp_path / "x.ckpt")

    def test_a_text(self, tmp_path: Path) -> None:
        (tmp_path / "x.ckpt").write_text("no net at all\n" * 100)
        assert "is no checkpoint of fer-pytorch" in self.refusal(tmp_path / "x.ckpt")


def test_metrics_beside_the_net_are_no_fault(tmp_path: Path) -> None:
    """FERPLModel has torchmetrics of its own, which some versions save."""
    net = fer_pytorch.random_net("resnet34")
    state = OrderedDict((f"model.model.{name}", tensor) for name, tensor in net.state_dict().items())
    state["accuracy.correct"] = torch.tensor(3)
    fer_pytorch.save(net, tmp_path / "x.ckpt", state_dict=state)
    assert read_from(tmp_path / "x.ckpt", "resnet34", "x").architecture == "resnet34"


class TestBrought:
    """From `models fetch --from` to a results file."""

    @pytest.fixture(autouse=True)
    def _own_data_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from dataclasses import replace

        from streamer.weights import WEIGHTS

        known = {
            name: replace(one, path=tmp_path / "data" / one.path.name) if one.sha256 is None and one.path else one
            for name, one in WEIGHTS.items()
        }
        monkeypatch.setattr("streamer.weights.WEIGHTS", known)

    def test_absent_ones_are_told_with_where_they_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        config = load_config(overrides={"emotion.kind": "fer-pytorch"}, environment={})
        where = "streamer models fetch fer-pytorch-resnet34 --from FILE"
        with pytest.raises(WeightsError, match=where):
            _ = build.Models(config).emotion
        with pytest.raises(WeightsError, match=where):
            build.describe(config)
        assert cli.main(["models", "fetch", "fer-pytorch-resnet34"]) == 4
        told = capsys.readouterr().err
        assert "no sha256 is published" in told
        assert "https://github.com/Emilien-mipt/fer-pytorch/releases/download/0.0.1/resnet34-epoch.12" in told
        assert cli.main(["models", "verify"]) == 0
        assert f"fer-pytorch-resnet34: absent (optional): {where}" in capsys.readouterr().out
        assert cli.main(["models", "list"]) == 0
        assert "not known" in capsys.readouterr().out

    def test_a_checkpoint_is_brought_used_and_named(
        self, path: Path, architecture: str, tmp_path: Path, astronaut: UInt8, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import cv2

        name = f"fer-pytorch-{architecture}"
        assert cli.main(["models", "fetch", name, "--from", str(path)]) == 0
        assert cli.main(["models", "verify", name]) == 0
        assert f"{name}: good" in capsys.readouterr().out
        assert cli.main(["models", "list", "--json"]) == 0
        (row,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == name]
        assert (row["state"], row["size_bytes"]) == ("good", path.stat().st_size)

        cv2.imwrite(str(tmp_path / "photo.png"), astronaut)
        chosen = ["--set", "emotion.kind=fer-pytorch", "--set", f"emotion.architecture={architecture}"]
        results = tmp_path / "photo.jsonl"
        words = ["process", str(tmp_path / "photo.png"), "--no-video", "--results", str(results), *chosen]
        assert cli.main(words) == 0
        header, frame = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()[:2]]
        assert header["models"][name] == row["sha256"]
        assert "emotion-ferplus" not in header["models"]
        assert sum(frame["faces"][0]["emotion"]["probabilities"].values()) == pytest.approx(1, abs=1e-2)

    def test_another_net_is_not_taken_and_what_was_there_stays(
        self, path: Path, architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        name = f"fer-pytorch-{architecture}"
        assert cli.main(["models", "fetch", name, "--from", str(path)]) == 0
        (tmp_path / "other.ckpt").write_bytes(path.read_bytes()[:-1000])
        capsys.readouterr()
        assert cli.main(["models", "fetch", name, "--from", str(tmp_path / "other.ckpt")]) == 4
        (told,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert "is no checkpoint of fer-pytorch, or it is cut" in told
        assert cli.main(["models", "verify", name]) == 0

    def test_another_one_of_that_net_takes_its_place(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        net = fer_pytorch.random_net("resnet34")
        first = fer_pytorch.save(net, tmp_path / "first.ckpt")
        second = fer_pytorch.save(net, tmp_path / "second.ckpt", epoch=13)
        for brought in (first, second):
            assert cli.main(["models", "fetch", "fer-pytorch-resnet34", "--from", str(brought)]) == 0
        assert (tmp_path / "data").joinpath(
            "resnet34-epoch.12-val_loss.0.494-val_acc.0.846-val_f1.0.843.ckpt"
        ).read_bytes() == second.read_bytes()

    def test_later_damage_is_seen(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        brought = fer_pytorch.save(fer_pytorch.random_net("resnet34"), tmp_path / "mine.ckpt")
        assert cli.main(["models", "fetch", "fer-pytorch-resnet34", "--from", str(brought)]) == 0
        (there,) = (tmp_path / "data").glob("*.ckpt")
        there.write_bytes(there.read_bytes()[:-1])
        assert cli.main(["models", "verify"]) == 4
        assert "is cut" in capsys.readouterr().err
        (tmp_path / "data" / f"{there.name}.sha256").unlink()
        assert cli.main(["models", "verify"]) == 4
        assert "did not come there by `streamer models fetch`" in capsys.readouterr().err
