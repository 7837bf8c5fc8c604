"""One training of the emotion net, batch by batch; it can be stopped after any of them, kept in a file and continued.

What is drawn by lot in a batch depends on the seed and the batch's number alone, so a training that was interrupted
goes on as if it had not been.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from streamer.emotion.augmentation_torch import augmented
from streamer.emotion.ferplus_torch import EmotionNet, standardised
from streamer.errors import UsageError
from streamer.pictures import UInt8
from streamer.types import Float32

BATCH = 64
_WEIGHT_DECAY = 0.05
_WARM_UP = 0.08  # share of the training in which the rate rises; then it falls as a cosine would, but
_SETTLED = 0.5  # from here on it stays at this share of its peak, and what is kept is the weights' average.
_LAST_STRENGTH = 0.6  # of the augmentation from there on, so that the net ends on what it will see in use
_REMEMBERED = 0.15  # of the training is about as long ago as what the average still holds
_LARGEST_GRADIENT = 5.0
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a user may vary; a checkpoint of another recipe is not continued.

    Attributes:
        blocks: Of the net, 1 to 13.
        epochs: Passes over the training pictures.
        seed: Of all that is drawn by lot.
        peak_rate: The highest learning rate.
        dropout: Share of features dropped before the head.
        budget_seconds: The training ends by then, all its stages shortened, whatever epoch it is in, and two of one
            seed give two nets; None: it may take as long as the epochs take.
    """

    blocks: int = 12
    epochs: int = 16
    seed: int = 0
    peak_rate: float = 4e-4
    dropout: float = 0.4
    budget_seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """What is learnt from.

    Attributes:
        pictures: (N, 48, 48) uint8 grey.
        targets: (N, 7) float32, each row sums to 1.
        alignments: (N, 2, 3) float32, see `alignment.alignments`.
    """

    pictures: UInt8
    targets: Float32
    alignments: Float32


