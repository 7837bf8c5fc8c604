"""Fits the model of a population of strangers to the vectors of some, one picture each.

The shipped one comes from one picture each of 1,241 people of LFW (funneled; Huang et al., 2007): 24 parts over 48
directions, some fifty people a part. What is smoothed away and left out is what would tell who they were.
"""

from __future__ import annotations

import numpy as np

from streamer.recognition.population import Population
from streamer.types import Float32

PARTS, DIRECTIONS = 24, 48
_PEOPLE_A_PART = 50
FEWEST_PEOPLE = 50


def fit_population(vectors: Float32, seed: int = 0) -> Population:
    """Return the population that (N, D) float32 unit vectors of as many people come from.

    Fewer vectors are described by fewer parts and directions.

    Raises:
        ValueError: There are fewer than FEWEST_PEOPLE.
    """
    if len(vectors) < FEWEST_PEOPLE:
        raise ValueError(f"a population is fitted to at least {FEWEST_PEOPLE} people, not to {len(vectors)}")
    from sklearn.mixture import GaussianMixture

    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean
    basis = np.linalg.svd(centred, full_matrices=True)[2]
    directions = min(DIRECTIONS, vectors.shape[1], len(vectors) // 8)
    along = centred @ basis.T
    parts = max(1, min(PARTS, len(vectors) // _PEOPLE_A_PART))
    mixture = GaussianMixture(parts, reg_covar=1e-4, random_state=seed, max_iter=200).fit(along[:, :directions])
    return Population(
        mean=np.asarray(mean, np.float32),
        basis=np.asarray(basis, np.float32),
        weights=np.asarray(mixture.weights_, np.float32),
        centres=np.asarray(mixture.means_, np.float32),
        roots=np.asarray(np.linalg.cholesky(mixture.covariances_), np.float32),
        spreads=np.asarray(along[:, directions:].std(axis=0), np.float32),
    )
