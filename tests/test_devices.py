"""Devices and threads: decisions over stated hardware; the probes on files drawn for them and on this machine."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from streamer.devices import (
    Accelerators,
    Cpus,
    Device,
    DeviceName,
    apply_thread_limits,
    bounded_threads,
    choose_device,
    cpu_quota,
    has_nvidia_driver,
    openvino_problem,
    probe_accelerators,
    probe_cpus,
    select_device,
)
from streamer.errors import UsageError

NOTHING = Accelerators(cuda_problem="no NVIDIA GPU is found; check nvidia-smi")
NVIDIA = Accelerators(cuda_name="H100")
APPLE = Accelerators(cuda_problem="this torch is built without CUDA", has_mps=True)


@pytest.mark.parametrize(
    ("name", "there", "device"),
    [
        ("auto", NOTHING, Device("CPU", "cpu", "float32", 3, "openvino")),
        ("auto", NVIDIA, Device("H100", "cuda", "float16", 3)),
        ("auto", APPLE, Device("CPU", "cpu", "float32", 3, "openvino")),
        ("cpu", NVIDIA, Device("CPU", "cpu", "float32", 3, "openvino")),
        ("cuda", NVIDIA, Device("H100", "cuda", "float16", 3)),
        ("mps", APPLE, Device("Apple GPU", "mps", "float32", 3)),
    ],
)
def test_the_device_is_the_named_one_or_the_best(name: DeviceName, there: Accelerators, device: Device) -> None:
    assert choose_device(name, there, 3) == device


@pytest.mark.parametrize("there", [NOTHING, APPLE])
def test_a_named_gpu_that_is_not_there_is_an_error_with_its_remedy(there: Accelerators) -> None:
    with pytest.raises(UsageError, match="device cuda") as caught:
        choose_device("cuda", there, 1)
    assert there.cuda_problem in str(caught.value)
    assert "runtime.device=auto" in str(caught.value)


def test_an_apple_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError, match="device mps"):
        choose_device("mps", NVIDIA, 1)


@pytest.mark.parametrize(
    ("cpus", "wanted", "threads"),
    [
        (Cpus(4, 8, None), None, 4),
        (Cpus(4, 8, None), 6, 6),
        (Cpus(4, 8, None), 64, 8),
        (Cpus(4, 2, None), None, 2),
        (Cpus(16, 32, 2.5), None, 3),
        (Cpus(16, 32, 2.5), 8, 3),
        (Cpus(16, 32, 0.2), None, 1),
        (Cpus(None, 6, None), None, 6),
        (Cpus(None, 6, None), 1, 1),
    ],
)
def test_threads_are_bounded_by_what_may_run_at_once(cpus: Cpus, wanted: int | None, threads: int) -> None:
    assert bounded_threads(cpus, wanted) == threads


def drawn_cgroups(folder: Path, files: dict[str, str], membership: str) -> tuple[Path, Path]:
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "membership").write_text(membership)
    return folder / "cgroup", folder / "membership"


@pytest.mark.parametrize(
    ("files", "membership", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, "0::/a/b\n", 2.0),
        ({"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "200000 100000\n"}, "0::/a/b\n", 0.5),
        ({"other/cpu.max": "50000 100000\n"}, "0::/a/b\n", None),
        ({"cpu.max": ""}, "0::/\n", None),
        (
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"},
            "5:memory:/y\n4:cpu,cpuacct:/x\n",
            3.0,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "4:cpu:/\n", None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "4:cpu:/gone\n", 1.0),
        ({"cpu.max": "100000 100000\n"}, "3:cpuset:/\n", None),
    ],
)
def test_the_quota_of_control_groups_is_read(
    tmp_path: Path, files: dict[str, str], membership: str, quota: float | None
) -> None:
    assert cpu_quota(*drawn_cgroups(tmp_path, files, membership)) == quota


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None


def test_this_machine_has_a_cpu() -> None:
    cpus = probe_cpus()
    assert cpus.allowed >= 1
    assert bounded_threads(cpus) >= 1


def test_an_accelerator_is_there_or_missing_for_a_reason() -> None:
    there = probe_accelerators()
    assert (there.cuda_name is None) == bool(there.cuda_problem)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_nvidia_gpu_is_taken_by_itself() -> None:
    assert select_device("auto").torch_device == "cuda"


def test_asking_for_the_cpu_does_not_wake_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA context alone takes half a gigabyte and a second."""

    def woken() -> Accelerators:
        raise AssertionError("a GPU was looked for")

    monkeypatch.setattr("streamer.devices.probe_accelerators", woken)
    assert select_device("cpu", 1) == Device("CPU", "cpu", "float32", 1, "openvino")
    monkeypatch.setattr("streamer.devices.has_nvidia_driver", lambda: False)
    assert select_device("auto", 1).torch_device == "cpu"


class Driver:
    """What answers in place of libcuda.so.1."""

    def __init__(self, gpus: int, error: int = 0) -> None:
        self.gpus, self.error = gpus, error

    def cuInit(self, flags: int) -> int:  # noqa: N802, the driver's own name
        return self.error

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.gpus
        return 0


@pytest.mark.parametrize(
    ("driver", "is_there"),
    [(Driver(2), True), (Driver(0), False), (Driver(1, error=100), False)],  # 100: CUDA_ERROR_NO_DEVICE
)
def test_a_driver_counts_only_with_a_gpu(monkeypatch: pytest.MonkeyPatch, driver: Driver, is_there: bool) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert has_nvidia_driver() == is_there


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert not has_nvidia_driver()


def test_torch_is_asked_only_where_there_is_a_driver() -> None:
    """It takes a second to import and 0.6 GB."""
    script = """
import sys
from streamer.devices import apply_thread_limits, has_nvidia_driver, select_device
has_driver, device = has_nvidia_driver(), select_device("auto", 1)
if device.backend == "openvino":
    apply_thread_limits(device, 1)
print(has_driver == ("torch" in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(
    ("machine", "is_installed", "problem"),
    [
        ("x86_64", True, ""),
        ("AMD64", True, ""),
        ("arm64", True, ""),
        ("aarch64", True, ""),
        ("riscv64", True, "it is not made for riscv64 processors"),
        ("x86_64", False, "it is not installed"),
    ],
)
def test_openvino_serves_some_processors(
    monkeypatch: pytest.MonkeyPatch, machine: str, is_installed: bool, problem: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if is_installed else None)
    assert openvino_problem() == problem


def test_the_backend_is_the_one_asked_for() -> None:
    assert choose_device("auto", NVIDIA, 1, "openvino") == Device("CPU", "cpu", "float32", 1, "openvino")
    assert choose_device("auto", NOTHING, 1, "torch") == Device("CPU", "cpu", "float32", 1, "torch")
    assert choose_device("auto", NOTHING, 1, "auto", "it is not installed").backend == "torch"


def test_a_backend_that_cannot_be_had_is_an_error_with_its_remedy() -> None:
    with pytest.raises(UsageError, match="CPUs only"):
        choose_device("cuda", NVIDIA, 1, "openvino")
    with pytest.raises(UsageError, match="pip install openvino"):
        choose_device("cpu", NOTHING, 1, "openvino", "it is not installed")


def test_limits_reach_torch_and_opencv() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    try:
        apply_thread_limits(Device("CPU", "cpu", "float32", 1, "torch"), 1)
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
