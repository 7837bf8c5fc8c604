"""The weights of MTCNN's nets as NumPy arrays, from facenet-pytorch's files, which are of torch's first format."""

from __future__ import annotations

import numpy as np

from streamer import weights
from streamer.torch_files import read_state
from streamer.types import Float32

State = dict[str, Float32]


def read(net: str) -> State:
    """Return the weights of "pnet", "rnet" or "onet", by name, for BGR input.

    Raises:
        WeightsError: They are absent or not the expected ones.
    """
    path = weights.locate(f"mtcnn-{net}")
    state = {name: values.astype(np.float32, copy=False) for name, values in read_state(path).items()}
    # The reference takes RGB; crops here are BGR, so the first layer's input channels are turned round once.
    state["conv1.weight"] = np.ascontiguousarray(state["conv1.weight"][:, ::-1])
    return state


def fused(state: State, names: tuple[str, ...]) -> tuple[Float32, Float32]:
    """Return weight and bias of several layers over one input as those of one."""
    return (
        np.concatenate([state[f"{name}.weight"] for name in names]),
        np.concatenate([state[f"{name}.bias"] for name in names]),
    )
