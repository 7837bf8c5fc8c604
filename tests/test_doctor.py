"""`streamer doctor`: every check in its bad states, and the whole command where OpenCV, PyAV and torch cannot start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamer import cli
from streamer.cli import checks
from streamer.cli.checks import Check
from streamer.cli.doctor import exit_code
from streamer.cli.probes import PROBES, Probe, run_probes
from streamer.devices import Accelerators, Cpus, Device
from streamer.errors import UsageError, WeightsError

NO_GL = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
NO_SM = "libSM.so.6: cannot open shared object file: No such file or directory"
CODECS = {"encode": "yes", "decode": "yes", "fragments": "yes", "h264_nvenc": "no (x)", "h264_qsv": "yes"}


def judged(check: Check, state: str, *parts: str) -> None:
    assert check.state == state
    for part in parts:
        assert part in f"{check.detail}\n{check.remedy}"
    assert bool(check.remedy) == (state != "ok"), "what is wrong has a remedy"


def test_packages() -> None:
    judged(checks.check_packages({"av": "18.1", "numpy": "2.4"}), "ok", "av 18.1, numpy 2.4")
    judged(checks.check_packages({"av": None, "numpy": "2.4"}), "problem", "not installed: av", "pip install")


def test_packages_that_only_extras_need_are_not_asked_for() -> None:
    lines = ["av>=16", "facenet-pytorch==2.5.3", 'pytest>=8; extra == "test"', 'tomli; python_version < "3.11"', "rich"]
    assert checks.requirement_names(lines) == ["av", "facenet-pytorch", "tomli", "rich"]


def test_opencv() -> None:
    judged(checks.check_opencv(Probe({"version": "5.0.0"})), "ok", "5.0.0")
    judged(checks.check_opencv(Probe(error=NO_GL)), "problem", "libGL.so.1", "apt-get install -y libgl1 libglib2.0-0")
    empty = "AttributeError: module 'cv2' has no attribute '__version__'"
    judged(checks.check_opencv(Probe(error=empty)), "problem", empty, "--force-reinstall opencv-python")


def test_opencv_packages_that_overwrite_each_other() -> None:
    both = ["opencv-python", "opencv-python-headless"]
    judged(checks.check_opencv_wheels(["opencv-python"]), "ok")
    judged(checks.check_opencv_wheels(both), "warning", "pip uninstall -y opencv-python opencv-python-headless &&")
    judged(checks.check_opencv_wheels(["opencv-contrib-python"]), "warning", "takes the place of opencv-python")
    judged(checks.check_opencv_wheels([]), "problem", "pip install opencv-python")


def test_windows() -> None:
    gui = Probe({"gui": "QT5"})
    judged(checks.check_windows(gui, "linux", {"DISPLAY": ":0"}), "ok", "QT5")
    judged(checks.check_windows(gui, "linux", {"WAYLAND_DISPLAY": "wayland-0"}), "ok", "QT5")
    judged(checks.check_windows(gui, "linux", {}), "warning", "no display", "xvfb-run")
    judged(checks.check_windows(Probe({"gui": "COCOA"}), "darwin", {}), "ok", "COCOA")
    judged(checks.check_windows(Probe({"gui": "NONE"}), "linux", {"DISPLAY": ":0"}), "warning", "without windows")
    lacking = Probe({"gui": "QT5", "window_problem": NO_SM})
    judged(
        checks.check_windows(lacking, "linux", {"DISPLAY": ":0"}), "warning", "libSM.so.6", "apt-get install", "libsm6"
    )
    judged(checks.check_windows(Probe(error=NO_GL), "linux", {}), "warning", "OpenCV")


def test_fonts() -> None:
    judged(checks.check_fonts(Probe({"missing": ""})), "ok")
    judged(checks.check_fonts(Probe({"missing": "Thai, Chinese"})), "warning", "Thai, Chinese", "fonts-noto-cjk")
    judged(checks.check_fonts(Probe(error=NO_GL)), "warning", "OpenCV")


def test_pyav_and_its_codecs() -> None:
    judged(checks.check_pyav(Probe({"version": "18", "ffmpeg": "8.1"})), "ok", "FFmpeg 8.1")
    judged(checks.check_pyav(Probe(error="ImportError: x")), "problem", "ImportError: x", "pip install")
    judged(checks.check_codecs(Probe(CODECS)), "ok", "hardware encoders: h264_qsv")
    judged(checks.check_codecs(Probe({**CODECS, "h264_qsv": "no"})), "ok", "hardware encoders: none")
    judged(checks.check_codecs(Probe({**CODECS, "fragments": "no (x)"})), "problem", "hybrid_fragmented", "av")
    judged(checks.check_codecs(Probe({})), "problem", "H.264 encoding", "H.264 decoding")
    judged(checks.check_codecs(Probe(error="x")), "problem", "PyAV")


def test_torch_and_gpu() -> None:
    judged(checks.check_torch(Probe({"version": "2.14"})), "ok", "2.14")
    judged(checks.check_torch(Probe(error="libgomp.so.1: cannot open shared object file")), "problem", "libgomp1")
    judged(checks.check_torch(Probe(error="ModuleNotFoundError: torch")), "problem", "--force-reinstall torch")
    judged(checks.check_gpu(Probe({"cuda_name": "H100"})), "ok", "H100")
    judged(checks.check_gpu(Probe({"mps": "yes"})), "ok", "Apple GPU")
    judged(checks.check_gpu(Probe({"cuda_problem": "no NVIDIA GPU is found"})), "ok", "no NVIDIA GPU is found")


def test_openvino() -> None:
    judged(checks.check_openvino(Probe({"version": "2026.4.1", "problem": ""})), "ok", "2026.4.1")
    judged(checks.check_openvino(Probe({"problem": "it is not installed"})), "warning", "pip install openvino", "torch")
    judged(checks.check_openvino(Probe(error="ImportError: x")), "problem", "ImportError: x", "runtime.backend=torch")


def test_where_the_nets_run() -> None:
    def refused() -> Device:
        raise UsageError("device cuda: no NVIDIA GPU is found")

    judged(checks.check_nets(lambda: Device("CPU", "cpu", "float32", 2, "openvino")), "ok", "OpenVINO, on the CPU", "2")
    judged(checks.check_nets(lambda: Device("H100", "cuda", "float16", 3)), "ok", "on torch, on the H100")
    judged(checks.check_nets(refused), "problem", "no NVIDIA GPU is found")


def test_what_torch_found_is_taken_over() -> None:
    assert checks.accelerators(Probe({"cuda_name": "H100", "mps": "no"})).cuda_name == "H100"
    none = checks.accelerators(Probe({"cuda_name": "", "cuda_problem": "no GPU", "mps": "yes"}))
    assert none == Accelerators(None, "no GPU", has_mps=True)
    assert checks.accelerators(Probe(error="x")).cuda_problem == "torch does not start"


def test_cpu() -> None:
    judged(
        checks.check_cpu(Cpus(4, 8, 2.5)), "ok", "4 physical", "8 logical", "limited to the time of 2.5", "3 threads"
    )
    judged(checks.check_cpu(Cpus(None, 2, None)), "ok", "unknown physical", "2 threads")


def test_weights() -> None:
    def verify(name: str) -> None:
        if name != "good":
            raise WeightsError(f"{name} is cut")

    judged(checks.check_weights(["good"], verify), "ok", "good")
    judged(checks.check_weights(["a", "good", "b"], verify), "problem", "a is cut", "b is cut")


def test_configuration() -> None:
    def wrong() -> None:
        raise UsageError("x.yaml line 1: no")

    judged(checks.check_configuration(lambda: None), "ok")
    judged(checks.check_configuration(wrong), "problem", "x.yaml line 1: no")


def test_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gallery"
    judged(checks.check_gallery(folder), "ok", "nobody is enrolled")
    folder.mkdir(mode=0o700)
    judged(checks.check_gallery(folder), "ok", str(folder))
    (tmp_path / "file").touch()
    judged(checks.check_gallery(tmp_path / "file"), "problem", "not a folder")
    if os.name == "posix":
        folder.chmod(0o755)
        judged(checks.check_gallery(folder), "warning", "other users", "chmod")
    monkeypatch.setattr(checks, "is_writable", lambda _: False)  # root may write anywhere
    judged(checks.check_gallery(folder), "warning", "cannot be written", "chmod")


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(checks.check_folder("data", tmp_path / "not" / "yet"), "ok")
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"
    monkeypatch.setattr(checks, "is_writable", lambda _: False)
    judged(checks.check_folder("data", tmp_path / "not" / "yet"), "warning", str(tmp_path))


def test_a_file_is_no_writable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert checks.is_writable(tmp_path)
    assert not checks.is_writable(tmp_path / "file")


def test_the_exit_code_tells_what_is_broken() -> None:
    fine, warned = Check("a", "ok", ""), Check("b", "warning", "", "x")
    weights, broken = Check("weights", "problem", "", "x"), Check("OpenCV", "problem", "", "x")
    assert exit_code([fine, warned]) == 0
    assert exit_code([fine, weights]) == 4
    assert exit_code([broken, weights]) == 1


# ---- probes


def test_a_probe_that_fails_tells_its_last_line() -> None:
    probes = run_probes({"a": "print('x=1=2'); print('noise')", "b": "print('y=3'); raise ValueError('no')"})
    assert probes == {"a": Probe({"x": "1=2"}), "b": Probe({"y": "3"}, "ValueError: no")}


def test_a_probe_that_dies_or_hangs_is_told() -> None:
    assert run_probes({"a": "import os; os._exit(7)"})["a"].error == "ended with code 7"
    hung = run_probes({"a": "import threading; threading.Event().wait()"}, timeout_seconds=0.2)
    assert hung["a"].error == "no answer within 0.2 s"


def test_files_in_the_current_folder_are_not_taken_for_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert run_probes({"a": "import colorsys"})["a"].error == ""


def test_this_machine_encodes_and_decodes() -> None:
    probes = run_probes({name: PROBES[name] for name in ("opencv", "pyav")})
    assert checks.check_opencv(probes["opencv"]).state == "ok"
    assert "gui" in probes["opencv"].values
    assert checks.check_codecs(probes["pyav"]).state == "ok"
    assert "libavcodec" in probes["pyav"].values["libraries"]


@pytest.mark.timeout(60)  # importing torch takes seconds, more where other work goes on
def test_the_whole_examination(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor", "--json"])
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert found["torch"]["state"] == "ok"
    assert found["OpenVINO"]["state"] == "ok"
    assert found["nets"]["state"] == "ok"
    assert found["OpenCV"]["state"] == "ok"
    assert code == {"ok": 0, "problem": 4}[found["weights"]["state"]]


def test_it_runs_where_nothing_can_be_imported(tmp_path: Path) -> None:
    """Broken stand-ins come first on the path, as the loader's errors do on a bare server."""
    lack = "raise ImportError('{}: cannot open shared object file: No such file or directory', name='{}')"
    for module, library in (("cv2", "libGL.so.1"), ("torch", "libgomp.so.1"), ("av", "libz.so.1")):
        (tmp_path / f"{module}.py").write_text(lack.format(library, module))
    (tmp_path / "bad.yaml").write_text("x: 1")
    (tmp_path / "openvino.py").write_text("raise ImportError('no openvino')")
    run = [sys.executable, "-m", "streamer", "doctor", "--config", str(tmp_path / "bad.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(run, capture_output=True, encoding="utf-8", check=False, env=environment)
    assert (done.returncode, done.stderr) == (1, "")
    for line in (
        "problem  OpenCV           the system library libGL.so.1 is missing",
        "→ run: apt-get install -y libgl1 libglib2.0-0",
        "→ run: apt-get install -y libgomp1",
        "problem  OpenVINO         ImportError: no openvino",
        "bad.yaml line 1: x is not a section",
    ):
        assert line in done.stdout
