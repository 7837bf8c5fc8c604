"""The checks of `streamer doctor`: each takes what was found out and returns what it means and what to do about it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamer.cli.libraries import OPENCV_PACKAGES, WINDOW_PACKAGES, install_command, missing_library
from streamer.cli.probes import Probe
from streamer.devices import Accelerators, Cpus, Device, bounded_threads
from streamer.errors import StreamerError, WeightsError

State = Literal["ok", "warning", "problem"]

_REINSTALL = "install streamer again, in a virtual environment of its own: python -m pip install --force-reinstall"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: "ok"; "warning": something is missing that most do without; "problem": `process` does not work.
        detail: What was found.
        remedy: What to do; empty where nothing need be done.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def check_packages(versions: Mapping[str, str | None]) -> Check:
    """Look for a package that streamer needs and that is not installed (version None)."""
    missing = [name for name, version in versions.items() if version is None]
    detail = ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)
    if missing:
        return Check("packages", "problem", f"not installed: {', '.join(missing)}", f"{_REINSTALL} streamer")
    return Check("packages", "ok", detail)


def check_opencv(probe: Probe) -> Check:
    """See whether OpenCV can be imported; on a bare server it lacks system libraries."""
    if not probe.error:
        return Check("OpenCV", "ok", probe.values.get("version", ""))
    library = missing_library(probe.error)
    if library is not None:
        command = install_command(library) or f"apt-get install -y {OPENCV_PACKAGES}"
        return Check("OpenCV", "problem", f"the system library {library} is missing", f"run: {command}")
    return Check("OpenCV", "problem", probe.error, f"{_REINSTALL} opencv-python")


def check_opencv_wheels(installed: Sequence[str]) -> Check:
    """See that one OpenCV is installed: several write into the same folder, and the last one wins."""
    if not installed:
        return Check("OpenCV's package", "problem", "opencv-python is not installed", "run: pip install opencv-python")
    remedy = f"run: pip uninstall -y {' '.join(installed)} && pip install opencv-python"
    if len(installed) > 1:
        detail = f"{' and '.join(installed)} write into the same folder, so that the last one installed wins"
        return Check("OpenCV's package", "warning", detail, remedy)
    if installed[0] != "opencv-python":
        return Check("OpenCV's package", "warning", f"{installed[0]} takes the place of opencv-python", remedy)
    return Check("OpenCV's package", "ok", "opencv-python alone")


def check_windows(probe: Probe, platform: str, environment: Mapping[str, str]) -> Check:
    """See whether `streamer live` could open a window. Files are processed without one."""
    gui = probe.values.get("gui", "")
    if probe.error:
        return Check("windows", "warning", "OpenCV does not start", "see OpenCV above")
    if gui in ("", "NONE"):
        remedy = "run: pip uninstall -y opencv-python-headless && pip install --force-reinstall opencv-python"
        return Check("windows", "warning", "this OpenCV is built without windows", remedy)
    library = missing_library(probe.values.get("window_problem", ""))
    if library is not None:
        remedy = f"run: apt-get install -y {WINDOW_PACKAGES}"
        return Check("windows", "warning", f"{gui} lacks the system library {library}", remedy)
    if platform.startswith("linux") and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        remedy = "for a window: log in at a desktop, use ssh -X, or xvfb-run"
        return Check("windows", "warning", f"{gui}, but there is no display (DISPLAY is not set)", remedy)
    return Check("windows", "ok", gui)


def check_fonts(probe: Probe) -> Check:
    """See for which scripts' names there is no font."""
    if probe.error:
        return Check("fonts", "warning", probe.error, "see OpenCV above")
    missing = probe.values.get("missing", "")
    if missing:
        remedy = "run: apt-get install -y fonts-noto-core fonts-noto-cjk, or set annotate.font"
        return Check("fonts", "warning", f"drawn as empty boxes are names in: {missing}", remedy)
    return Check("fonts", "ok", "names in all tried scripts can be drawn")


def check_pyav(probe: Probe) -> Check:
    """See whether PyAV can be imported."""
    if probe.error:
        return Check("PyAV", "problem", probe.error, f"{_REINSTALL} av")
    values = probe.values
    return Check(
        "PyAV", "ok", f"{values.get('version')} with FFmpeg {values.get('ffmpeg')} ({values.get('libraries')})"
    )


def check_codecs(probe: Probe) -> Check:
    """See whether H.264 can be read and written, and in fragments that survive a crash."""
    if probe.error:
        return Check("codecs", "problem", "PyAV does not start", "see PyAV above")
    needed = {
        "encode": "H.264 encoding",
        "decode": "H.264 decoding",
        "fragments": "crash-proof mp4 (hybrid_fragmented)",
    }
    broken = [
        f"{label}: {probe.values.get(key, 'no')}" for key, label in needed.items() if probe.values.get(key) != "yes"
    ]
    if broken:
        remedy = "run: pip install --upgrade --force-reinstall av (its wheel brings FFmpeg 8 with libx264)"
        return Check("codecs", "problem", "; ".join(broken), remedy)
    hardware = [key for key, value in probe.values.items() if key.startswith("h264_") and value == "yes"]
    return Check(
        "codecs", "ok", f"H.264 in and out, crash-proof mp4; hardware encoders: {', '.join(hardware) or 'none'}"
    )


