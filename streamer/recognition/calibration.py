"""From how many people and photos are known to the similarity that names somebody, and to a probability.

Fitted on 2,719 pictures of 1,241 people of LFW (funneled), MTCNN landmarks, the dlib-resnet embedder: galleries of 1 to
320 people with 1 to 12 photos each were drawn at random (photo vector: mean of picture and mirror image, template: mean
of photo vectors), everybody else was a stranger with one picture. Holds for that embedder only: with another, set the
threshold yourself.

With n people, K photos a person and a share f of strangers accepted, the threshold is well told by ln(n / f) and 1 / K
(root mean square error over 33 kinds of gallery × 5 rates .0016; the spread between strangers is ten times that).
Asked for 1 % of strangers, really accepted (mean over draws): 1.07 % at 1 person × 1 photo, .92 at 5 × 1, .92 at
5 × 2, 1.17 at 5 × 8, .64 at 20 × 4, 1.05 at 300 × 1; known faces then named: 99.3, 96.7, 97.8, 99.5, 98.2, 73.0 %.

Views of one face that are averaged first must not be made unit vectors again: normalised means of 2, 4, 8 views brought
3.9, 6.1, 9.8 % of strangers over the 1 % threshold (5 people × 8 photos), plain means .5, .5, 0 %, and of known faces
99.9 % and more either way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamer.types import Float32

DEFAULT_FALSE_ACCEPT_RATE = 0.01

# threshold = CONSTANT + LINEAR x + QUADRATIC x² - FEW_PHOTOS / K, where x = ln(n / f)
_CONSTANT, _LINEAR, _QUADRATIC, _FEW_PHOTOS = 0.8737, 0.01243, -0.00039, 0.01325
# The parabola turns down at 15.9; nothing was measured beyond 12.7.
_MOST_RISK = 15.0

# log-odds = SLOPE × (similarity above the threshold for 1 % of strangers) + INTERCEPT, fitted on as many known faces as
# strangers over ten kinds of gallery; expected calibration error .012.
_SLOPE, _INTERCEPT = 142.0, 0.44


def similarity_thresholds(photo_counts: npt.NDArray[np.intp], rivals: float, false_accept_rate: float) -> Float32:
    """Return from which cosine similarity each template names its person.

    Args:
        photo_counts: (P,) how many photos each template is the mean of, at least 1.
        rivals: How many people a stranger could be taken for, at least 1.
        false_accept_rate: Share of strangers that may be given a name, one still picture each, 0..0.5.

    Returns:
        (P,) float32 cosines.
    """
    risk = min(float(np.log(max(rivals, 1.0) / false_accept_rate)), _MOST_RISK)
    common = _CONSTANT + _LINEAR * risk + _QUADRATIC * risk**2
    return np.asarray(common - _FEW_PHOTOS / photo_counts, np.float32)


def check_rates(false_accept_rate: float, similarity_threshold: float | None) -> None:
    """Raise ValueError where a rate lies outside 0..0.5 or a threshold outside -1..1."""
    if not 0 < false_accept_rate <= 0.5:
        raise ValueError(f"false_accept_rate must lie above 0 and at most at 0.5, not {false_accept_rate}")
    if similarity_threshold is not None and not -1 <= similarity_threshold <= 1:
        raise ValueError(f"similarity_threshold must lie in -1..1, not {similarity_threshold}")


def check_embeddings(embeddings: Float32, dimension: int | None) -> Float32:
    """Return (N, D) embeddings as float32. Raises ValueError for another shape or values that are not finite."""
    if embeddings.ndim != 2 or (dimension is not None and embeddings.shape[1] != dimension):
        wanted = "D" if dimension is None else dimension
        raise ValueError(f"embeddings must be (N, {wanted}) float32, not {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite")
    return np.asarray(embeddings, np.float32)


def name_probability(excess: float) -> float:
    """Return how probable a name is, 0..1, given how far its similarity lies above the threshold for 1 % strangers."""
    return float(1 / (1 + np.exp(-np.clip(_SLOPE * excess + _INTERCEPT, -700, 700))))


def answer_probability(excess: float, *, is_named: bool) -> float:
    """Return how probable the answer given is; of "unknown" never below one half, or it would not be the answer."""
    probability = name_probability(excess)
    return probability if is_named else max(0.5, 1 - probability)
