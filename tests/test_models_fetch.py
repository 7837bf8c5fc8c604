"""`streamer models fetch`, and what `list`, `verify` and `doctor` make of weights that nobody has fetched."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer import cli
from streamer import weights as registry
from streamer.cli import doctor, transfers
from streamer.cli.probes import Probe
from streamer.recognition.facenet_openvino import OpenVinoFacenet
from streamer.recognition.facenet_resnet import FacenetEmbedder
from streamer.weights import WEIGHTS, Weights
from tests import facenet, fer_pytorch
from tests.file_server import Play, serving
from tests.onnx_nets import Classes, Conv

CONTENT = np.random.default_rng(4).bytes(200_000)

Register = Callable[[str], Weights]


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Put a packaged and a tiny optional entry into the registry; the latter is at the given URL."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def registered(url: str) -> Weights:
        (tmp_path / "packaged").write_bytes(b"1234")
        sha256 = hashlib.sha256(b"1234").hexdigest()
        packaged = Weights("packaged", "detector", tmp_path / "packaged", sha256, 4, "MIT", "a wheel", "install it")
        tiny = Weights(
            "tiny",
            "embedder",
            tmp_path / "user data" / "tiny.pt",
            hashlib.sha256(CONTENT).hexdigest(),
            len(CONTENT),
            "MIT",
            "somewhere",
            "fetch it: streamer models fetch tiny",
            url,
        )
        monkeypatch.setattr("streamer.weights.WEIGHTS", {"packaged": packaged, "tiny": tiny})
        return tiny

    return registered


def test_fetches_once_and_then_says_that_it_is_there(register: Register, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(CONTENT) as server:
        tiny = register(server.url)
        assert tiny.path is not None
        assert cli.main(["models", "fetch", "tiny"]) == 0
        first = capsys.readouterr()
        assert first.out == f"tiny: fetched and good, {tiny.path}\n"
        assert "tiny: 0.2 of 0.2 MB" in first.err
        assert tiny.path.read_bytes() == CONTENT
        assert cli.main(["models", "fetch", "tiny", "tiny"]) == 0
        assert capsys.readouterr().out == f"tiny: good already, {tiny.path}\n"
    assert len(server.asked) == 1


def test_another_file_is_one_line_and_exit_code_4(register: Register, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(CONTENT[::-1]) as server:
        tiny = register(server.url)
        assert cli.main(["models", "fetch", "tiny"]) == 4
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert "is another file" in errors[0]
    assert tiny.is_absent


def test_takes_a_file_that_was_brought(register: Register, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = register("http://127.0.0.1:9/tiny.pt")
    (tmp_path / "brought.pt").write_bytes(CONTENT)
    assert cli.main(["models", "fetch", "tiny", "--from", str(tmp_path / "brought.pt")]) == 0
    assert "fetched and good" in capsys.readouterr().out
    assert not tiny.is_absent
    assert cli.main(["models", "verify"]) == 0
    assert capsys.readouterr().out == "packaged: good\ntiny: good\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing argument"),
        (["unknown"], "there are no weights called unknown; there are: packaged, tiny"),
        (["packaged"], "packaged comes with an installed package and is never fetched; what can be: tiny"),
        (["tiny", "--proxy", "nonsense"], "--proxy must be http://HOST:PORT"),
        (["tiny", "--from", "x", "--proxy", "http://h:1"], "--from takes one NAME"),
        (["tiny", "--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_words_are_exit_code_2(
    register: Register, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    register("http://127.0.0.1:9/tiny.pt")
    assert cli.main(["models", "fetch", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_absent_optional_weights_are_no_fault(register: Register, capsys: pytest.CaptureFixture[str]) -> None:
    register("http://127.0.0.1:9/tiny.pt")
    assert cli.main(["models", "verify"]) == 0
    assert capsys.readouterr().out == "packaged: good\ntiny: absent (optional): streamer models fetch tiny\n"
    assert cli.main(["models", "list"]) == 0
    assert "absent (optional): streamer models fetch tiny" in capsys.readouterr().out
    assert cli.main(["models", "list", "--json"]) == 0
    packaged, tiny = json.loads(capsys.readouterr().out)
    assert (packaged["optional"], packaged["state"]) == (False, "good")
    assert (tiny["optional"], tiny["state"]) == (True, "absent")


def test_asked_for_by_name_absent_weights_are_told(register: Register, capsys: pytest.CaptureFixture[str]) -> None:
    register("http://127.0.0.1:9/tiny.pt")
    assert cli.main(["models", "verify", "tiny"]) == 4
    assert "is absent; fetch it: streamer models fetch tiny" in capsys.readouterr().err


def test_damaged_optional_weights_are_a_fault(register: Register, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = register("http://127.0.0.1:9/tiny.pt")
    assert tiny.path is not None
    tiny.path.parent.mkdir()
    tiny.path.write_bytes(CONTENT[:-1])
    assert cli.main(["models", "verify"]) == 4
    assert f"is cut: {len(CONTENT) - 1} of {len(CONTENT)} bytes" in capsys.readouterr().err


@pytest.mark.timeout(60)
def test_doctor_is_content_without_optional_weights(register: Register) -> None:
    register("http://127.0.0.1:9/tiny.pt")
    (weights,) = [check for check in doctor.run_checks(None, ()) if check.name == "weights"]
    assert (weights.state, weights.detail) == ("ok", "packaged: all good")


@pytest.mark.timeout(60)
def test_doctor_misses_the_weights_of_the_embedder_that_is_set(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = register("http://127.0.0.1:9/tiny.pt")
    libraries = ("opencv", "fonts", "pyav", "torch", "openvino")
    monkeypatch.setattr("streamer.cli.probes.run_probes", lambda: dict.fromkeys(libraries, Probe(error="not run here")))
    known = {"packaged": registry.WEIGHTS["packaged"], facenet.NAME: replace(tiny, name=facenet.NAME)}
    monkeypatch.setattr("streamer.weights.WEIGHTS", known)

    def detail(*overrides: str) -> str:
        (weights,) = [check for check in doctor.run_checks(None, overrides) if check.name == "weights"]
        return f"{weights.state}: {weights.detail}"

    assert detail() == "ok: packaged: all good"
    assert "fetch it: streamer models fetch" in detail(f"embedder.kind={facenet.NAME}")
    path = tmp_path / "mine.onnx"
    onnx = ("embedder.kind=onnx", f"embedder.path={path}")
    assert detail(*onnx).startswith(f"problem: the ONNX file {path} (embedder.path) is absent")
    path.write_bytes(Conv().content())
    assert detail(*onnx) == f"ok: packaged, {path}: all good"


@pytest.mark.timeout(60)
def test_doctor_looks_at_the_emotion_net_that_is_set(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register("http://127.0.0.1:9/tiny.pt")
    libraries = ("opencv", "fonts", "pyav", "torch", "openvino")
    monkeypatch.setattr("streamer.cli.probes.run_probes", lambda: dict.fromkeys(libraries, Probe(error="not run here")))
    name = "fer-pytorch-resnet34"
    brought = replace(WEIGHTS[name], path=tmp_path / "resnet34.ckpt")
    known = {"packaged": registry.WEIGHTS["packaged"], name: brought}
    monkeypatch.setattr("streamer.weights.WEIGHTS", known)

    def detail(*overrides: str) -> str:
        (weights,) = [check for check in doctor.run_checks(None, overrides) if check.name == "weights"]
        return f"{weights.state}: {weights.detail}"

    chosen = "emotion.kind=fer-pytorch"
    assert detail() == "ok: packaged: all good"
    assert f"streamer models fetch {name} --from FILE" in detail(chosen)
    assert detail(chosen, "emotion.enabled=false") == "ok: packaged: all good"
    path = tmp_path / "mine"
    assert detail(chosen, f"emotion.path={path}").startswith(f"problem: the checkpoint {path} (emotion.path) is absent")
    path.write_bytes(b"no net")
    assert "is no checkpoint of fer-pytorch" in detail(chosen, f"emotion.path={path}")
    fer_pytorch.save(fer_pytorch.random_net("resnet34"), path)
    assert detail(chosen, f"emotion.path={path}") == f"ok: packaged, {path}: all good"
    onnx = ("emotion.kind=onnx", f"emotion.path={path}", "emotion.classes=happy,sad")
    assert f"the ONNX file {path} (emotion.path) is no ONNX file" in detail(*onnx)
    path.write_bytes(Classes(outputs=2).content())
    assert detail(*onnx) == f"ok: packaged, {path}: all good"


_PROGRAM = """
import sys, streamer.weights
from pathlib import Path
from streamer import cli
from streamer.cli import transfers
transfers._LOG_EVERY_SECONDS = 0
streamer.weights.WEIGHTS = {"tiny": streamer.weights.Weights(
    "tiny", "", Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), "MIT", "", "", sys.argv[4])}