def check_torch(probe: Probe) -> Check:
    """See whether torch can be imported."""
    if not probe.error:
        return Check("torch", "ok", probe.values.get("version", ""))
    library = missing_library(probe.error)
    command = install_command(library) if library else None
    return Check("torch", "problem", probe.error, f"run: {command}" if command else f"{_REINSTALL} torch")


def check_openvino(probe: Probe) -> Check:
    """See whether OpenVINO computes."""
    if probe.error:
        return Check("OpenVINO", "problem", probe.error, f"{_REINSTALL} openvino, or set runtime.backend=torch")
    problem = probe.values.get("problem", "")
    if problem:
        return Check("OpenVINO", "warning", problem, "run: pip install openvino; without it torch computes, slower")
    return Check("OpenVINO", "ok", probe.values.get("version", ""))


def accelerators(probe: Probe) -> Accelerators:
    """Return what torch found in its process."""
    values = probe.values
    problem = values.get("cuda_problem") or "torch does not start"
    return Accelerators(values.get("cuda_name") or None, problem, values.get("mps") == "yes")


def check_nets(choose: Callable[[], Device]) -> Check:
    """Tell where the nets run and on what, as the configuration has it."""
    try:
        device = choose()
    except StreamerError as error:
        return Check("nets", "problem", str(error), "correct it; `streamer config show` prints all keys")
    product = {"openvino": "OpenVINO", "torch": "torch"}[device.backend]
    return Check("nets", "ok", f"on {product}, on the {device.name}, with {device.threads} threads")


def check_cpu(cpus: Cpus) -> Check:
    """Tell how many threads the nets get."""
    physical = "unknown" if cpus.physical is None else str(cpus.physical)
    quota = "" if cpus.quota is None else f", limited to the time of {cpus.quota:g}"
    detail = f"{physical} physical cores, {cpus.allowed} logical ones usable{quota}: {bounded_threads(cpus)} threads"
    return Check("CPU", "ok", detail)


def check_gpu(probe: Probe) -> Check:
    """Tell whether there is a GPU; without one all works, slower."""
    name = probe.values.get("cuda_name", "")
    if name:
        return Check("GPU", "ok", name)
    if probe.values.get("mps") == "yes":
        return Check("GPU", "ok", "Apple GPU (used with runtime.device=mps)")
    return Check("GPU", "ok", f"none, the CPU is used: {probe.values.get('cuda_problem') or 'torch does not start'}")


def check_weights(names: Sequence[str], verify: Callable[[str], object]) -> Check:
    """Look at every file of weights with what raises WeightsError where one is not as it should be."""
    bad: list[str] = []
    for name in names:
        try:
            verify(name)
        except WeightsError as error:
            bad.append(str(error))
    if bad:
        remedy = "`streamer models list --json` shows where each must lie"
        return Check("weights", "problem", ". Also, ".join(bad), remedy)
    return Check("weights", "ok", f"{', '.join(names)}: all good")


def check_configuration(load: Callable[[], object]) -> Check:
    """See whether the configuration (with the environment's part) is accepted."""
    try:
        load()
    except StreamerError as error:
        return Check("configuration", "problem", str(error), "correct it; `streamer config show` prints all keys")
    return Check("configuration", "ok", "accepted")


def check_gallery(folder: Path) -> Check:
    """See whether the gallery can be read and written, and by whom: it holds people's biometrics."""
    if not folder.exists():
        return Check("gallery", "ok", f"{folder} (nobody is enrolled yet)")
    if not folder.is_dir():
        return Check("gallery", "problem", f"{folder} is not a folder", "set recognition.gallery to a folder")
    if not is_writable(folder):
        remedy = f"give yourself the right to write: chmod -R u+rwX '{folder}'"
        return Check("gallery", "warning", f"{folder} cannot be written, so nobody can be enrolled", remedy)
    if folder.stat().st_mode & 0o077 and os.name == "posix":
        remedy = f"keep people's data to yourself: chmod -R go-rwx '{folder}'"
        return Check("gallery", "warning", f"{folder} can be read by other users", remedy)
    return Check("gallery", "ok", str(folder))


def check_folder(name: str, folder: Path) -> Check:
    """See whether a folder can be written, or made where it does not exist."""
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    if is_writable(nearest):
        return Check(name, "ok", str(folder))
    return Check(name, "warning", f"{folder} cannot be written", f"give yourself the right to write in {nearest}")


def is_writable(folder: Path) -> bool:
    """Try it: permission bits alone do not tell of read-only file systems."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def requirement_names(requirements: Sequence[str]) -> list[str]:
    """Return the names of the packages in `importlib.metadata.requires` lines that are needed without extras."""
    return [
        re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements if "extra ==" not in line.partition(";")[2]
    ]
