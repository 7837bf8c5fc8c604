"""Calls of one shape on an NVIDIA GPU: a net replayed from a CUDA graph, and pixels sent there from pinned memory.

The nets here are small, so launching their kernels one by one takes longer than computing them; a graph is launched
once a call. See https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from threading import Lock

import torch
from torch import Tensor

from streamer.pictures import UInt8

Net = Callable[[Tensor], Tensor]

_log = logging.getLogger(__name__)

_WARM_UP_CALLS = 3  # libraries choose kernels and take their memory in the first ones, which a graph cannot hold


def fixed_shape(net: Net, example: Tensor) -> Net:
    """Return what computes `net` for inputs like the example: on an NVIDIA GPU from a graph, elsewhere `net` itself.

    Several threads may call a graph, on the default stream. Where none can be made, that is logged once, and the result
    is `net` too.

    Args:
        net: Reads its weights where they are now; they must not be moved afterwards.
        example: An input; every later one has its shape, dtype, memory format and device.
    """
    if example.device.type != "cuda":
        return net
    try:
        return _Replay(net, example)
    except RuntimeError as error:
        _warn_once(str(error).partition("\n")[0])
        return net


def uploaded(pixels: UInt8, device: torch.device) -> Tensor:
    """Return pixels on a device; to an NVIDIA GPU they go by way of pinned memory, and nobody waits for the copy."""
    if device.type != "cuda":
        return torch.from_numpy(pixels).to(device)
    # torch keeps pinned memory for later use, and hands it out again only when the copy from it is done.
    pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
    pinned.numpy()[...] = pixels
    return pinned.to(device, non_blocking=True)


@cache
def _warn_once(reason: str) -> None:
    _log.warning("nets run without CUDA graphs, and so slower: %s; updating the NVIDIA driver may help", reason)


class _Replay:
    """A net's kernels, recorded once with the memory that they read and write."""

    @torch.inference_mode()
    def __init__(self, net: Net, example: Tensor) -> None:
        self._net = net  # the graph reads its weights, so they must live as long
        self._input = example.clone()
        self._lock = Lock()
        with torch.cuda.device(example.device):
            beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(_WARM_UP_CALLS):
                    net(self._input)
            torch.cuda.current_stream().wait_stream(beside)
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may be using the GPU meanwhile; in the usual mode that would spoil the recording.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._output = net(self._input)

    @torch.inference_mode()
    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the net's output, which belongs to the caller. Raises ValueError for another shape or dtype."""
        if (tensor.shape, tensor.dtype) != (self._input.shape, self._input.dtype):
            wanted = f"{tuple(self._input.shape)} {self._input.dtype}"
            raise ValueError(f"the input must be {wanted}, not {tuple(tensor.shape)} {tensor.dtype}")
        # The GPU does these three in the order in which they are launched, so no other call's may come between.
        with self._lock:
            self._input.copy_(tensor, non_blocking=True)
            self._graph.replay()
            return self._output.clone()