class Training:
    """A training under way.

    Args:
        recipe: What to do.
        data: What to learn from; at least one picture.
        start: The weights to start from, as `ferplus_file.shapes` says.
        device: Where it computes.
        bfloat16: Compute in it where that loses nothing; takes half the time on hardware made for it.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingSet,
        start: Mapping[str, Float32],
        device: torch.device | str = "cpu",
        *,
        bfloat16: bool = False,
    ) -> None:
        self.recipe, self._device, self._bfloat16 = recipe, torch.device(device), bfloat16
        self._origin = _digest([data.pictures, data.targets, data.alignments, *(start[name] for name in sorted(start))])
        self._pictures = torch.from_numpy(np.ascontiguousarray(data.pictures))[:, None]
        self._targets, self._alignments = torch.from_numpy(data.targets), torch.from_numpy(data.alignments)
        self._net = EmotionNet(recipe.blocks, recipe.dropout)
        self._net.load(start)
        self._net.to(self._device).to(memory_format=torch.channels_last)
        self._average = copy.deepcopy(self._net).eval()
        decayed = [weight for weight in self._net.parameters() if weight.ndim > 1]
        plain = [weight for weight in self._net.parameters() if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups)
        self._batch = min(BATCH, len(self._pictures))
        self.batches_an_epoch = len(self._pictures) // self._batch
        self.done_batches = 0
        self.seconds = 0.0

    @property
    def share(self) -> float:
        """How much of the training is done, 0..1."""
        share = self.done_batches / (self.recipe.epochs * self.batches_an_epoch)
        if self.recipe.budget_seconds is not None:
            share = max(share, self.seconds / self.recipe.budget_seconds)
        return min(share, 1.0)

    @property
    def epoch(self) -> int:
        """How many passes are complete."""
        return self.done_batches // self.batches_an_epoch

    @property
    def rate(self) -> float:
        """The present learning rate."""
        if self.share < _WARM_UP:
            return self.recipe.peak_rate * self.share / _WARM_UP
        falling = 0.5 * (1 + math.cos(math.pi * (self.share - _WARM_UP) / (1 - _WARM_UP)))
        return self.recipe.peak_rate * max(falling, _SETTLED)

    @property
    def _strength(self) -> float:
        """How much pictures are varied."""
        return 1.0 if self.share < _SETTLED else _LAST_STRENGTH

    def epoch_of_batches(self) -> Iterator[float]:
        """Train until the present pass, or the whole training, is complete; yield each batch's loss."""
        present = self.epoch
        while self.epoch == present and self.share < 1:
            began_at = monotonic()
            loss = self._learn(self._rows(present))
            self.done_batches += 1
            self.seconds += monotonic() - began_at
            yield loss

    def tensors(self) -> dict[str, Float32]:
        """Return the weights' moving average so far, by the names of `ferplus_file.shapes`."""
        return self._average.tensors()

    def logits(self, pictures: UInt8) -> Float32:
        """Return the (N, 7) logits of the moving average for (N, 48, 48) uint8 crops, each with its mirror image's."""
        return logits(self._average, pictures, self._device, bfloat16=self._bfloat16)

    def _rows(self, epoch: int) -> Tensor:
        """Return which pictures the next batch holds."""
        order = torch.randperm(len(self._pictures), generator=self._lot(1, epoch))
        first = self.done_batches % self.batches_an_epoch * self._batch
        return order[first : first + self._batch]

    def _learn(self, rows: Tensor) -> float:
        generator = self._lot(2, self.done_batches)
        pictures = self._pictures[rows].float() / 255
        pictures = augmented(pictures, self._alignments[rows], self._strength, generator)
        pictures = standardised(pictures.to(self._device)).contiguous(memory_format=torch.channels_last)
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate
        self._net.train()
        dropout_seed = int(torch.randint(2**62, (1,), generator=generator))
        devices = [self._device] if self._device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            torch.manual_seed(dropout_seed)
            answers = self._net(pictures)
        targets = self._targets[rows].to(self._device)
        loss = -(targets * functional.log_softmax(answers.float(), 1)).sum(1).mean()
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._net.parameters(), _LARGEST_GRADIENT)
        self._optimiser.step()
        self._follow(1 / (1 + _REMEMBERED * self.done_batches))
        return float(loss.detach())

    def _lot(self, purpose: int, number: int) -> torch.Generator:
        seed = np.random.SeedSequence((self.recipe.seed, purpose, number)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed))

    @torch.no_grad()
    def _follow(self, share: float) -> None:
        for mine, theirs in zip(self._average.parameters(), self._net.parameters(), strict=True):
            mine.lerp_(theirs, share)

    # ---- keeping and continuing

    def save(self, path: Path) -> None:
        """Write all that `restore` needs; the file appears whole or not at all. Raises OSError."""
        state = {f"net.{name}": tensor for name, tensor in self._net.state_dict().items()}
        state |= {f"average.{name}": tensor for name, tensor in self._average.state_dict().items()}
        for name, weight in self._net.named_parameters():
            if weight in self._optimiser.state:  # after the first batch
                moments = self._optimiser.state[weight]
                state |= {f"optimiser.{key}.{name}": moments[key] for key in _MOMENTS}
        metadata = {
            "recipe": json.dumps(asdict(self.recipe)),
            "batches": str(self.done_batches),
            "seconds": repr(self.seconds),
            "origin": self._origin,
        }
        content = save({name: tensor.contiguous() for name, tensor in state.items()}, metadata=metadata)
        beside = path.with_name(f"{path.name}.part")
        try:
            beside.write_bytes(content)
            beside.replace(path)
        except OSError:
            if beside.is_file():
                beside.unlink()
            raise

    def restore(self, path: Path) -> None:
        """Continue where a file of `save` left off.

        Raises:
            UsageError: It is no such file, or of another recipe, start or other data; the training is as it was.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UsageError(f"{path} is no whole checkpoint; delete it, or start afresh with --overwrite") from error
        expected = {"recipe": json.dumps(asdict(self.recipe)), "origin": self._origin}
        if {name: metadata.get(name) for name in expected} != expected:
            raise UsageError(
                f"{path} was left by a training with other options or pictures; repeat those, or start afresh with "
                "--overwrite"
            )
        try:
            self._take(state)
            self.done_batches, self.seconds = int(metadata["batches"]), float(metadata["seconds"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise UsageError(f"{path} is not whole; delete it, or start afresh with --overwrite") from error

    def _take(self, state: Mapping[str, Tensor]) -> None:
        for prefix, net in (("net", self._net), ("average", self._average)):
            net.load_state_dict({name: state[f"{prefix}.{name}"] for name in net.state_dict()})
        for name, weight in self._net.named_parameters():
            if f"optimiser.{_MOMENTS[0]}.{name}" in state:
                moments = {key: state[f"optimiser.{key}.{name}"] for key in _MOMENTS}
                self._optimiser.state[weight] = {
                    key: tensor if key == "step" else tensor.to(self._device) for key, tensor in moments.items()
                }


def _digest(arrays: Sequence[npt.NDArray[np.generic]]) -> str:
    """Return the sha256 of what a training begins with."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of torch.optim.AdamW


@torch.inference_mode()
def logits(net: EmotionNet, pictures: UInt8, device: torch.device | str = "cpu", *, bfloat16: bool = False) -> Float32:
    """Return the (N, 7) logits of (N, 48, 48) uint8 crops, each the mean with its mirror image's."""
    device = torch.device(device)
    answers = np.empty((len(pictures), net.head.out_features), np.float32)
    for start in range(0, len(pictures), _CHUNK):
        grey = torch.from_numpy(pictures[start : start + _CHUNK])[:, None].to(device).float() / 255
        crops = standardised(torch.cat([grey, grey.flip(3)])).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            both = net(crops).float()
        answers[start : start + len(grey)] = ((both[: len(grey)] + both[len(grey) :]) / 2).cpu().numpy()
    return answers
