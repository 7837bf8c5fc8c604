"""What is measured on: the processor, the memory, a GPU, and the versions of what computes."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from streamer.bench.values import Machine
from streamer.config import Config
from streamer.devices import has_nvidia_driver, openvino_problem, probe_accelerators, probe_cpus, select_device

_PACKAGES = ("streamer", "torch", "openvino", "av", "opencv-python", "numpy", "facenet-pytorch")
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_PEERS = ("facenet_pytorch", "torch", "torchvision")


def describe_machine(config: Config) -> Machine:
    """Look at this machine; imports torch and facenet-pytorch, so for a child process."""
    cpus = probe_cpus()
    device = select_device(config.runtime.device, config.runtime.threads, config.runtime.backend)
    has_torch = importlib.util.find_spec("torch") is not None
    usable = {"openvino": not openvino_problem(), "torch": has_torch}
    return Machine(
        cpu=cpu_model(),
        physical_cores=cpus.physical,
        usable_cpus=cpus.usable,
        memory_mib=psutil.virtual_memory().total // 2**20,
        gpu=probe_accelerators().cuda_name if has_torch and has_nvidia_driver() else None,
        system=f"{platform.system()} {platform.release()}",
        device=device.name,
        backend=device.backend,
        backends=tuple(name for name, is_usable in usable.items() if is_usable),
        peer_problem=_peer_problem(),
        versions={"Python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def cpu_model(cpuinfo: Path = _CPUINFO) -> str:
    """Return the processor's model as the system calls it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def peak_memory_mib() -> float:
    """Return the most memory that this process has held so far, MiB.

    Not `getrusage` on Linux: what that says of a child begins with what its parent held when it was started.
    """
    if _STATUS.exists():
        held = (line.split()[1] for line in _STATUS.read_text(encoding="utf-8").splitlines() if line[:6] == "VmHWM:")
        return int(next(held)) / 1024
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return float(memory.peak_wset) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def _peer_problem() -> str:
    for name in _PEERS:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    try:
        importlib.import_module("facenet_pytorch")
    except (ImportError, AttributeError) as error:  # it is old: what it asks of torch or numpy may be gone
        return str(error).partition("\n")[0]
    return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
