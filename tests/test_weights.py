"""The registry of weights: every file is the expected one, and a damaged one is told in one sentence."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from streamer import weights as registry
from streamer.errors import WeightsError
from streamer.weights import WEIGHTS, Weights, check, locate, sha256_of, verify

CONTENT = b"a small file in the place of a net"


def weights_at(path: Path | None) -> Weights:
    return Weights(
        name="small",
        role="for tests",
        path=path,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
        licence="MIT",
        source="this test",
        remedy="write it again",
    )


def refusal(weights: Weights) -> str:
    """Return the message with which a file is refused, after seeing that it is one line with a remedy."""
    with pytest.raises(WeightsError) as caught:
        check(weights)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("; write it again")
    assert "small" in message
    return message


@pytest.mark.parametrize("name", [name for name, weights in WEIGHTS.items() if not weights.is_optional])
def test_every_registered_file_is_present_and_the_expected_one(name: str) -> None:
    path = locate(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == WEIGHTS[name].sha256
    assert path.stat().st_size == WEIGHTS[name].size_bytes
    verify(name)


def test_the_registry_names_each_entry_by_its_own_name_and_licence() -> None:
    assert {name: weights.name for name, weights in WEIGHTS.items()} == {name: name for name in WEIGHTS}
    assert {"mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet", "dlib-resnet", "emotion-ferplus"} <= set(WEIGHTS)
    assert {weights.licence for weights in WEIGHTS.values()} <= {"MIT", "CC0-1.0"}


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        WEIGHTS["dlib-resnet"] = weights_at(None)  # type: ignore[index]


def test_the_asset_folder_names_the_checksum_of_every_net_in_it() -> None:
    licences = (Path(registry.__file__).parent / "assets" / "LICENSES.md").read_text(encoding="utf-8")
    assets = Path(registry.__file__).parent / "assets"
    shipped = [weights for weights in WEIGHTS.values() if weights.path is not None and weights.path.parent == assets]
    assert shipped
    for weights in shipped:
        assert sha256_of(weights.name) in licences, f"{weights.name} has another sha256 in LICENSES.md"


def test_a_good_file_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    path.write_bytes(CONTENT)
    assert check(weights_at(path)) == path


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    assert f"{path} (small) is absent" in refusal(weights_at(path))


def test_a_cut_file_tells_how_much_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    path.write_bytes(CONTENT[:10])
    assert f"is cut: 10 of {len(CONTENT)} bytes" in refusal(weights_at(path))


@pytest.mark.parametrize(
    "content", [CONTENT[:-1] + b"!", CONTENT + b"more"], ids=["same length, other content", "longer"]
)
def test_a_file_of_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "small.bin"
    path.write_bytes(content)
    message = refusal(weights_at(path))
    assert f"sha256 starts {hashlib.sha256(content).hexdigest()[:12]} instead of " in message


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(weights_at(tmp_path))


def test_a_package_that_is_not_installed_is_told() -> None:
    assert "is not installed" in refusal(weights_at(None))


def test_an_unknown_name_is_answered_with_the_allowed_ones() -> None:
    with pytest.raises(WeightsError, match=r"'arcface'.*mtcnn-pnet, mtcnn-rnet, mtcnn-onet, dlib-resnet") as caught:
        locate("arcface")
    assert caught.value.exit_code == 4
    with pytest.raises(WeightsError, match="arcface"):
        verify("arcface")


def test_reading_the_registry_imports_neither_torch_nor_the_package_that_carries_the_detector() -> None:
    program = (
        "import sys, streamer.weights; streamer.weights.locate('mtcnn-pnet'); "
        "print({'torch', 'facenet_pytorch'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_the_detector_file_is_told_as_not_installed_where_its_package_is_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert registry._inside_facenet_pytorch("pnet.pt") is None
