"""Import what may be broken in processes of their own, so that `streamer doctor` can tell of it and go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

_TIMEOUT_SECONDS = 120.0

_OPENCV = """
import ctypes, pathlib, cv2
print("version=" + cv2.__version__)
for line in cv2.getBuildInformation().splitlines():
    if line.strip().startswith("GUI:"):
        print("gui=" + line.split(":", 1)[1].strip())
plugin = pathlib.Path(cv2.__file__).parent / "qt/plugins/platforms/libqxcb.so"
if plugin.exists():
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        print(f"window_problem={error}")
"""

_TORCH = """
import torch
from streamer.devices import probe_accelerators
found = probe_accelerators()
print("version=" + torch.__version__)
print("cuda_name=" + (found.cuda_name or ""))
print("cuda_problem=" + found.cuda_problem)
print("mps=" + ("yes" if found.has_mps else "no"))
"""

# Not by way of openvino_runtime, which imports OpenCV; without openvino_telemetry nothing is reported to its makers.
_OPENVINO = """
import sys
from streamer.devices import openvino_problem
problem = openvino_problem()
print("problem=" + problem)
if not problem:
    sys.modules["openvino_telemetry"] = None
    import openvino
    from openvino import opset13
    numbers = opset13.parameter([1, 2], openvino.Type.f32)
    openvino.Core().compile_model(openvino.Model([opset13.relu(numbers)], [numbers]), "CPU")
    print("version=" + openvino.__version__.partition("-")[0])
"""

# Twenty-four pictures through x264; streamer.sinks.encoders tries the hardware's encoders as a run does.
_PYAV = """
import io, av
print("version=" + av.__version__)
print("ffmpeg=" + av.ffmpeg_version_info)
print("libraries=" + ", ".join(name + " " + ".".join(map(str, parts)) for name, parts in av.library_versions.items()))
def written(encoder, options):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = container.add_stream(encoder, rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(24):
            container.mux(stream.encode(av.VideoFrame(320, 240, "yuv420p")))
        container.mux(stream.encode(None))
    return file
def attempt(what, action):
    try:
        action()
        print(what + "=yes")
    except (av.FFmpegError, ValueError) as error:
        print(f"{what}=no ({error})".splitlines()[0])
attempt("encode", lambda: written("libx264", {}))
attempt("fragments", lambda: written("libx264", {"movflags": "hybrid_fragmented"}))
def decoded():
    file = written("libx264", {})
    file.seek(0)
    with av.open(file) as container:
        if sum(1 for _ in container.decode(video=0)) != 24:
            raise ValueError("pictures are lost")
attempt("decode", decoded)
from streamer.sinks.encoders import HARDWARE, Encoding, encoder_problem
for encoder in HARDWARE:
    problem = encoder_problem(encoder, Encoding())
    print(encoder + "=" + ("yes" if problem is None else f"no ({problem})".splitlines()[0]))
"""

# streamer.fonts says in the log what it finds no font for.
_FONTS = """
import logging
from streamer.fonts import TextRenderer
samples = {"Latin": "Ana", "Cyrillic": "Анна", "Greek": "Άννα", "Arabic": "آنا", "Hebrew": "אנה", "Devanagari": "आना",
    "Thai": "แอนนา", "Chinese": "安娜", "Japanese": "アンナ", "Korean": "안나"}
missing = []
class Listener(logging.Handler):
    def emit(self, record):
        if script not in missing:
            missing.append(script)
logger = logging.getLogger("streamer.fonts")
logger.addHandler(Listener())
logger.propagate = False
renderer = TextRenderer()
for script, name in samples.items():
    renderer.width(name, 16)
print("missing=" + ", ".join(missing))
"""

PROBES: Mapping[str, str] = {"opencv": _OPENCV, "pyav": _PYAV, "torch": _TORCH, "openvino": _OPENVINO, "fonts": _FONTS}


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probing process said.

    Attributes:
        values: Its `key=value` lines.
        error: The last line of its error output where it failed; empty: it did not.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


def run_probes(programs: Mapping[str, str] = PROBES, timeout_seconds: float = _TIMEOUT_SECONDS) -> dict[str, Probe]:
    """Run all programs at the same time and return what each said."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    processes = {
        name: subprocess.Popen(  # noqa: S603  our own interpreter with our own text
            [sys.executable, "-P", "-c", program],  # -P: a file cv2.py in the current folder is not OpenCV
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            env=environment,
        )
        for name, program in programs.items()
    }
    return {name: _said(process, timeout_seconds) for name, process in processes.items()}


def _said(process: subprocess.Popen[str], timeout_seconds: float) -> Probe:
    with process:
        try:
            output, errors = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return Probe(error=f"no answer within {timeout_seconds:g} s")
    values = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    if process.returncode == 0:
        return Probe(values)
    last = errors.strip().splitlines()[-1:] or [f"ended with code {process.returncode}"]
    return Probe(values, last[0])
