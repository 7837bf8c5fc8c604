"""What a gallery may be expected to get wrong: misses a person, strangers accepted, and people who look alike.

Each person's photos are compared with the mean of their others (leave one out). How alike views of a person are varies
little from person to person, so a few photos say more together with what is usual: on LFW, views resemble the mean of K
photos by .9755 - .018 K^-0.75, people differ from that by .014 / sqrt(K), and views of one person by .0078 (standard
deviations; dlib's net, 2,719 pictures).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.recognition.calibration import allowances
from streamer.recognition.people import Gallery, Person
from streamer.recognition.population import Population, dlib_population
from streamer.recognition.thresholds import calibration_of, population_of, templates_of
from streamer.types import Float32

Usual = Callable[[int], float]

_STRANGERS = 20_000
_USUAL_WEIGHT = 3.0  # what is usual counts as much as so many photos
_VIEW_DEVIATION = 0.0078
_MANY_MISSES = 0.05
_FEW_PHOTOS = 3
_MOST_PAIRS = 20
_PEOPLE_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class PersonExpectation:
    """What is expected of one person.

    Attributes:
        name: Theirs.
        photos: How many there are.
        misses: Share of their views that will not be named, 0..1; None: nothing is known to tell it from.
        taken: Share of strangers that will be taken for them, 0..1.
        needs_photos: More photos would help.
    """

    name: str
    photos: int
    misses: float | None
    taken: float
    needs_photos: bool


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """Two people whose mean vectors are as alike as a person and a view of them."""

    first: str
    second: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Expectations:
    """What is expected of a gallery.

    Attributes:
        false_accept_rate: What was asked for.
        threshold: Cosine from which a person of many photos is named.
        people: In the gallery's order.
        look_alikes: Most alike first, at most twenty.
    """

    false_accept_rate: float
    threshold: float
    people: tuple[PersonExpectation, ...]
    look_alikes: tuple[LookAlikes, ...]


def expectations_of(gallery: Gallery, false_accept_rate: float) -> Expectations:
    """Return what a gallery of one person at least may be expected to get wrong.

    Raises:
        GalleryError: Nothing is known of strangers' vectors of its net.
    """
    templates, counts = templates_of(gallery.people)
    population = population_of(gallery)
    threshold = calibration_of(gallery).threshold(false_accept_rate)
    thresholds = np.asarray(threshold - allowances(counts), np.float32)
    shares = _shares(templates, thresholds, population) * false_accept_rate
    usual = usual_similarity if population is dlib_population() else None
    return Expectations(
        false_accept_rate=false_accept_rate,
        threshold=threshold,
        people=tuple(
            _of_person(person, float(own), float(taken), usual)
            for person, own, taken in zip(gallery.people, thresholds, shares, strict=True)
        ),
        look_alikes=tuple(_look_alikes(gallery, templates, thresholds)),
    )


def usual_similarity(photos: int) -> float:
    """Return how like the mean of so many photos, at least 1, a view of the same person is to dlib's net."""
    return 0.9755 - 0.018 * float(photos**-0.75)


def _of_person(person: Person, threshold: float, taken: float, usual: Usual | None) -> PersonExpectation:
    photos = len(person.embeddings)
    misses = _misses(person.embeddings, threshold, usual)
    needs_photos = photos < _FEW_PHOTOS or (misses is not None and misses > _MANY_MISSES)
    return PersonExpectation(person.name, photos, misses, taken, needs_photos)


def _misses(embeddings: Float32, threshold: float, usual: Usual | None) -> float | None:
    """Return the share of a person's views expected below the threshold; None where nothing tells it."""
    photos = len(embeddings)
    seen = _left_out(embeddings)
    if usual is not None:
        # Left out, a photo is compared with one photo fewer than a view will be.
        gain = usual(photos) - usual(photos - 1) if photos > 1 else 0.0
        total = float(seen.sum()) + gain * len(seen) + _USUAL_WEIGHT * usual(photos)
        weight = len(seen) + _USUAL_WEIGHT
    elif photos < _FEW_PHOTOS:
        return None
    else:
        total, weight = float(seen.sum()), float(len(seen))
    mean = total / weight
    deviation = math.hypot(_VIEW_DEVIATION, 0.014 / math.sqrt(weight))
    return 0.5 * math.erfc((mean - threshold) / deviation / math.sqrt(2))


def _left_out(embeddings: Float32) -> Float32:
    """Return how like the mean of the others each of (K, D) photos is, (K,); nothing for one photo alone."""
    if len(embeddings) == 1:
        return np.zeros(0, np.float32)
    others = embeddings.sum(axis=0) - embeddings
    lengths = np.maximum(np.linalg.norm(others, axis=1), 1e-6)
    return np.asarray((others * embeddings).sum(axis=1) / lengths, np.float32)


def _shares(templates: Float32, thresholds: Float32, population: Population) -> npt.NDArray[np.float64]:
    """Return what share of the strangers taken for anybody is taken for each person, (P,), sum 1."""
    counts = np.ones(len(templates))  # as if one more had been taken for each, so that nobody's share is nothing
    for strangers in population.drawn(_STRANGERS, max(200, int(1e7 / len(templates)))):
        excesses = strangers @ templates.T - thresholds
        best = excesses.argmax(axis=1)
        counts += np.bincount(best[excesses.max(axis=1) >= 0], minlength=len(templates))
    return np.asarray(counts / counts.sum())


def _look_alikes(gallery: Gallery, templates: Float32, thresholds: Float32) -> Iterator[LookAlikes]:
    """Yield the pairs of people of whom one would be taken for the other, most alike first."""
    pairs: list[tuple[float, int, int]] = []
    for start in range(0, len(templates), _PEOPLE_AT_ONCE):
        alike = templates[start : start + _PEOPLE_AT_ONCE] @ templates.T
        rows, columns = np.nonzero(alike >= thresholds)
        found = {
            (float(alike[row, column]), min(start + row, column), max(start + row, column))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if start + row != column
        }
        pairs = sorted({*pairs, *found}, reverse=True)[: 2 * _MOST_PAIRS]
    seen: set[tuple[int, int]] = set()
    for similarity, first, second in pairs:
        if (first, second) not in seen and len(seen) < _MOST_PAIRS:
            seen.add((first, second))
            yield LookAlikes(gallery.people[first].name, gallery.people[second].name, similarity)
