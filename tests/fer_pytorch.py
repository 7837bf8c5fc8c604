"""Checkpoints like fer-pytorch's own, of nets with random weights, and what those nets themselves say."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import resnet34  # type: ignore[import-untyped]

from streamer.pictures import UInt8
from streamer.types import Float32


def random_net(architecture: str, classes: int = 7) -> Any:
    """Return a net as torchvision or timm makes it, with weights under which every normalisation does something."""
    torch.manual_seed(0)
    if architecture == "resnet34":
        net: Any = resnet34(num_classes=classes)
    else:
        reason = "timm is not installed; `pip install timm`, or the extra [test], brings it"
        timm = pytest.importorskip("timm", reason=reason)
        net = timm.create_model(architecture, pretrained=False, num_classes=classes)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.2)
                module.bias.normal_(0, 0.1)
    return net.eval()


class Settings:
    """Of a class that only the program that trained the net has."""

    def __init__(self) -> None:
        self.rate = 0.1


def checkpoint(net: Any, **more: object) -> dict[str, object]:
    """Return what Lightning saves of the module that fer-pytorch trains: FERPLModel.model.model is the net."""
    state = OrderedDict((f"model.model.{name}", tensor) for name, tensor in net.state_dict().items())
    parameters = list(net.parameters())
    optimizer = torch.optim.Adam(parameters[-2:])
    return {
        "epoch": 12,
        "global_step": 11_500,
        "pytorch-lightning_version": "1.6.1",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"completed": 12}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_f1'}": {"best_model_score": torch.tensor(0.843), "best": Path()}
        },
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
        "hparams_name": "cfg",
        "hyper_parameters": {"cfg": Settings(), "lr": 1e-4},
        **more,
    }


def save(net: Any, path: Path, **more: object) -> Path:
    torch.save(checkpoint(net, **more), path)
    return path


@torch.inference_mode()
def its_own_logits(net: Any, crops: UInt8) -> Float32:
    """Return what fer-pytorch computes of (N, 224, 224, 3) uint8 BGR faces: as its `predict_image` does."""
    grey = np.stack([cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) for crop in crops])
    pixels = (torch.from_numpy(grey).float() / 255)[:, None].repeat(1, 3, 1, 1)
    mean, deviation = (
        torch.tensor(three).reshape(1, 3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return cast("Float32", net((pixels - mean) / deviation).numpy())
