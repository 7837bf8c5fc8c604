"""Say where the nets run and on how many threads: the only reader of hardware state.

The decisions are pure functions over `Accelerators` and `Cpus`; the probes beside them fill those in. torch and OpenCV
are imported inside functions only, so that this module is cheap where nothing is computed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from streamer.errors import UsageError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
DtypeName = Literal["float32", "float16"]
BackendName = Literal["auto", "openvino", "torch"]

_NVIDIA_DRIVERS = ("libcuda.so.1", "nvcuda.dll")

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # of malloc.h
_LARGE_BYTES = 2**20  # smaller than a frame of 1080p, larger than what nets and arrays take and free again and again

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Device:
    """Where the nets run.

    Attributes:
        name: What it is, for people: the GPU's name, or "CPU".
        torch_device: What torch calls it.
        dtype: What the nets compute in; half precision only where it is faster.
        threads: For the nets and OpenCV together, at least 1.
        backend: What computes the nets.
    """

    name: str
    torch_device: Literal["cpu", "cuda", "mps"]
    dtype: DtypeName
    threads: int
    backend: Literal["openvino", "torch"] = "torch"


@dataclass(frozen=True, slots=True)
class Accelerators:
    """What torch can compute on besides the CPU.

    Attributes:
        cuda_name: The first NVIDIA GPU that works; None: there is none.
        cuda_problem: Why there is none, as a sentence's part; empty where there is one.
        has_mps: An Apple GPU that works.
    """

    cuda_name: str | None = None
    cuda_problem: str = ""
    has_mps: bool = False


@dataclass(frozen=True, slots=True)
class Cpus:
    """What this process may use of the machine.

    Attributes:
        physical: Cores, hyper-threads not counted; None: the system does not say.
        allowed: Logical CPUs that the process may run on.
        quota: CPUs' worth of time that its control group may spend; None: no limit.
    """

    physical: int | None
    allowed: int
    quota: float | None

    @property
    def usable(self) -> int:
        """How many threads may really run at once, at least 1."""
        return max(1, min(self.allowed, self.allowed if self.quota is None else math.ceil(self.quota)))


def bounded_threads(cpus: Cpus, wanted: int | None = None) -> int:
    """Return how many threads to compute on.

    More threads than may run at once wait for each other inside every layer of a net, so a wish is bounded by the
    usable CPUs; without one it is one thread a physical core, as hyper-threads share the units that multiply.
    """
    return min(cpus.usable, wanted or cpus.physical or cpus.usable)


def choose_device(
    name: DeviceName,
    accelerators: Accelerators,
    threads: int,
    backend: BackendName = "auto",
    openvino_problem: str = "",
) -> Device:
    """Return the device that `name` stands for; "auto" is the first NVIDIA GPU that works, else the CPU.

    On a CPU the nets run on OpenVINO, which is two to four times as fast as torch, unless `openvino_problem` says why
    it cannot be used here; on a GPU they run on torch.

    Raises:
        UsageError: The named device or backend is not there, or they do not go together; tells why and what to do.
    """
    if name == "cuda" and accelerators.cuda_name is None:
        raise UsageError(f"device cuda: {accelerators.cuda_problem}, or use runtime.device=auto, which takes the CPU")
    if name == "mps" and not accelerators.has_mps:
        raise UsageError("device mps: torch finds no Apple GPU here; use runtime.device=auto")
    has_gpu = name == "mps" or (name != "cpu" and accelerators.cuda_name is not None)
    if backend == "openvino" and name in ("cuda", "mps"):
        raise UsageError(
            f"backend openvino runs on CPUs only; use runtime.device=cpu, or runtime.backend=torch for {name}"
        )
    if backend == "openvino" and openvino_problem:
        raise UsageError(
            f"backend openvino: {openvino_problem}; run: pip install openvino, or use runtime.backend=torch"
        )
    if has_gpu and backend != "openvino":
        if name == "mps":
            return Device("Apple GPU", "mps", "float32", threads)
        return Device(str(accelerators.cuda_name), "cuda", "float16", threads)
    on_openvino = backend != "torch" and not openvino_problem
    return Device("CPU", "cpu", "float32", threads, "openvino" if on_openvino else "torch")


def select_device(name: DeviceName, threads: int | None = None, backend: BackendName = "auto") -> Device:
    """Look at this machine and return the device to compute on. Raises UsageError as `choose_device` does."""
    # torch takes a second to import and 0.6 GB: it is asked only where there may be a GPU that is wanted.
    is_asked = name in ("cuda", "mps") or (name == "auto" and backend != "openvino" and has_nvidia_driver())
    accelerators = probe_accelerators() if is_asked else Accelerators()
    return choose_device(name, accelerators, bounded_threads(probe_cpus(), threads), backend, openvino_problem())


def placement(device: Device) -> tuple[torch.device, torch.dtype]:
    """Return what the nets are built with: torch's own device and number format."""
    import torch

    return torch.device(device.torch_device), torch.float16 if device.dtype == "float16" else torch.float32


