"""From a net's logits to probabilities that keep their word, and that do not hide the rare emotions.

Logits are divided by a temperature fitted on held-out pictures (Guo et al., ICML 2017). Then tau times the logarithm of
each emotion's share of the training pictures is subtracted (Menon et al., ICLR 2021): nets trained on FER+ have seen
little anger, disgust and fear, and answer "neutral" when in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.emotion_names import EMOTIONS

if TYPE_CHECKING:
    from streamer.types import Float32

# Shares of EMOTIONS among FER+'s training pictures that more than half of the voters agree on.
FERPLUS_PRIOR: Float32 = np.array([0.3504, 0.2922, 0.1258, 0.1212, 0.0842, 0.0047, 0.0215], np.float32)
FERPLUS_PRIOR.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How one net's logits become probabilities.

    Attributes:
        temperature: What logits are divided by, above 0; above 1 makes answers less sure.
        prior: (7,) float32, each emotion's share of what the net was trained on, each above 0; None: not known, and tau
            changes nothing.
    """

    temperature: float = 1.0
    prior: Float32 | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature must be above 0 and finite, not {self.temperature}")
        if self.prior is not None and (
            self.prior.shape != (len(EMOTIONS),) or not np.all((self.prior > 0) & np.isfinite(self.prior))
        ):
            raise ValueError(f"prior must be {len(EMOTIONS)} finite numbers above 0")

    def probabilities(self, logits: Float32, tau: float) -> Float32:
        """Return (N, 7) float32 probabilities of (N, 7) logits; tau 0: as trained, 1: as if all were equally common."""
        scaled = logits / self.temperature
        if self.prior is not None:
            scaled = scaled - tau * np.log(self.prior)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
