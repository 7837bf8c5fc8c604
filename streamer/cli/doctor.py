"""`streamer doctor`: what there is on this machine, what is wrong, and what to do about it.

Nothing here imports OpenCV, PyAV, torch or OpenVINO in this process, so it runs where they cannot.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from streamer.cli.options import AsJson, ConfigFile, Overrides
from streamer.cli.output import printable

if TYPE_CHECKING:
    from streamer.cli.checks import Check
    from streamer.config import Config

_OPENCV_WHEELS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(config: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Look at this machine: versions, devices, codecs, windows, weights, gallery; say what to do about problems.

    The exit code is 0 where files can be processed, 4 where only weights are wrong, else 1.
    """
    checks = run_checks(config, overrides or ())
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        for check in checks:
            _print(check)
    code = exit_code(checks)
    if code:
        raise typer.Exit(code)


def run_checks(config: Path | None, overrides: Sequence[str]) -> list[Check]:
    """Find out all that is to be known and judge it; takes as long as importing torch does."""
    from streamer.cli import checks
    from streamer.cli.probes import run_probes
    from streamer.config import load_config
    from streamer.devices import Device, bounded_threads, choose_device, probe_cpus
    from streamer.errors import UsageError

    probes = run_probes()
    try:
        settings = load_config(config, overrides)
    except UsageError:
        settings = load_config(environment={})  # the check below tells of it
    gallery, runtime, cpus = settings.recognition.gallery_path, settings.runtime, probe_cpus()

    def chosen() -> Device:
        threads, problem = bounded_threads(cpus, runtime.threads), probes["openvino"].values.get("problem", "")
        return choose_device(runtime.device, checks.accelerators(probes["torch"]), threads, runtime.backend, problem)

    nets = nets_in_use(settings)
    return [
        checks.check_packages(_package_versions()),
        checks.check_opencv_wheels([wheel for wheel in _OPENCV_WHEELS if _version(wheel) is not None]),
        checks.check_opencv(probes["opencv"]),
        checks.check_windows(probes["opencv"], sys.platform, os.environ),
        checks.check_fonts(probes["fonts"]),
        checks.check_pyav(probes["pyav"]),
        checks.check_codecs(probes["pyav"]),
        checks.check_torch(probes["torch"]),
        checks.check_openvino(probes["openvino"]),
        checks.check_cpu(cpus),
        checks.check_gpu(probes["torch"]),
        checks.check_nets(chosen),
        checks.check_weights(list(nets), lambda name: nets[name]()),
        checks.check_configuration(lambda: load_config(config, overrides)),
        checks.check_gallery(gallery),
        checks.check_folder("data folder", gallery.parent),
    ]


def nets_in_use(config: Config) -> dict[str, Callable[[], object]]:
    """Return what looks at the files that must be good: all weights that are there, and the nets that are set."""
    from streamer.emotion import fer_pytorch_file, ferplus_file
    from streamer.onnx_file import onnx_file, read
    from streamer.weights import WEIGHTS, verify

    embedder, emotion = config.embedder, config.emotion
    architecture = emotion.architecture or "resnet34"
    chosen: set[str] = {embedder.kind}
    if emotion.enabled and emotion.kind == "fer-pytorch" and emotion.path is None:
        chosen.add(fer_pytorch_file.weights_name(architecture))
    nets: dict[str, Callable[[], object]] = {
        one.name: partial(verify, one.name)
        for one in WEIGHTS.values()
        if one.name in chosen or not (one.is_optional and one.is_absent)
    }
    if embedder.path is not None:
        nets[str(embedder.path)] = partial(read, onnx_file(embedder.path, "embedder.path"))
    if emotion.enabled and emotion.path is not None:
        looks: dict[str, Callable[[], object]] = {
            "ferplus": partial(ferplus_file.read_own, ferplus_file.own_file(emotion.path)),
            "fer-pytorch": partial(fer_pytorch_file.read, architecture, fer_pytorch_file.checkpoint_file(emotion.path)),
            "onnx": partial(read, onnx_file(emotion.path, "emotion.path")),
        }
        nets[str(emotion.path)] = looks[emotion.kind]
    return nets


def exit_code(checks: Sequence[Check]) -> int:
    """Return 0 where nothing stops `streamer process`, 4 where only weights do, else 1."""
    problems = {check.name for check in checks if check.state == "problem"}
    return 0 if not problems else 4 if problems == {"weights"} else 1


def _package_versions() -> dict[str, str | None]:
    from importlib import metadata

    from streamer.cli.checks import requirement_names

    versions: dict[str, str | None] = {"Python": sys.version.partition(" ")[0], "streamer": _version("streamer")}
    for name in requirement_names(metadata.requires("streamer") or []):
        if name not in _OPENCV_WHEELS:  # which have a check of their own
            versions[name] = _version(name)
    return versions


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _print(check: Check) -> None:
    state = typer.style(f"{check.state:8}", fg=_COLOURS[check.state])
    typer.echo(f"{state} {check.name:16} {printable(check.detail)}")
    if check.remedy:
        typer.echo(f"{'':25} → {printable(check.remedy)}")
