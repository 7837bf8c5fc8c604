"""facenet-pytorch's net with random weights, in the place where the fetched ones would lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1

from streamer.stages import Crops
from streamer.types import Float32
from streamer.weights import WEIGHTS, Weights

NAME = "facenet-vggface2"


def random_net() -> Any:
    """Return the net with weights under which every normalisation does something."""
    torch.manual_seed(0)
    net = InceptionResnetV1(pretrained=None, classify=False).eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    return net


def save(net: Any, path: Path) -> None:
    """Save it as facenet-pytorch's release is: in torch's first format, with the classifier that was trained on it."""
    state = net.state_dict() | {"logits.weight": torch.zeros(5, 512), "logits.bias": torch.zeros(5)}
    torch.save(state, path, _use_new_zipfile_serialization=False)


def registered(path: Path, content: bytes, url: str | None = None) -> Weights:
    """Return the registry's entry, of other content."""
    entry = WEIGHTS[NAME]
    return replace(
        entry, path=path, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), url=url or entry.url
    )


@contextmanager
def installed(path: Path) -> Iterator[None]:
    """Have the file at `path` stand for the fetched weights."""
    with pytest.MonkeyPatch.context() as patch:
        known = {**WEIGHTS, NAME: registered(path, path.read_bytes())}
        patch.setattr("streamer.weights.WEIGHTS", MappingProxyType(known))
        yield


@torch.inference_mode()
def its_own_vectors(net: Any, crops: Crops) -> Float32:
    """Return what facenet-pytorch's own forward pass gives."""
    rgb = torch.from_numpy(np.ascontiguousarray(crops[..., ::-1])).permute(0, 3, 1, 2).float()
    return cast("Float32", net((rgb - 127.5) / 128.0).numpy())
