"""Nets of one shape: themselves on a CPU, replayed on an NVIDIA GPU, and still right where no graph can be made."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from streamer import cuda_graphs
from streamer.cuda_graphs import fixed_shape, uploaded
from streamer.emotion.ferplus_file import read
from streamer.emotion.ferplus_torch import TorchEmotionNet
from streamer.emotion.framing import CROP_SIZE
from streamer.weights import locate

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def doubled(tensor: Tensor) -> Tensor:
    return tensor.float() * 2


def on_gpu(*numbers: float) -> Tensor:
    return torch.tensor(numbers, device="cuda")


def test_on_a_cpu_a_net_stays_what_it_is() -> None:
    assert fixed_shape(doubled, torch.zeros(2)) is doubled


def test_where_no_graph_can_be_made_the_net_computes_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(net: object, example: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(cuda_graphs, "_Replay", refuse)
    cuda_graphs._warn_once.cache_clear()
    example = cast(Tensor, SimpleNamespace(device=torch.device("cuda")))
    with caplog.at_level(logging.WARNING, "streamer"):
        assert [fixed_shape(doubled, example) for _ in range(3)] == [doubled] * 3
    assert len(caplog.messages) == 1
    assert caplog.messages[0].count("not permitted when stream is capturing; updating") == 1


def test_pixels_arrive_as_they_are() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(uploaded(pixels, torch.device("cpu")).numpy(), pixels)


@pytest.mark.cuda
@needs_gpu
class TestOnAGpu:
    def test_a_replayed_net_computes_what_the_net_does(self) -> None:
        replayed = fixed_shape(doubled, on_gpu(0, 0))
        assert replayed is not doubled, "a graph is made here"
        assert replayed(on_gpu(1, 2)).tolist() == [2, 4]

    def test_an_output_is_not_overwritten_by_the_next_call(self) -> None:
        replayed = fixed_shape(doubled, on_gpu(0, 0))
        first = replayed(on_gpu(1, 2))
        replayed(on_gpu(5, 6))
        assert first.tolist() == [2, 4]

    def test_another_shape_or_dtype_is_refused(self) -> None:
        replayed = fixed_shape(doubled, on_gpu(0, 0))
        with pytest.raises(ValueError, match=r"must be \(2,\) torch.float32, not \(3,\) torch.float32"):
            replayed(on_gpu(1, 2, 3))
        with pytest.raises(ValueError, match="float16"):
            replayed(on_gpu(1, 2).half())

    def test_several_threads_may_call_it(self) -> None:
        replayed = fixed_shape(doubled, on_gpu(0, 0))
        wrong: list[int] = []

        def call(number: int) -> None:
            wrong.extend(number for _ in range(200) if replayed(on_gpu(number, -number)).tolist()[0] != 2 * number)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(1, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_pixels_arrive_through_pinned_memory(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (50, 60, 3)).astype(np.uint8)
        pixels.flags.writeable = False
        assert np.array_equal(uploaded(pixels, torch.device("cuda")).cpu().numpy(), pixels)

    def test_emotions_are_those_of_the_cpu_within_half_precision(self) -> None:
        grey = np.random.default_rng(1).integers(0, 255, (21, CROP_SIZE, CROP_SIZE)).astype(np.uint8)
        weights = read(locate("emotion-ferplus"))
        exact, fast = TorchEmotionNet(weights)(grey), TorchEmotionNet(weights, "cuda", torch.float16)(grey)
        np.testing.assert_allclose(fast, exact, atol=0.03)
