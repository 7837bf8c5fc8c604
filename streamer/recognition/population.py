"""How face vectors of strangers are spread: a model of a population, without any vector of a person in it.

The vectors' first principal directions are described by a mixture of normal distributions, the others by one of their
own spread each. One normal distribution for all is not enough: asked for 1 % of strangers accepted by five people's
gallery, it brought 2.8 %, this mixture 1.1 %. Fitted by population_fit.py; calibration.py draws
strangers from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from streamer.types import Float32
from streamer.weights import locate


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """A distribution of unit vectors.

    Attributes:
        mean: (D,) float32.
        basis: (D, D) float32, orthonormal rows, the first k of them for the mixture.
        weights: (C,) float32 shares of the mixture's parts, sum 1.
        centres: (C, k) float32 means of the parts, in the basis.
        roots: (C, k, k) float32 lower Cholesky factors of the parts' covariances.
        spreads: (D - k,) float32 standard deviations in the other directions.
    """

    mean: Float32
    basis: Float32
    weights: Float32
    centres: Float32
    roots: Float32
    spreads: Float32

    def __post_init__(self) -> None:
        parts, directions = self.centres.shape
        wanted = {
            "mean": (len(self.mean),),
            "basis": (len(self.mean), len(self.mean)),
            "weights": (parts,),
            "roots": (parts, directions, directions),
            "spreads": (len(self.mean) - directions,),
        }
        for name, shape in wanted.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
                raise ValueError(f"{name} must be finite float32 {shape}, not {found.dtype} {found.shape}")

    @property
    def dimension(self) -> int:
        """D, the vectors' length."""
        return len(self.mean)

    def drawn(self, count: int, part: int, seed: int = 0) -> Iterator[Float32]:
        """Yield (part, D) float32 unit vectors of people who do not exist, `count` in all; the same for one seed."""
        random = np.random.default_rng(seed)
        for start in range(0, count, part):
            yield self._draw(random, min(part, count - start))

    def _draw(self, random: np.random.Generator, count: int) -> Float32:
        directions = self.centres.shape[1]
        normal = random.standard_normal((count, self.dimension), np.float32)
        counts = random.multinomial(count, self.weights / self.weights.sum(dtype=np.float64))
        start = 0
        for centre, root, own in zip(self.centres, self.roots, counts, strict=True):
            rows = normal[start : start + own, :directions]
            rows[:] = rows @ root.T + centre
            start += own
        normal[:, directions:] *= self.spreads
        vectors = self.mean + normal @ self.basis
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@cache
def dlib_population() -> Population:
    """Return the population that comes with the package, for photo vectors of dlib's net. Raises WeightsError."""
    tensors = load_file(locate("population-dlib"))
    return Population(**{name: np.ascontiguousarray(tensors[name]) for name in Population.__slots__})