def limit_threads(device: Device) -> None:
    """Bound torch's threads to the device's, for training."""
    import torch

    torch.set_num_threads(device.threads)


def computes_bfloat16(device: Device) -> bool:
    """Say whether torch computes in bfloat16 there faster than in float32, which training loses nothing by."""
    import torch

    if device.torch_device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Since torch 2.10; other CPUs imitate it, slowly.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.torch_device == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def limit_memory_arenas() -> None:
    """Let glibc's malloc keep two arenas instead of eight a core, and give frames back, before threads are started.

    Each thread would otherwise fill an arena of its own with freed frames: tens of MiB over a long run. And after the
    first large block is freed, malloc would take blocks as large from arenas, too, where freed ones stay.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def apply_thread_limits(device: Device, threads: int) -> None:
    """Bound the threads of OpenCV and of numpy's products to one, and those of torch where it computes.

    By default each takes all cores.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    # One product of large tables starts OpenBLAS's threads, which then wait for more in a loop: beside two cores' worth
    # of other work all nets took a quarter longer, and a frame 7.1 ms of processor time in place of 5.9 (720p).
    threadpool_limits(limits=1, user_api="blas")
    # All stages run side by side already: further threads for resizing a picture, which wait for each other in a loop,
    # cost a tenth of the whole run's speed at 720p.
    cv2.setNumThreads(1)
    if device.backend == "torch":
        import torch

        torch.set_num_threads(threads)


# ---- probes


def has_nvidia_driver() -> bool:
    """Say whether an NVIDIA driver answers and knows of a GPU, without importing torch."""
    for name in _NVIDIA_DRIVERS:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value > 0
    return False


def openvino_problem() -> str:
    """Say why OpenVINO cannot be used here; empty where it can."""
    if platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        return f"it is not made for {platform.machine()} processors"
    return "" if importlib.util.find_spec("openvino") is not None else "it is not installed"


def probe_accelerators() -> Accelerators:
    """Ask torch what there is, and prove that the NVIDIA GPU computes."""
    import torch

    has_mps = torch.backends.mps.is_available()
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        problem = "this torch is built without CUDA; install one that has it (https://pytorch.org/get-started/locally)"
        return Accelerators(None, problem, has_mps)
    if not torch.cuda.is_available():
        problem = "no NVIDIA GPU is found; check that `nvidia-smi` lists one (in a container: start it with --gpus all)"
        return Accelerators(None, problem, has_mps)
    try:
        # A GPU too old or too new for this torch, or full, is seen only when it computes.
        torch.ones(1, device="cuda").add_(1).item()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].rstrip(". ")
        return Accelerators(None, f"the NVIDIA GPU does not compute ({reason}); install a torch that fits it", has_mps)
    return Accelerators(torch.cuda.get_device_name(0), "", has_mps)


def probe_cpus() -> Cpus:
    """Ask the system what this process may use."""
    return Cpus(psutil.cpu_count(logical=False), _allowed_cpus(), cpu_quota())


def _allowed_cpus() -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cpu_quota(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """Return the CPUs' worth of time that this process's control groups may spend; None: no limit.

    A limit on any group above the process's own binds, too. Reads version 2 (`cpu.max`) and version 1
    (`cpu.cfs_quota_us`); see https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files.
    """
    limits: list[float] = []
    for line in _read_text(membership).splitlines():
        hierarchy, controllers, group = line.split(":", 2)
        is_v2 = hierarchy == "0" and not controllers
        if not is_v2 and "cpu" not in controllers.split(","):
            continue
        root = cgroups if is_v2 else cgroups / controllers
        own = root / group.lstrip("/")
        for folder in (own, *own.parents):
            limits += _limit_v2(folder) if is_v2 else _limit_v1(folder)
            if folder == root:
                break
    return min(limits, default=None)


def _limit_v2(folder: Path) -> list[float]:
    quota, _, period = _read_text(folder / "cpu.max").strip().partition(" ")
    return [int(quota) / int(period)] if quota.isdigit() and period.isdigit() else []


def _limit_v1(folder: Path) -> list[float]:
    quota, period = _read_text(folder / "cpu.cfs_quota_us").strip(), _read_text(folder / "cpu.cfs_period_us").strip()
    return [int(quota) / int(period)] if quota.isdigit() and period.isdigit() else []  # -1: no limit


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):  # not Linux, or no such controller: then nothing limits
        return ""
