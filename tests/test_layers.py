"""The import layers of the package, and what only some modules may use; the checker is tested on planted faults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "streamer"

# Each imports only from the ones above it; parts in one line do not import each other.
LAYERS = (
    ("errors", "emotion_names", "cmap", "times", "interrupts", "budget", "effort", "load", "live_choices"),
    ("rungs", "rung_costs", "overload_policy"),
    ("json_checks", "addresses"),
    ("pictures",),
    ("canvas", "photos", "tables", "torch_files", "http_files", "net_files", "layers", "weights_file"),
    ("types",),
    ("recorded",),
    ("recorded_fields",),
    ("recordings",),
    ("geometry", "stages", "devices", "weights", "stats", "fonts", "openvino_runtime", "cuda_graphs", "onnx_file"),
    ("plates", "retries", "downloads", "onnx_net", "torch_batches", "layers_openvino", "model_cards"),
    ("layers_torch", "hud", "display", "live_status"),
    ("sources", "detectors", "trackers", "recognition", "emotion", "sinks", "annotate"),
    ("live_keys",),
    ("live_view",),
    ("label_policy", "scans", "gaps", "recorded_tracks", "overload"),
    ("dossiers",),
    ("answering", "revival", "doubts", "dissent", "telling"),
    ("casebook", "lookahead", "reading"),
    ("labels",),
    ("strangers", "relabelling", "cards"),
    ("strangers_file", "stranger_cards", "people_cards"),
    ("naming", "forgetting", "reports", "live_looks", "live_gallery", "live_changes"),
    ("live_editing",),
    ("live_people",),
    ("spans",),
    ("batches",),
    ("pipeline",),
    ("queues", "parallel"),
    ("threads", "sink_threads", "live_threads", "replay"),
    ("runner", "outputs"),
    ("settings_values",),
    ("settings_emotion", "settings_source"),
    ("settings",),
    ("config",),
    ("embedders", "classifiers", "policies"),
    ("models",),
    ("build",),
    ("build_live", "api", "stills", "enrolling", "labelled_faces", "live_rates", "live_recorder"),
    ("live_running",),
    ("live_deeds", "live_board"),
    ("live_session",),
    ("live_loop", "live_plan"),
    ("emotion_examples",),
    ("__init__",),
    ("evaluation",),
    ("bench",),
    ("cli",),
    ("__main__",),
)
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}

# What may be imported only in the modules that match a pattern.
RESERVED = {
    "torch": (
        "devices",
        "cuda_graphs",
        "layers_torch",
        "torch_batches",
        "detectors.*torch*",
        "emotion.*torch",
        "recognition.*torch*",
        "recognition.cnn_training",
        "bench.naive",  # somebody else's loop, which ours is compared with
    ),
    "torchvision": ("detectors.*torch*", "emotion.*torch", "recognition.*torch*", "bench.naive"),
    "facenet_pytorch": ("bench.machine", "bench.naive"),
    "openvino": ("openvino_runtime",),
    "pydantic": ("settings*", "config"),
    "jinja2": ("reports.page",),
    "pyarrow": ("reports.parquet_files",),
    "yaml": ("settings_values", "config"),
    "concurrent": ("parallel", "threads", "sinks.web"),
    "asyncio": ("sinks.web",),
    "queue": ("threads", "sink_threads", "live_threads", "sinks.web", "bench.ceiling"),
    "_thread": (),
    "multiprocessing": (),
    "pickle": ("torch_files",),  # unpicklers that know the names of weights and no others
    "shelve": (),
    "marshal": (),
    "dill": (),
    "cloudpickle": (),
    "joblib": (),
}
# Who may start a thread, and who may besides wait for one; a lock that guards a counter is anybody's.
# The benchmark's ceiling is a program of its own, none of our threads included; so is the process that reads a camera,
# which must see its parent's end while a driver hangs.
STARTERS = ("threads", "sink_threads", "live_threads", "sinks.web", "bench.ceiling", "sources.camera_capture")
WAITERS = ("queues", "runner", "interrupts")
WAITING = ("Condition", "Event", "Lock")
# Who may let time pass: between two attempts at a server nothing else could be waited for.
SLEEPERS = ("downloads",)
WINDOWS = ("sinks.window",)
WINDOW_CALLS = re.compile(
    r"imshow|namedWindow|(wait|poll)Key(Ex)?|(named|resize|move|destroy|destroyAll)Windows?|setMouseCallback|[sg]etWindow\w+|selectROIs?"
)


def violations(module: str, source: str) -> list[str]:
    """Return what is wrong with the imports and calls of `module` (dotted, without "streamer."; `x.__init__` too)."""
    tree = ast.parse(source)
    for_types = _type_checking_nodes(tree)
    nodes = [node for node in ast.walk(tree) if node not in for_types]
    found = [fault for node in nodes for name in _imported(module, node) for fault in _import_faults(module, name)]
    return found + [fault for node in nodes for fault in _use_faults(module, node)]


def sleeps(source: str) -> bool:
    return any("time.sleep" in names for names in map(_names, ast.walk(ast.parse(source))))


def _type_checking_nodes(tree: ast.AST) -> set[ast.AST]:
    blocks = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    ]
    return {node for block in blocks for statement in block.body for node in ast.walk(statement)}


def _imported(module: str, node: ast.AST) -> Iterator[str]:
    """Yield the absolute names that a statement imports; those of `from a import b` as `a.b`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = ["streamer", *module.split(".")][: -node.level] if node.level else []
        base = ".".join([*parts, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
        yield from (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _import_faults(module: str, name: str) -> Iterator[str]:
    top, _, rest = name.partition(".")
    if top in RESERVED and not any(fnmatch(module, pattern) for pattern in RESERVED[top]):
        yield f"{module} imports {top}, which only {', '.join(RESERVED[top]) or 'nobody'} may"
    if top != "streamer":
        return
    own, other = module.partition(".")[0], rest.partition(".")[0]
    other = other if other in LAYER_OF else "__init__"  # `from streamer import Frame`: a public name
    if own not in LAYER_OF:
        yield f"{module} has no layer: add it to LAYERS"
    elif own != other and LAYER_OF[other] >= LAYER_OF[own]:
        yield f"{module} imports streamer.{other}, which is not below it"


def _names(node: ast.AST) -> set[str]:
    """Return the dotted names that a node uses: `time.sleep` as an attribute or from an import."""
    if isinstance(node, ast.Attribute):
        return {ast.unparse(node)}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {f"{node.module}.{alias.name}" for alias in node.names}
    if isinstance(node, ast.Import):
        return {f"{alias.name} as" for alias in node.names if alias.asname}
    return set()


def _needs_threads(name: str) -> bool:
    """`threading.Thread`, not the whole of `threading.Thread(…).start`, which holds it."""
    module, _, member = name.partition(".")
    return name == "threading as" or (module == "threading" and member.isidentifier() and member != "Lock")


def _use_faults(module: str, node: ast.AST) -> Iterator[str]:
    for name in _names(node):
        first, _, last = name.rpartition(".")
        if name in ("time.sleep", "asyncio.sleep") and module not in SLEEPERS:
            yield f"{module} sleeps"
        if _needs_threads(name) and module not in STARTERS and not (module in WAITERS and last in WAITING):
            yield f"{module} uses {name}, though threads belong to threads.py and its like"
        if first == "cv2" and WINDOW_CALLS.fullmatch(last) and module not in WINDOWS:
            yield f"{module} calls {name}, though windows belong to sinks/window.py"
        if name in ("time as", "cv2 as", "torch as"):
            yield f"{module} renames a module that this test looks for"
    if isinstance(node, ast.Call):
        function = ast.unparse(node.func)
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if function == "torch.load" and keywords.get("weights_only") != "True":
            yield f"{module} calls torch.load without weights_only=True, which runs what a file says"
        if keywords.get("allow_pickle", "False") != "False":
            yield f"{module} allows pickle"
    elif "torch.load" in _names(node) and isinstance(node, ast.ImportFrom):
        yield f"{module} imports torch.load by itself"


def _modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts), path.read_text(encoding="utf-8")


def test_the_package_keeps_to_its_layers() -> None:
    faults = [fault for module, source in _modules() for fault in violations(module, source)]
    assert faults == []


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(parts - set(LAYER_OF)) == []


def test_tests_do_not_sleep_either() -> None:
    sleepy = [path.name for path in (ROOT / "tests").rglob("*.py") if sleeps(path.read_text(encoding="utf-8"))]
    assert sleepy == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("geometry", "from streamer.pipeline import run", "streamer.pipeline"),
        ("geometry", "import streamer.runner", "streamer.runner"),
        ("geometry", "from streamer import runner", "streamer.runner"),
        ("geometry", "from streamer import Frame", "streamer.__init__"),
        ("geometry", "from .labels import TrackLabeller", "streamer.labels"),
        ("geometry", "def late():\n    from streamer import cli", "streamer.cli"),
        ("geometry", "from streamer.stages import Source", "streamer.stages"),
        ("sinks.video", "from streamer.sources.video import VideoSource", "streamer.sources"),
        ("sinks.video", "from ..sources.video import VideoSource", "streamer.sources"),
        ("sinks.__init__", "from ..trackers import kalman", "streamer.trackers"),
        ("errors", "from streamer.types import Frame", "streamer.types"),
        ("novelty", "from streamer.types import Frame", "no layer"),
        ("labels", "import torch", "torch"),
        ("cli.bench", "def late():\n    import torch.nn as nn", "torch"),
        ("recognition.gallery", "from torch import nn", "torch"),
        ("labels", "import importlib\nimportlib.import_module('torch')", "torch"),
        ("build", "from pydantic import BaseModel", "pydantic"),
        ("runner", "import yaml", "yaml"),
        ("recognition.gallery", "import pickle", "pickle"),
        ("recognition.gallery", "import numpy as np\nnp.load(path, allow_pickle=True)", "pickle"),
        ("emotion.training_torch", "import torch\ntorch.load(path)", "weights_only"),
        ("emotion.training_torch", "import torch\ntorch.load(path, weights_only=False)", "weights_only"),
        ("emotion.training_torch", "from torch import load\nload(path)", "torch.load"),
        ("emotion.training_torch", "import torch as t\nt.load(path)", "renames"),
        ("sources.video", "import threading\nthreading.Thread(target=f).start()", "threading.Thread"),
        ("sources.video", "from threading import Thread", "threading.Thread"),
        ("sources.video", "import threading as t", "threading as"),
        ("sources.video", "import threading\nthreading.Condition().wait()", "threading.Condition"),
        ("queues", "import threading\nthreading.Thread(target=f)", "threading.Thread"),
        ("sources.video", "from concurrent.futures import ThreadPoolExecutor", "concurrent"),
        ("sources.video", "import multiprocessing", "multiprocessing"),
        ("sinks.video", "import cv2\ncv2.imshow('x', picture)", "cv2.imshow"),
        ("sinks.video", "from cv2 import waitKey", "cv2.waitKey"),
        ("sources.rtsp", "import time\ntime.sleep(1)", "sleeps"),
        ("sources.rtsp", "from time import sleep", "sleeps"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, fault: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("types", "from streamer.pictures import Picture"),
        ("build", "from streamer.config import Config"),
        ("sinks.video", "from streamer.sinks.results import ResultsSink"),
        ("sinks.video", "from .results import ResultsSink"),
        ("cli.__init__", "from streamer.cli import config"),
        ("__init__", "from streamer.types import Frame"),
        ("sources.video", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch, threading"),
        ("stats", "import threading\nlock = threading.Lock()"),
        ("queues", "import threading\nthreading.Condition()"),
        ("threads", "import threading, queue\nthreading.Thread(target=f)"),
        ("sinks.window", "import cv2\ncv2.imshow('x', picture)"),
        ("devices", "def probe():\n    import torch"),
        ("recognition.dlib_torch", "import torch\ntorch.load(path, weights_only=True)"),
        ("sources.video", "import time\ntime.monotonic()"),
        ("downloads", "import time\ntime.sleep(1)"),
        ("recognition.facenet_torch", "import torch"),
        ("labels", "text = 'import torch; time.sleep(1)'  # import pickle"),
    ],
)
def test_what_is_allowed_is_not_flagged(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_sleep_in_a_test_is_found() -> None:
    assert sleeps("import time\n\ndef test_x():\n    time.sleep(0.1)")
    assert not sleeps("import time\n\ndef test_x():\n    time.monotonic()")