sys.exit(cli.main(["models", "fetch", "tiny"]))
"""


@pytest.mark.timeout(60)
def test_ctrl_c_is_exit_code_130_and_the_same_command_goes_on(register: Register, tmp_path: Path) -> None:
    with serving(CONTENT, Play(falls_silent_after=50_000), Play()) as server:
        tiny = register(server.url)
        words = [str(tiny.path), str(tiny.sha256), str(tiny.size_bytes), server.url]
        command = [sys.executable, "-c", _PROGRAM, *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(cli.__file__).parents[2]) as process:
            assert process.stderr is not None
            while "0.1 of 0.2 MB" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        assert process.returncode == 130
        assert "interrupted; what has come is kept" in rest
        assert "Traceback" not in rest
        assert tiny.is_absent
        assert cli.main(["models", "fetch", "tiny"]) == 0
    assert server.ranges == [None, "bytes=50000-"]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with transfers.transfer("a\x1b[31mname") as show:
        for there in range(0, 101, 20):
            show(there, 100)
    assert "\x1b[31mname" not in capsys.readouterr().err


@pytest.mark.timeout(60)
def test_facenet_s_weights_are_fetched_and_then_give_its_own_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, register: Register
) -> None:
    """From a file as facenet-pytorch's release is, with random weights, to the vectors of its own forward pass."""
    net = facenet.random_net()
    facenet.save(net, tmp_path / "release.pt")
    content = (tmp_path / "release.pt").read_bytes()
    crops = np.random.default_rng(6).integers(0, 256, (2, 160, 160, 3)).astype(np.uint8)
    with serving(content, Play(drops_after=30_000_000), Play()) as server:
        entry = facenet.registered(tmp_path / "user data" / "vggface2.pt", content, server.url)
        monkeypatch.setattr("streamer.weights.WEIGHTS", {**WEIGHTS, facenet.NAME: entry})
        assert cli.main(["models", "fetch", facenet.NAME]) == 0
    vectors = FacenetEmbedder(OpenVinoFacenet()).embed(crops)
    assert np.abs(vectors - facenet.its_own_vectors(net, crops)).max() < 1e-5
